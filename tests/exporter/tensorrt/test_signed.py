"""The int8 graph for TensorRT: steps by hand, the same product in ONNX Runtime, and the library's own verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the export extra")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the onnx extra")
import onnx
import onnx_ir as ir
from onnx import helper, numpy_helper

from mirrorkit.errors import ExportError
from mirrorkit.exporter.tensorrt.library import build, load_library
from mirrorkit.exporter.tensorrt.presets import preset
from mirrorkit.exporter.tensorrt.signed import farthest, to_signed

SCALE, ZERO = np.float32(0.02), np.uint8(100)  # from -2 to 3.1
WIDTH, ROWS = 16, 40


def product(*, zero: Any = ZERO, reader: str = "DequantizeLinear") -> onnx.ModelProto:
    """Return a table of bytes, looked up, quantised, times int8 weights: the operators of a bundle's int8 graph."""
    rng = np.random.default_rng(0)
    values = {
        "table": rng.integers(-127, 128, (ROWS, WIDTH)).astype(np.int8),
        "size": np.float32(0.02),
        "scale": SCALE,
        "zero": zero,
        "bytes": rng.integers(-63, 64, (WIDTH, 8)).astype(np.int8),
        "scales": rng.uniform(0.01, 0.02, 8).astype(np.float32),
        "zeros": np.zeros(8, dtype=np.int8),
        "ones": np.array([1], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["found"]),
        helper.make_node("Cast", ["found"], ["rows"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", ["rows", "size"], ["x"]),
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], name="quantise"),
        helper.make_node(reader, ["q", "scale", "zero"] if reader == "DequantizeLinear" else ["q"], ["y"], name="read")
        if reader != "Cast"
        else helper.make_node("Cast", ["q"], ["y"], name="read", to=onnx.TensorProto.FLOAT),
        helper.make_node("DequantizeLinear", ["bytes", "scales", "zeros"], ["w"], axis=1),
        helper.make_node("MatMul", ["y", "w"], ["tokens"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "ones2"], ["wide"]),
        helper.make_node("Mul", ["tokens", "wide"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "ones"], ["sentence_embedding"], keepdims=0),
    ]
    values["ones2"] = np.array([2], dtype=np.int64)
    shape = ["batch_size", "sequence_length"]
    names = ("input_ids", "attention_mask")
    inputs = [helper.make_tensor_value_info(name, onnx.TensorProto.INT64, shape) for name in names]
    output = helper.make_tensor_value_info("sentence_embedding", onnx.TensorProto.FLOAT, ["batch_size", 8])
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "g", inputs, [output], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def signed(model: onnx.ModelProto) -> ir.Model:
    found = ir.from_proto(model)
    assert to_signed(found.graph) == 1
    return found


def run(model: onnx.ModelProto, ids: Any) -> Any:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]


@pytest.mark.parametrize(("zero", "reach"), [(0, 255), (255, 255), (128, 128), (100, 155)])
def test_a_step_reaches_as_far_as_the_larger_half_of_the_range(zero: int, reach: int) -> None:
    assert farthest(0.02, zero) == pytest.approx(0.02 * reach)


def test_it_computes_what_the_formula_says() -> None:
    model = product()
    constants = {value.name: numpy_helper.to_array(value) for value in model.graph.initializer}
    ids = np.arange(30).reshape(3, 10)
    x = constants["table"][ids].astype(np.float32) * constants["size"]
    step = np.float32(0.02 * 155 / 127)
    through = np.clip(np.round(x / step), -128, 127) * step
    expected = (through @ (constants["bytes"] * constants["scales"])).sum(axis=1)
    np.testing.assert_allclose(run(ir.to_proto(signed(model)), ids), expected, rtol=1e-4, atol=1e-4)


def test_bytes_have_a_sign_and_tables_are_no_bytes() -> None:
    model = ir.to_proto(signed(product()))
    onnx.checker.check_model(model, full_check=True)
    kinds = {value.name: value.data_type for value in model.graph.initializer}
    used = {name for node in model.graph.node for name in node.input}
    assert onnx.TensorProto.UINT8 not in {kind for name, kind in kinds.items() if name in used}
    (lookup,) = [node for node in model.graph.node if node.op_type == "Gather"]
    assert kinds[lookup.input[0]] == onnx.TensorProto.FLOAT16


def test_a_graph_that_is_signed_already_stays_as_it_is() -> None:
    model = signed(product(zero=np.int8(0)))
    assert {value.name for value in model.graph.initializers.values()} >= {"scale", "zero"}
    (node,) = [node for node in model.graph if node.op_type == "QuantizeLinear"]
    assert [value.name for value in node.inputs if value][1:] == ["scale", "zero"]


def test_what_cannot_be_signed_is_named() -> None:
    with pytest.raises(ExportError, match="read: reads the bytes of quantise and is Cast"):
        to_signed(ir.from_proto(product(reader="Cast")).graph)
    with pytest.raises(ExportError, match="quantise: quantises to int8 by 1 scales; expected one, of uint8"):
        to_signed(ir.from_proto(product(zero=np.int8(3))).graph)
    plain = ir.from_proto(product())
    plain.graph.remove([node for node in plain.graph if node.op_type == "QuantizeLinear"])
    with pytest.raises(ExportError, match="the graph quantises nothing"):
        to_signed(plain.graph)


def test_tensorrt_builds_it(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="needs the tensorrt-rtx extra")
    file = tmp_path / "model.onnx"
    ir.save(signed(product()), str(file))
    assert build(load_library("tensorrt-rtx", None), file, preset("latency", 64), "sm89").engine
