"""The bundle's int8 graph as TensorRT takes it: bytes with a sign around zero, and tables that are no bytes.

The graph quantises activations to unsigned bytes with a zero point, which suits x86 processors. TensorRT wants int8
with zero as its zero point (its documentation, "Working with Quantized Types": symmetric quantisation alone). The range
of an activation stays the one that the export has measured; its larger half decides the step. Weights are int8 around
zero already, a scale for each column. A table that rows are looked up in would have to be dequantised first: its bytes
are kept as fp16, which holds every one of them exactly.
"""

from __future__ import annotations

import numpy as np

from mirrorkit.errors import ExportError
from mirrorkit.exporter.graph.simplify import add_constant
from mirrorkit.extras import require

require("onnxscript", extra="export")
import onnx_ir as ir

LEVELS = 127  # of a byte with a sign, on either side of zero
_UNSIGNED = 255


def to_signed(graph: ir.Graph) -> int:
    """Change the graph in place; return how many activations it quantises. Raises ExportError where there is none."""
    found = [node for node in graph if node.op_type == "QuantizeLinear"]
    if not found:
        raise ExportError("the graph quantises nothing, so no int8 engine can be made of it")
    for node in found:
        _sign(graph, node)
    _tables_as_half(graph)
    return len(found)


def signed_scale(scale: float, zero: int) -> np.float32:
    """Return the step of signed bytes that reach as far as unsigned ones of this step and zero point do."""
    return np.float32(scale * max(zero, _UNSIGNED - zero) / LEVELS)


def _sign(graph: ir.Graph, node: ir.Node) -> None:
    scale, zero = (_number(node, place) for place in (1, 2))
    if zero.dtype == np.int8 and not zero.any():
        return
    if zero.dtype != np.uint8 or zero.size != 1:
        raise ExportError(f"{node.name}: quantises to {zero.dtype} by {zero.size} scales; expected one, of uint8")
    step = add_constant(graph, f"{node.name}/signed_scale", np.asarray(signed_scale(scale.item(), zero.item())))
    middle = add_constant(graph, f"{node.name}/signed_zero", np.zeros((), dtype=np.int8))
    out = node.outputs[0]
    users = [use.node for use in out.uses()]
    for user in users:
        if user.op_type != "DequantizeLinear":
            raise ExportError(f"{user.name}: reads the bytes of {node.name} and is {user.op_type}")
    for one in (node, *users):
        one.replace_input_with(1, step)
        one.replace_input_with(2, middle)
    out.type = ir.TensorType(ir.DataType.INT8)


def _number(node: ir.Node, place: int) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    value = node.inputs[place] if place < len(node.inputs) else None
    if value is None or value.const_value is None:
        raise ExportError(f"{node.name}: has no scale or zero point of its own in the graph")
    return value.const_value.numpy()


def _tables_as_half(graph: ir.Graph) -> None:
    for value in list(graph.initializers.values()):
        lookups = [use for use in value.uses() if use.node.op_type == "Gather" and use.idx == 0]
        if value.dtype != ir.DataType.INT8 or not lookups or value.const_value is None:
            continue
        table = add_constant(graph, f"{value.name}/fp16", value.const_value.numpy().astype(np.float16))
        for use in lookups:
            found = use.node.outputs[0]
            if any(user.node.op_type != "Cast" for user in found.uses()):
                raise ExportError(f"{use.node.name}: its bytes are read by something other than a Cast")
            use.node.replace_input_with(0, table)
            found.type = ir.TensorType(ir.DataType.FLOAT16)
