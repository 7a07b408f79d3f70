"""Make the traced graph lean: fewer nodes that only compute shapes, and names that say which layer a node is of."""

from __future__ import annotations

import ast
import hashlib
from collections import Counter

import numpy as np

from mirrorkit.exporter.graph.pattern import other_input, producer, put_instead, row_of
from mirrorkit.extras import require

require("onnxscript", extra="export")
import onnx_ir as ir
from onnx_ir.passes import common

_SCOPES = "pkg.torch.onnx.name_scopes"
_KEEPS_VALUES = {"Expand", "Gather", "GatherElements", "Slice", "Reshape", "Unsqueeze", "Squeeze", "Identity"}


def simplify(model: ir.Model) -> None:
    """Rewrite `model` in place into an equal one; strip what names the machine that it was made on."""
    for node in list(model.graph):
        _constant_row(model.graph, node)
        _constant_target(model.graph, node)
        _broadcast(node)
    _name_nodes(model.graph)
    for tidy in (
        common.IdentityEliminationPass(),
        common.RemoveUnusedNodesPass(),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
        common.ClearMetadataAndDocStringPass(),
    ):
        tidy(model)
    _share_weights(model.graph)
    _name_weights(model.graph)


def add_constant(graph: ir.Graph, name: str, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> ir.Value:
    """Return a new initializer of `graph` that holds `array`."""
    value = ir.Value(name=name, type=ir.TensorType(ir.DataType.from_numpy(array.dtype)), shape=ir.Shape(array.shape))
    value.const_value = ir.tensor(array, name=name)
    graph.initializers[name] = value
    return value


def _share_weights(graph: ir.Graph) -> None:
    """Store equal tensors once: layers that share weights share them here too, transposed or not.

    onnx_ir's own pass (DeduplicateHashedInitializersPass, 1.1.0) fails on the weights that the tracer transposed, whose
    arrays are not contiguous; its other one holds the bytes of all weights at once.
    """
    first: dict[tuple[ir.DataType | None, tuple[int, ...], bytes], ir.Value] = {}
    for name, value in list(graph.initializers.items()):
        if value.const_value is None:
            continue
        array = value.const_value.numpy()
        digest = hashlib.sha256(array.tobytes()).digest()
        kept = first.setdefault((value.dtype, array.shape, digest), value)
        if kept is not value:
            value.replace_all_uses_with(kept)
            del graph.initializers[name]


def _uniform(value: ir.Value | None) -> int | None:
    """Return the integer that all elements of `value` are, or None where that is not certain."""
    while value is not None:
        if value.const_value is not None:
            array = value.const_value.numpy()
            same = array.size and np.issubdtype(array.dtype, np.integer) and (array == array.flat[0]).all()
            return int(array.flat[0]) if same else None
        node = value.producer()
        if node is None or node.op_type not in _KEEPS_VALUES:
            return None
        value = node.inputs[0]
    return None


def _constant_row(graph: ir.Graph, node: ir.Node) -> None:
    """Look up a row that is always the same, such as the type of the only sentence, once and for all."""
    if node.op_type != "Gather" or node.inputs[0] is None or node.inputs[0].const_value is None:
        return
    table, row = node.inputs[0].const_value.numpy(), _uniform(node.inputs[1])
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
    users = [use.node for use in node.outputs[0].uses()]
    if row is None or axis != 0 or table.ndim != 2 or any(user.op_type != "Add" for user in users):
        return
    constant = add_constant(graph, f"{node.inputs[0].name}_{row}", np.ascontiguousarray(table[row]))
    node.outputs[0].replace_all_uses_with(constant)


def _constant_target(graph: ir.Graph, node: ir.Node) -> None:
    """Give Reshape its target as a constant where the tracer knew which dimensions stay."""
    data, out = (node.inputs[0], node.outputs[0]) if node.op_type == "Reshape" else (None, None)
    if data is None or out is None or data.shape is None or out.shape is None or node.inputs[1] is None:
        return
    if node.inputs[1].const_value is not None:
        return
    target = []
    for i, dim in enumerate(out.shape):
        kept = i < len(data.shape) and not isinstance(dim, int) and dim == data.shape[i] and dim.value is not None
        target.append(dim if isinstance(dim, int) else 0 if kept else -1)
    if target.count(-1) > 1:
        return
    name = "shape_" + "_".join(map(str, target)).replace("-1", "rest")
    shape = graph.initializers.get(name) or add_constant(graph, name, np.array(target, dtype=np.int64))
    node.replace_input_with(1, shape)
    node.attributes.pop("allowzero", None)


def _broadcast(node: ir.Node) -> None:
    """Drop an Expand before arithmetic with an operand that is as large already."""
    if node.op_type != "Expand" or node.outputs[0].is_graph_output():
        return
    out = node.outputs[0]
    for use in list(out.uses()):
        other = use.node.inputs[1 - use.idx] if use.node.op_type in {"Add", "Sub", "Mul", "Div"} else None
        if other is not None and other.shape is not None and out.shape is not None and other.shape == out.shape:
            use.node.replace_input_with(use.idx, node.inputs[0])


def _name_nodes(graph: ir.Graph) -> None:
    seen: Counter[str] = Counter()
    for node in graph:
        scopes = [s for s in ast.literal_eval(node.metadata_props.get(_SCOPES, "[]"))[:-1] if s.startswith("backbone")]
        name = f"{scopes[-1] if scopes else 'encoder'}/{node.op_type}"
        seen[name] += 1
        node.name = name if seen[name] == 1 else f"{name}_{seen[name]}"


def _name_weights(graph: ir.Graph) -> None:
    """Name the weight that the tracer transposed after its layer."""
    for node in graph:
        weight = node.inputs[1] if node.op_type == "MatMul" else None
        if weight is not None and weight.const_value is not None and (weight.name or "").startswith("val_"):
            name = f"{(node.name or '').partition('/')[0]}.weight_transposed"
            if name not in graph.initializers:
                graph.initializers.pop(weight.name or "")
                weight.name = name
                graph.initializers[name] = weight


def sum_residuals(graph: ir.Graph) -> int:
    """Let one Sum add bias and residual where a LayerNormalization takes them; return how many there are.

    ONNX Runtime would make two Adds and a LayerNormalization into its SkipLayerNormalization, which on a CPU takes
    seven times as long (1.31, 2.3 µs against 0.3 µs for a token of 384).
    """
    count = 0
    for node in list(graph):
        outer = producer(node.inputs[0], "Add") if node.op_type == "LayerNormalization" else None
        if outer is None or any(row_of(v) is not None for v in outer.inputs):
            continue
        inner = next((add for v in outer.inputs if (add := _biased(v)) is not None), None)
        parts = list(outer.inputs) if inner is None else [*inner.inputs, other_input(outer, inner.outputs[0])]
        put_instead(graph, outer, [ir.node("Sum", parts, name=f"{outer.name}/Sum")])
        count += 1
    return count


def _biased(value: ir.Value | None) -> ir.Node | None:
    add = producer(value, "Add")
    if add is None or len(add.outputs[0].uses()) != 1:
        return None
    return add if any(row_of(v) is not None for v in add.inputs) else None
