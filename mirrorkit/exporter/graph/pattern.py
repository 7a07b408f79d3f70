"""Look back from a value of a graph to what computes it, and put other nodes there."""

from __future__ import annotations

from typing import Any

import numpy as np

from mirrorkit.extras import require

require("onnxscript", extra="export")
import onnx_ir as ir


class UnfitError(Exception):
    """A place in a graph begins like a pattern, but a rewrite would change what it computes; the message says why."""


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


def put_instead(graph: ir.Graph, old: ir.Node, nodes: list[ir.Node]) -> None:
    """Let the last of `nodes` compute what `old` did."""
    for node in nodes:
        for output in node.outputs:
            output.name = output.name or f"{node.name}/out"
    new, before = nodes[-1].outputs[0], old.outputs[0]
    new.shape, new.type = before.shape, before.type
    graph.insert_before(old, nodes)
    name = before.name
    before.replace_all_uses_with(new, replace_graph_outputs=True)
    graph.remove(old, safe=True)
    new.name = name


def replace_value(old: ir.Value, node: ir.Node) -> None:
    """Let `node` compute `old`, right before the node that did."""
    maker = old.producer()
    assert maker is not None
    assert maker.graph is not None
    new = node.outputs[0]
    new.shape, new.type = old.shape, old.type
    maker.graph.insert_before(maker, node)
    name, graph = old.name, maker.graph
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    if not any(v.uses() for v in maker.outputs):
        graph.remove(maker, safe=True)
    new.name = name


def sole_user(value: ir.Value, op_type: str) -> ir.Node | None:
    """Return the only node that takes `value`, if it is of that type."""
    users = [use.node for use in value.uses()]
    return users[0] if len(users) == 1 and users[0].op_type == op_type else None
