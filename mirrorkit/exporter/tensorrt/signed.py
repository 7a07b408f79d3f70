"""The bundle's int8 graph as TensorRT takes it: bytes with a sign around zero, and tables that are no bytes.

The graph quantises activations to unsigned bytes with a zero point, which suits x86 processors. TensorRT wants int8
with zero as its zero point (its documentation, "Working with Quantized Types": symmetric quantisation alone). The range
of an activation stays the one that the export has measured; its larger half decides the step. Weights are int8 around
zero already, a scale for each column. A table that rows are looked up in would have to be dequantised first: its bytes
are kept as fp16, which holds every one of them exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mirrorkit.errors import ExportError
from mirrorkit.exporter.graph.simplify import add_constant
from mirrorkit.extras import require

require("onnxscript", extra="export")
import onnx_ir as ir

LEVELS = 127  # of a byte with a sign, on either side of zero
_UNSIGNED = 255
Array = np.ndarray[tuple[int, ...], np.dtype[Any]]


def to_signed(graph: ir.Graph) -> int:
    """Change the graph in place; return how many activations it quantises. Raises ExportError where there is none."""
    found = quantizers(graph, "int8")
    for node in found:
        step = np.float32(reach(node) / LEVELS)
        if constant(node, 2).dtype != np.int8:
            put_step(graph, node, step, np.zeros((), dtype=np.int8))
    tables_as_half(graph)
    return len(found)


def quantizers(graph: ir.Graph, precision: str) -> list[ir.Node]:
    """Return the nodes that quantise activations; raises ExportError where there is none for an engine to be made."""
    found = [node for node in graph if node.op_type == "QuantizeLinear"]
    if not found:
        raise ExportError(f"the graph quantises nothing, so no {precision} engine can be made of it")
    return found


def reach(node: ir.Node) -> float:
    """Return the largest magnitude that the bytes of a quantiser stand for.

    Raises ExportError for one that has not one scale and a zero point of uint8, or of int8 that is 0.
    """
    scale, zero = constant(node, 1), constant(node, 2)
    if zero.dtype == np.int8 and scale.size == 1 and not zero.any():
        return float(scale.item() * LEVELS)
    if zero.dtype != np.uint8 or zero.size != 1:
        raise ExportError(f"{node.name}: quantises to {zero.dtype} by {zero.size} scales; expected one, of uint8")
    return farthest(scale.item(), zero.item())


def farthest(scale: float, zero: int) -> float:
    """Return the largest magnitude that unsigned bytes of this step and zero point stand for."""
    return scale * max(zero, _UNSIGNED - zero)


def put_step(graph: ir.Graph, node: ir.Node, step: np.float32, zero: Array) -> None:
    """Give a quantiser, and who dequantises what it gives, another step, and the type of `zero` around zero."""
    out = node.outputs[0]
    users = [use.node for use in out.uses()]
    for user in users:
        if user.op_type != "DequantizeLinear":
            raise ExportError(f"{user.name}: reads the bytes of {node.name} and is {user.op_type}")
    scale = add_constant(graph, f"{node.name}/{zero.dtype}_scale", np.asarray(step))
    middle = add_constant(graph, f"{node.name}/{zero.dtype}_zero", zero)
    for one in (node, *users):
        one.replace_input_with(1, scale)
        one.replace_input_with(2, middle)
    out.type = ir.TensorType(ir.DataType.from_numpy(zero.dtype))


def constant(node: ir.Node, place: int) -> Array:
    """Return an input of a node that stands in the graph; raises ExportError where it does not."""
    value = node.inputs[place] if place < len(node.inputs) else None
    if value is None or value.const_value is None:
        raise ExportError(f"{node.name}: has no scale or zero point of its own in the graph")
    return value.const_value.numpy()


def tables_as_half(graph: ir.Graph) -> None:
    """Keep the bytes of tables that rows are looked up in as fp16, which holds every one of them exactly."""
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
