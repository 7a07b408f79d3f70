"""The lengths that a fine-tune trained for, from its folder to every reader of the bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnxscript", reason="needs the export extra")
from scipy.stats import spearmanr

from mirrorkit import Encoder, export, finetune
from mirrorkit.assets.paths import GRADED
from mirrorkit.formats.bundle import MANIFEST, read_bundle
from mirrorkit.formats.golden import read_goldens
from mirrorkit.formats.json_file import read_json
from mirrorkit.terminal.report import check_report
from mirrorkit.verification.check import check
from tests.exports import traced_once

SENTENCES = list(dict.fromkeys(line.split("\t")[1] for line in GRADED.read_text(encoding="utf-8").splitlines()))[:40]
DIM = 32


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_random: Callable[[str], Path]) -> tuple[Path, Path]:
    """Return a model that was trained for two lengths and its bundle; do not write into them."""
    home = tmp_path_factory.mktemp("matryoshka")
    options: dict[str, Any] = {"batch_size": 20, "steps": 1, "device": "cpu", "verdict": False}
    options |= {"learning_rate": 1e-12}  # the weights stay as they are, and so the graph that other tests have traced
    finetune(tiny_random("bert"), SENTENCES, home / "model", matryoshka="4,16", **options)
    with traced_once(tmp_path_factory):
        assert export(home / "model", home / "bundle", precision=["fp32"], optimize=False).ok
    return home / "model", home / "bundle"


def test_the_bundle_and_its_encoder_name_the_lengths(made: tuple[Path, Path]) -> None:
    _, bundle = made
    assert read_bundle(bundle).truncate_dims == (4, 16)
    assert Encoder(bundle).truncate_dims == (4, 16)
    assert "the first 4, 16 of the 32 numbers" in (bundle / "README.md").read_text(encoding="utf-8")
    assert "truncate_dim" not in read_json(bundle / "config_sentence_transformers.json")
    assert Encoder(bundle).encode(["a text"]).shape == (1, DIM)


def test_cut_vectors_are_those_of_sentence_transformers(made: tuple[Path, Path], real_texts: list[str]) -> None:
    pytest.importorskip("sentence_transformers", reason="needs sentence-transformers")
    from sentence_transformers import SentenceTransformer

    model, bundle = made
    encoder = Encoder(bundle)
    assert SentenceTransformer(str(model), device="cpu").encode(real_texts).shape == (len(real_texts), DIM)
    for dim in (4, 16):
        other = SentenceTransformer(str(model), device="cpu", truncate_dim=dim)
        for unit in (False, True):
            ours = encoder.encode(real_texts, truncate_dim=dim, normalize=unit or None)
            np.testing.assert_allclose(ours, other.encode(real_texts, normalize_embeddings=unit), atol=1e-6)


def test_check_tells_what_each_length_costs(made: tuple[Path, Path]) -> None:
    _, bundle = made
    result = check(bundle)
    assert result.ok
    vectors = read_goldens(bundle / "golden.jsonl", DIM).vectors.astype(np.float64)
    rows = [line.split("\t") for line in GRADED.read_text(encoding="utf-8").splitlines()]
    sides = [Encoder(bundle).encode([row[side] for row in rows]).astype(np.float64) for side in (1, 2)]
    upper = np.triu_indices(len(vectors), k=1)

    def cosines(dim: int) -> Any:
        short = vectors[:, :dim] / np.linalg.norm(vectors[:, :dim], axis=1, keepdims=True)
        return (short @ short.T)[upper]

    def graded(dim: int) -> float:
        left, right = (side[:, :dim] / np.linalg.norm(side[:, :dim], axis=1, keepdims=True) for side in sides)
        return float(100 * spearmanr((left * right).sum(axis=1), [float(row[0]) for row in rows]).statistic)

    assert [(cut.dim, cut.whole, cut.variant) for cut in result.cuts] == [(4, DIM, "fp32"), (16, DIM, "fp32")]
    for cut in result.cuts:
        assert cut.spearman == pytest.approx(spearmanr(cosines(cut.dim), cosines(DIM)).statistic, abs=1e-4)
        assert cut.graded == pytest.approx(graded(cut.dim), abs=0.05)
        assert cut.graded_whole == pytest.approx(graded(DIM), abs=0.05)
        assert cut.line() in map(str, check_report(result))
    assert [cut["dim"] for cut in json.loads(json.dumps(result.as_dict()))["cuts"]] == [4, 16]


def test_of_a_bundle_that_names_none_nothing_is_told(made: tuple[Path, Path], tmp_path: Path) -> None:
    import shutil

    bundle = Path(shutil.copytree(made[1], tmp_path / "bundle"))
    manifest = read_json(bundle / MANIFEST)
    del manifest["truncate_dims"]
    (bundle / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    result = check(bundle)
    assert result.ok
    assert "cuts" not in result.as_dict()
    assert Encoder(bundle).truncate_dims == ()
