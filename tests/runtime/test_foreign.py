"""Hold ONNX folders that others made to what sentence-transformers makes of the files beside the graph."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("sentence_transformers")
pytest.importorskip("onnxscript")
import onnx
import torch

from mirrorkit.errors import BundleError, ModelError
from mirrorkit.runtime.encoder import Encoder
from tests.bundles import make_bundle
from tests.formats.layouts import LAYOUTS
from tests.formats.making import TEXTS, Base, change

STALE = "stale truncation (all-MiniLM)"
LENGTHS = "dot, no Normalize (multi-qa-dot)"


@pytest.fixture(scope="module", params=[STALE, LENGTHS])
def foreign(
    request: pytest.FixtureRequest, tiny_random: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Any]:
    """Return a model folder as others publish it, a graph in onnx/, and what sentence-transformers gives for it."""
    from sentence_transformers import SentenceTransformer

    home = tmp_path_factory.mktemp("foreign")
    LAYOUTS[request.param].make(home / "model", Base(tiny_random("bert")))
    bundle = make_bundle(home / "bundle", home / "model")
    shutil.copytree(bundle / "onnx", home / "model" / "onnx")
    other = SentenceTransformer(str(home / "model"), device="cpu", model_kwargs={"dtype": torch.float32})
    return home / "model", np.asarray(other.encode(list(TEXTS)))


def tokens_alone(folder: Path) -> None:
    """Leave the graph its token vectors alone, as most graphs of the hub are."""
    file = folder / "onnx" / "model.onnx"
    model = onnx.load(str(file))
    del model.graph.output[1:]
    onnx.save(model, str(file))


def test_vectors_are_those_of_the_folder(foreign: tuple[Path, Any], tmp_path: Path) -> None:
    source, expected = foreign
    folder = shutil.copytree(source, tmp_path / "copy")
    np.testing.assert_allclose(Encoder(folder).encode(TEXTS), expected, atol=1e-5)
    tokens_alone(folder)
    np.testing.assert_allclose(Encoder(folder).encode(TEXTS), expected, atol=1e-5)


def test_a_truncated_vector_is_cut_after_normalising(foreign: tuple[Path, Any], tmp_path: Path) -> None:
    folder = shutil.copytree(foreign[0], tmp_path / "copy")
    change(folder / "config_sentence_transformers.json", truncate_dim=8)
    assert Encoder(folder).dim == 8
    np.testing.assert_allclose(Encoder(folder).encode(TEXTS), foreign[1][:, :8], atol=1e-5)


def test_pooling_beside_a_graph_counts_without_modules(foreign: tuple[Path, Any], tmp_path: Path) -> None:
    folder = shutil.copytree(foreign[0], tmp_path / "copy")
    tokens_alone(folder)
    (folder / "modules.json").unlink()
    unit = foreign[1] / np.linalg.norm(foreign[1], axis=1, keepdims=True)  # nothing says that lengths are kept
    np.testing.assert_allclose(Encoder(folder).encode(TEXTS), unit, atol=1e-5)
    shutil.rmtree(folder / "1_Pooling")
    with pytest.raises(BundleError, match="gives token vectors only, because pooling is not part of this graph"):
        Encoder(folder)


def test_what_cannot_be_honoured_is_refused(foreign: tuple[Path, Any], tmp_path: Path) -> None:
    folder = shutil.copytree(foreign[0], tmp_path / "copy")
    change(folder / "config.json", auto_map={"AutoModel": "modeling_x.XModel"})
    assert Encoder(folder).dim == 32  # the graph stands in for that code
    change(folder / "sentence_bert_config.json", tokenizer_args={"do_lower_case": False})
    with pytest.raises(BundleError, match="tokenizer_args: do_lower_case False changes the tokenizer"):
        Encoder(folder)
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    modules[0]["type"] = "custom_st.Transformer"
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    with pytest.raises(ModelError, match=r"modules\.json: type 'custom_st\.Transformer'"):
        Encoder(folder)
