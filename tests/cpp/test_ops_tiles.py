"""libmirrorkit_ops by AMX: the same bits as by AVX-512, and nothing that ONNX Runtime has set is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cpp.test_ops import batch, kernels, layer, opened

pytestmark = pytest.mark.cpp
onnx = pytest.importorskip("onnx", reason="needs the export extra")
ort = pytest.importorskip("onnxruntime", reason="needs the onnx extra")

AMX, VECTORS = "avx512-amx", "avx512-vnni"


@pytest.fixture(scope="module")
def library(built: Path) -> Path:
    found = built / "ops" / "libmirrorkit_ops.so"
    if AMX not in kernels(found):
        pytest.skip("this processor, or its kernel, has no AMX")
    return found


# Tiles of rows that are full and not; panels that are full and not; a matrix of which only some have rows for tiles.
@pytest.mark.parametrize(("hidden", "heads", "inner"), [(128, 4, 192), (64, 2, 320), (192, 4, 100), (96, 3, 256)])
def test_it_has_the_bits_of_avx512(
    library: Path, monkeypatch: pytest.MonkeyPatch, hidden: int, heads: int, inner: int
) -> None:
    constants = layer(hidden=hidden, inner=inner)
    x, mask = batch([*range(1, 40), 47, 48, 49, 63, 64, 65, 130], hidden=hidden)
    feeds = {"x": x, "mask": mask}
    found = {}
    for name in (AMX, VECTORS):
        monkeypatch.setenv("MIRRORKIT_OPS_KERNELS", name)
        sessions = [opened(library, constants, threads=threads, heads=heads) for threads in (1, 2)]
        found[name], again = (session.run(None, feeds)[0] for session in sessions)
        assert np.array_equal(found[name], again)
    assert np.array_equal(found[AMX], found[VECTORS])
    assert np.abs(found[AMX]).max() > 1


def product(rows: int, columns: int) -> Any:
    """Return a session of ONNX Runtime's own product of bytes, of one thread."""
    make, draw = onnx.helper, np.random.default_rng(5)
    weight = onnx.numpy_helper.from_array(draw.integers(-63, 64, (rows, columns), dtype=np.int8), "w")
    a = make.make_tensor_value_info("a", onnx.TensorProto.UINT8, [None, rows])
    y = make.make_tensor_value_info("y", onnx.TensorProto.INT32, None)
    graph = make.make_graph([make.make_node("MatMulInteger", ["a", "w"], ["y"])], "g", [a], [y], [weight])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 20)], ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def test_onnx_runtime_multiplies_rightly_before_and_after(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIRRORKIT_OPS_KERNELS", AMX)
    ours, theirs = opened(library, layer(hidden=128, inner=192), heads=4), product(128, 80)
    x, mask = batch([5, 33, 17], hidden=128)
    a = np.random.default_rng(6).integers(0, 256, (45, 128), dtype=np.uint8)
    (expected,) = theirs.run(None, {"a": a})
    weight = np.random.default_rng(5).integers(-63, 64, (128, 80), dtype=np.int8)
    assert np.array_equal(expected, a.astype(np.int32) @ weight.astype(np.int32))
    (first,) = ours.run(None, {"x": x, "mask": mask})
    for _ in range(3):  # in one thread, in turns
        assert np.array_equal(theirs.run(None, {"a": a})[0], expected)
        assert np.array_equal(ours.run(None, {"x": x, "mask": mask})[0], first)
