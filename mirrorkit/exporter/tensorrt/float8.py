"""The bundle's int8 graph in FP8 (E4M3), as TensorRT takes it: one scale for each activation and each matrix.

An E4M3 number has four significant bits and reaches from 2^-9 to 448, so it is as exact for the small channels of a
tensor as for its largest, and one scale is enough: the largest magnitude over 448. That of an activation is the one
that the export has measured for int8, that of a matrix its own. One scale for each side of a product is also what
NVIDIA's own recipe has (Model Optimizer, FP8_DEFAULT_CFG). Matrices are made of the int8 weights, whose steps are finer
than those of E4M3 but for the smallest ones; what lies between the products stays in fp32, tables become fp16.
"""

from __future__ import annotations

import numpy as np

from mirrorkit.errors import ExportError
from mirrorkit.exporter.graph.simplify import add_constant
from mirrorkit.exporter.tensorrt.signed import Array, constant, put_step, quantizers, reach, tables_as_half
from mirrorkit.extras import require

require("onnxscript", extra="export")
import onnx_ir as ir

LARGEST = 448  # of the numbers of E4M3
SINCE = 19  # the first operator set that quantises to it
_E4M3 = ir.DataType.FLOAT8E4M3FN.numpy()
_TINY = 1e-30  # a scale may not be 0


def to_float8(model: ir.Model) -> int:
    """Change the model's graph in place; return how many activations it quantises.

    Raises ExportError where there is none, and for an operator set without FP8.
    """
    graph, opset = model.graph, model.opset_imports.get("", 0)
    if opset < SINCE:
        raise ExportError(f"the graph is of operator set {opset}, FP8 came with {SINCE}: export with a later one")
    found = quantizers(graph, "fp8")
    for node in found:
        put_step(graph, node, float8_step(reach(node)), np.zeros((), dtype=_E4M3))
    weights: dict[tuple[ir.Value | None, ...], tuple[ir.Value, ...]] = {}  # several nodes may take the same
    for node in graph:
        value = node.inputs[0] if node.op_type == "DequantizeLinear" else None
        if value is None or value.const_value is None:
            continue
        own = tuple(node.inputs)
        if own not in weights:
            weights[own] = _weight(graph, node)
        for place, changed in enumerate(weights[own]):
            node.replace_input_with(place, changed)
        node.attributes.pop("axis", None)  # one scale has none
    tables_as_half(graph)
    return len(found)


def float8_step(magnitude: float) -> np.float32:
    """Return the scale by which the largest number of E4M3 stands for `magnitude`."""
    return np.float32(max(magnitude, _TINY) / LARGEST)


def _weight(graph: ir.Graph, node: ir.Node) -> tuple[ir.Value, ...]:
    """Return numbers, scale and zero point for a matrix of int8 with a scale for each column."""
    whole, scale, zero = (constant(node, place) for place in range(3))
    if whole.dtype != np.int8 or zero.any() or scale.size not in (1, whole.shape[-1]):
        raise ExportError(f"{node.name}: dequantises {whole.dtype} by {scale.size} scales; expected int8, by column")
    name = node.inputs[0].name if node.inputs[0] is not None else node.name
    values = whole.astype(np.float32) * scale
    step = float8_step(float(np.abs(values).max()))
    parts: dict[str, Array] = {
        "float8": np.clip(values / step, -LARGEST, LARGEST).astype(_E4M3),  # beyond lies NaN
        "float8_scale": np.asarray(step),
        "float8_zero": np.zeros((), dtype=_E4M3),
    }
    return tuple(add_constant(graph, f"{name}/{part}", array) for part, array in parts.items())
