"""Look back from a value of a graph to what computes it."""

from __future__ import annotations

from typing import Any

import numpy as np

from mirrorkit.extras import require

require("onnxscript", extra="export")
import onnx_ir as ir


def producer(value: ir.Value | None, op_type: str) -> ir.Node | None:
    """Return the node that computes `value`, if it is a standard operator of that type."""
    node = value.producer() if value is not None else None
    return node if node is not None and node.op_type == op_type and node.domain == "" else None


def other_input(node: ir.Node, one: ir.Value) -> ir.Value:
    """Return the input of a node of two that is not `one`."""
    other = node.inputs[1] if node.inputs[0] is one else node.inputs[0]
    assert other is not None
    return other


def attribute(node: ir.Node, name: str) -> Any:
    """Return the value of an attribute, None where it is not set."""
    found = node.attributes.get(name)
    value = found.value if found is not None else None
    return list(value) if isinstance(value, tuple) else value


def row_of(value: ir.Value | None) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]] | None:
    """Return the array of a constant of one dimension, such as a bias."""
    array = value.const_value.numpy() if value is not None and value.const_value is not None else None
    return array if array is not None and array.ndim == 1 and array.dtype == np.float32 else None


def scalar_of(value: ir.Value | None) -> float | None:
    """Return the number that a constant of one element holds."""
    array = value.const_value.numpy() if value is not None and value.const_value is not None else None
    return float(array.reshape(-1)[0]) if array is not None and array.size == 1 else None
