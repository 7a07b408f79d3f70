"""Fuse a plain graph into ONNX Runtime's own operators, its weights left where they are.

The plain graph is ours, so the patterns are few and strict: what does not match stays as it is and is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mirrorkit.errors import ExportError
from mirrorkit.exporter.onnxfile import places_of, write_referring
from mirrorkit.exporter.pattern import attribute, other_input, producer, row_of, scalar_of
from mirrorkit.exporter.quant_graph import sum_residuals
from mirrorkit.exporter.simplify import add_constant
from mirrorkit.extras import require

require("onnxscript", extra="export")
import onnx_ir as ir
from onnx_ir.passes import common

from mirrorkit.exporter.masks import is_padding_mask

DOMAIN = "com.microsoft"
LOWEST = float(np.finfo(np.float32).min)
HEADS_FIRST, KEYS_LAST, SWAP_LAST = [0, 2, 1, 3], [0, 2, 3, 1], [0, 1, 3, 2]


@dataclass(frozen=True)
class FusionReport:
    """How many of each operator there are in the fused graph; a zero says that its pattern was not found."""

    attention: int  # MultiHeadAttention
    residual_sum: int  # Sum of residual, output and bias before a LayerNormalization
    bias_gelu: int  # BiasGelu, exact; FastGelu where the model itself has the tanh formula
    nodes_before: int
    nodes_after: int
    bytes_referred: int  # of weights that stay in the plain graph's file


@dataclass(frozen=True)
class _Attention:
    """The parts of one attention block, found from its Softmax."""

    query: ir.Value  # [batch, seq, hidden]
    key: ir.Value
    value: ir.Value
    heads: int
    scale: float
    bias: ir.Value | None  # [batch or 1, heads, seq, seq], added to the scores
    out: ir.Value  # [batch, seq, hidden]


def fuse(source: Path, out: Path, *, num_heads: int, hidden_size: int) -> FusionReport:
    """Write the fused form of the plain graph `source` to `out`, in the same folder.

    The big weights are not copied: `out` refers to their bytes in `source`, so it is useless without that file, and
    must be loaded by its path. Raises ExportError where the graph is not of a model with `num_heads` heads.
    """
    if source.resolve().parent != out.resolve().parent:
        raise ExportError(f"{out}: must be in the folder of {source}, whose weights it refers to")
    model = ir.load(source)
    before = model.graph.num_nodes()
    counts = {"attention": 0, "residual_sum": 0, "bias_gelu": 0}
    key_mask = _KeyMask(model)
    for node in list(model.graph):
        if node.op_type == "Softmax" and (found := _match_attention(node, key_mask)) is not None:
            if (found.heads, found.query.shape and found.query.shape[-1]) != (num_heads, hidden_size):
                raise ExportError(
                    f"{source}: attention of {found.heads} heads over {found.query.shape}, "
                    f"not {num_heads} heads over {hidden_size}"
                )
            _put_attention(model.graph, node, found, key_mask.value())
            counts["attention"] += 1
    common.RemoveUnusedNodesPass()(model)  # what nobody uses any more would count as a user below
    for node in list(model.graph):
        counts["bias_gelu"] += _fuse_gelu(node)
    counts["residual_sum"] = sum_residuals(model.graph)
    model.opset_imports[DOMAIN] = 1
    common.RemoveUnusedNodesPass()(model)
    common.TopologicalSortPass()(model)
    places = places_of(source)
    write_referring(model, out, places)
    kept = sum(places[name].length for name in model.graph.initializers if name in places)
    return FusionReport(**counts, nodes_before=before, nodes_after=model.graph.num_nodes(), bytes_referred=kept)


class _KeyMask:
    """The attention mask as ONNX Runtime's attention takes it, and whether an additive mask is the same thing."""

    def __init__(self, model: ir.Model) -> None:
        self._model = model
        self._mask = next(v for v in model.graph.inputs if v.name == "attention_mask")
        self._known: dict[ir.Value, bool] = {}
        self._cast: ir.Value | None = None

    def covers(self, value: ir.Value) -> bool:
        if value not in self._known:
            self._known[value] = is_padding_mask(self._model, value)
        return self._known[value]

    def value(self) -> ir.Value:
        if self._cast is None:
            cast = ir.node("Cast", [self._mask], attributes={"to": ir.DataType.INT32}, name="encoder/key_mask")
            cast.outputs[0].name = "key_mask"
            self._model.graph.insert_before(self._model.graph[0], cast)
            self._cast = cast.outputs[0]
        return self._cast


def _match_attention(softmax: ir.Node, key_mask: _KeyMask) -> _Attention | None:
    scores, masked, bias = softmax.inputs[0], False, None
    while (add := producer(scores, "Add")) is not None:
        addend = next((v for v in add.inputs if v is not None and key_mask.covers(v)), None)
        if addend is not None and not masked:
            masked = True
        elif bias is None:
            # What is left of the two is the product of queries and keys, scaled.
            addend = next((v for v in add.inputs if _product(v) is None), None)
            bias = addend
        if addend is None:
            return None
        scores = other_input(add, addend)
    found = _product(scores)
    heads_out = _sole_user(softmax.outputs[0], "MatMul")
    if found is None or heads_out is None or not masked or heads_out.inputs[0] is not softmax.outputs[0]:
        return None
    product, scale = found
    query, q_heads, q_scale = _split_heads(product.inputs[0], HEADS_FIRST)
    key, k_heads, k_scale = _split_heads(product.inputs[1], KEYS_LAST)
    value, v_heads, v_scale = _split_heads(heads_out.inputs[1], HEADS_FIRST)
    merged = _merged_heads(heads_out.outputs[0])
    if query is None or key is None or value is None or merged is None or not q_heads == k_heads == v_heads:
        return None
    return _Attention(query, key, value, q_heads, scale * q_scale * k_scale, bias, merged) if v_scale == 1 else None


def _product(scores: ir.Value | None) -> tuple[ir.Node, float] | None:
    """Return the MatMul of queries and keys behind `scores`, and what it is multiplied by."""
    source, scale = _unscaled(scores)
    node = producer(source, "MatMul")
    return None if node is None else (node, scale)


def _unscaled(value: ir.Value | None) -> tuple[ir.Value | None, float]:
    for op in ("Mul", "Div"):
        node = producer(value, op)
        factor = None if node is None else scalar_of(node.inputs[1])
        if node is not None and factor is not None:
            return node.inputs[0], factor if op == "Mul" else 1 / factor
    return value, 1.0


def _split_heads(value: ir.Value | None, order: list[int]) -> tuple[ir.Value | None, int, float]:
    """Return the [batch, seq, hidden] behind a [batch, heads, seq, size], the number of heads, and a factor."""
    value, scale = _unscaled(value)
    turn = producer(value, "Transpose")
    if turn is not None and attribute(turn, "perm") == SWAP_LAST and order == KEYS_LAST:
        turn, order = producer(turn.inputs[0], "Transpose"), HEADS_FIRST
    split = producer(turn.inputs[0], "Reshape") if turn is not None and attribute(turn, "perm") == order else None
    shape = split.outputs[0].shape if split is not None else None
    if split is None or shape is None or len(shape) != 4 or not isinstance(shape[2], int):
        return None, 0, 1.0
    data = split.inputs[0]
    flat = data is not None and data.shape is not None and len(data.shape) == 3
    return (data, shape[2], scale) if flat else (None, 0, 1.0)


def _merged_heads(value: ir.Value) -> ir.Value | None:
    turn = _sole_user(value, "Transpose")
    merge = _sole_user(turn.outputs[0], "Reshape") if turn and attribute(turn, "perm") == HEADS_FIRST else None
    shape = merge.outputs[0].shape if merge else None
    return merge.outputs[0] if merge and shape is not None and len(shape) == 3 else None


def _put_attention(graph: ir.Graph, softmax: ir.Node, found: _Attention, mask: ir.Value) -> None:
    linear = [_without_bias(v) for v in (found.query, found.key, found.value)]
    packed: ir.Value | None = None
    if all(row is not None for _, row in linear):
        rows = [row for _, row in linear if row is not None]
        packed = add_constant(graph, f"{softmax.name}/bias", np.concatenate(rows))
    else:
        linear = [(v, None) for v in (found.query, found.key, found.value)]
    node = ir.node(
        "MultiHeadAttention",
        [*(v for v, _ in linear), packed, mask, found.bias],
        domain=DOMAIN,
        attributes={"num_heads": found.heads, "scale": found.scale, "mask_filter_value": LOWEST},
        name=(softmax.name or "").replace("/Softmax", "/MultiHeadAttention"),
    )
    _replace(found.out, node)


def _without_bias(value: ir.Value) -> tuple[ir.Value, np.ndarray[tuple[int, ...], np.dtype[np.float32]] | None]:
    """Return what a constant row is added to, and the row; the value itself and None where there is no such row."""
    add = producer(value, "Add")
    for constant in add.inputs if add is not None else ():
        row = row_of(constant)
        if add is not None and constant is not None and row is not None:
            return other_input(add, constant), row
    return value, None


def _fuse_gelu(node: ir.Node) -> int:
    add = producer(node.inputs[0], "Add") if node.op_type == "Gelu" and node.domain == "" else None
    bias = next((v for v in add.inputs if v is not None and row_of(v) is not None), None) if add else None
    if add is None or bias is None:
        return 0
    kind = "FastGelu" if attribute(node, "approximate") == "tanh" else "BiasGelu"
    _replace(node.outputs[0], ir.node(kind, [other_input(add, bias), bias], domain=DOMAIN, name=f"{node.name}/{kind}"))
    return 1


def _replace(old: ir.Value, node: ir.Node) -> None:
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


def _sole_user(value: ir.Value, op_type: str) -> ir.Node | None:
    users = [use.node for use in value.uses()]
    return users[0] if len(users) == 1 and users[0].op_type == op_type else None
