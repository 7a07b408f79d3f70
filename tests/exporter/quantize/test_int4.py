"""Hold int4 graphs to fp32 ones: near, small, the same in any batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from mirrorkit.errors import ExportError
from mirrorkit.exporter.graph.trace import export_onnx
from mirrorkit.exporter.quantize.calibration import calibration_texts
from mirrorkit.exporter.quantize.groups import weight_groups
from mirrorkit.exporter.quantize.int4 import BLOCK, quantize_int4
from mirrorkit.formats.bundle import Graph
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.text.ragged import RaggedIds, pad_batch
from tests.exporter.quantize.test_int8 import OTHERS, pooled, random_ids, spread
from tests.exports import plain_graph
from tests.graphs import run

pytestmark = pytest.mark.slow  # a graph is traced and rounded in most of them


@pytest.mark.parametrize("kind", ["bert", *OTHERS])
def test_every_architecture(
    kind: str, tiny_random: Callable[[str], Path], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    encoder = SentenceEncoder.load(tiny_random(kind))
    plain, out = tmp_path / "model.onnx", tmp_path / "int4.onnx"
    plain_graph(tiny_random(kind), plain, tmp_path_factory)
    ids, pad_id = random_ids(encoder), encoder.tokenizer.pad_token_id
    report = quantize_int4(plain, out, ids, pad_id=pad_id)
    groups = weight_groups(ir.load(plain).graph)
    assert report.graph is Graph.ONNXRUNTIME
    assert report.matrices == len({v.name for g in groups for v in g.weights})
    assert (report.weight_bits, report.table_bits) == (4, 8)
    assert report.bytes == out.stat().st_size < plain.stat().st_size
    assert not weight_groups(ir.load(out).graph)
    products = [n for n in onnx.load(out).graph.node if n.op_type == "MatMulNBits"]
    assert len(products) == sum(len(g.nodes) for g in groups)
    unseen = random_ids(encoder, seed=1)
    batch, mask = pad_batch(unseen, np.arange(len(unseen)), pad_id)
    cosines = (pooled(out, batch, mask) * pooled(plain, batch, mask)).sum(axis=1)
    assert cosines.mean() > 0.9
    assert spread(out, unseen) <= 1e-3


def test_a_bert_stays_near(tiny: Path, tmp_path: Path, real_texts: list[str]) -> None:
    encoder = SentenceEncoder.load(tiny, max_length=64)
    plain, out = tmp_path / "model.onnx", tmp_path / "int4.onnx"
    export_onnx(encoder, plain)
    quantize_int4(plain, out, encoder.tokenize(calibration_texts(None).texts), pad_id=0)
    ids = encoder.tokenize(real_texts)
    batch = pad_batch(ids, np.arange(len(ids)), 0)
    cosines = (run(out, *batch)[1] * run(plain, *batch)[1]).sum(axis=1)
    assert cosines.min() > 0.98
    assert spread(out, ids) <= 1e-3


@pytest.mark.parametrize("rows", [BLOCK, 2 * BLOCK, BLOCK + 8])
def test_onnxruntime_reads_the_blocks_as_they_were_rounded(rows: int, tmp_path: Path) -> None:
    """A weight that four bits hold exactly must come back as it is, whole last block or not."""
    random = np.random.default_rng(0)
    blocks = -(-rows // BLOCK)
    whole = random.integers(-8, 8, (rows, 16))
    whole[::BLOCK] = -8  # so that each block's scale is known
    scales = 2.0 ** random.integers(-3, 3, (blocks, 16))
    weight = (whole * np.repeat(scales, BLOCK, axis=0)[:rows]).astype(np.float32)
    file, out = tmp_path / "model.onnx", tmp_path / "int4.onnx"
    onnx.save(_one_product(weight), file)
    quantize_int4(file, out, RaggedIds.from_blocks([[list(range(1, rows + 1))] * 3]), pad_id=0)
    eye = np.eye(rows, dtype=np.int64)
    np.testing.assert_allclose(run(out, eye)[0], weight, atol=0.01 * np.abs(weight).max())


def test_no_text_is_refused(tiny: Path, tmp_path: Path) -> None:
    export_onnx(SentenceEncoder.load(tiny, max_length=64), tmp_path / "model.onnx")
    with pytest.raises(ExportError, match="no text"):
        quantize_int4(tmp_path / "model.onnx", tmp_path / "int4.onnx", RaggedIds.from_blocks([]), pad_id=0)


def _one_product(weight: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> onnx.ModelProto:
    """Return a graph that multiplies its ids, as numbers, by `weight`."""
    columns = weight.shape[1]
    make = onnx.helper.make_node
    nodes = [
        make("Cast", ["input_ids"], ["numbers"], to=onnx.TensorProto.FLOAT),
        make("Cast", ["attention_mask"], ["mask"], to=onnx.TensorProto.FLOAT),
        make("Mul", ["numbers", "mask"], ["kept"]),
        make("MatMul", ["kept", "weight"], ["out"]),
    ]
    value = onnx.helper.make_tensor_value_info
    inputs = [value(name, onnx.TensorProto.INT64, ["n", "k"]) for name in ("input_ids", "attention_mask")]
    outputs = [value("out", onnx.TensorProto.FLOAT, ["n", columns])]
    graph = onnx.helper.make_graph(nodes, "g", inputs, outputs, [numpy_helper.from_array(weight, "weight")])
    opsets = [onnx.helper.make_opsetid("", 20)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
