"""Export quickly in tests: a graph is traced once and copied after that."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mirrorkit.formats.bundle import VARIANT_FILES
from tests.shared import made_once


@contextmanager
def traced_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let the pipeline take graphs that were traced before in this run, of the same kind of tiny random model."""
    home = tmp_path_factory.getbasetemp() / "traced"
    home.mkdir(exist_ok=True)
    from mirrorkit.exporter import pipeline, variants
    from mirrorkit.model.outside import Outside

    original = vars(variants)["export_onnx"]

    def export(encoder: Any, file: Path, *, opset: int) -> None:
        kind = encoder.backbone.config.model_type
        about = f"{encoder.dim}-{encoder.pooling}-{encoder.usage.normalized}-{opset}"
        kept = home / f"{kind}-{about}.onnx"
        if not kept.is_file():
            original(encoder, kept, opset=opset)
        shutil.copyfile(kept, file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(variants, "export_onnx", export)
        # tests/formats/test_layouts.py compares; here it would be the same few models again and again
        patch.setattr(pipeline, "compare_outside", lambda *_, **__: Outside(False, "left out of this test"))
        yield


def plain_graph(folder: Path, out: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Write the plain graph of a model folder to `out`.

    It is traced once in a run, whichever file of tests asks first; folders are told apart by what is in them.
    """
    from mirrorkit.exporter.graph.trace import export_onnx
    from mirrorkit.model.encoder import SentenceEncoder

    def make(home: Path) -> None:
        export_onnx(SentenceEncoder.load(folder), home / "model.onnx")

    whole = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole.update(f"{file.relative_to(folder)} {file.stat().st_size} ".encode() + file.read_bytes())
    shutil.copyfile(made_once(f"graph-{whole.hexdigest()}", make, tmp_path_factory) / "model.onnx", out)


def edited(source: Path, out: Path, change: Callable[[Any], None]) -> Path:
    """Write `source` to `out` after `change` was done to the ModelProto."""
    import onnx

    model = onnx.load(str(source))
    change(model)
    out.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(out))
    return out


def noisy(amount: float) -> Callable[[Any], None]:
    """Return a change that adds noise of that relative size to every weight matrix."""
    import numpy as np
    from onnx import numpy_helper

    def change(model: Any) -> None:
        random = np.random.default_rng(0)
        for tensor in model.graph.initializer:
            array = numpy_helper.to_array(tensor)
            if array.ndim == 2 and array.dtype == np.float32:
                noise = random.normal(size=array.shape) * array.std() * amount
                tensor.CopyFrom(numpy_helper.from_array((array + noise).astype(np.float32), tensor.name))

    return change


def after_pooling(*operators: tuple[str, list[str], dict[str, Any]]) -> Callable[[Any], None]:
    """Return a change that puts operators behind `sentence_embedding`.

    Each is (operator, inputs, attributes); `x` is the value before, and what the last one gives is the new output.
    """
    import numpy as np
    from onnx import helper, numpy_helper

    def change(model: Any) -> None:
        for node in model.graph.node:
            names = ["raw_embedding" if name == "sentence_embedding" else name for name in node.output]
            del node.output[:]
            node.output.extend(names)
        current = "raw_embedding"
        for number, (operator, inputs, attributes) in enumerate(operators):
            last = number == len(operators) - 1
            name = "sentence_embedding" if last else f"added_{number}"
            filled = [current if value == "x" else value for value in inputs]
            model.graph.node.append(helper.make_node(operator, filled, [name], **attributes))
            current = name
        model.graph.initializer.extend(
            [
                numpy_helper.from_array(np.array(0.02, dtype=np.float32), "little"),
                numpy_helper.from_array(np.array(3.0, dtype=np.float32), "three"),
            ]
        )

    return change


def graph_of(bundle: Path, name: str) -> Path:
    return bundle / VARIANT_FILES[name]
