"""Attention as one operator: the pattern around a Softmax, what makes it unfit, and the rewrite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from mirrorkit.exporter.graph.masks import is_padding_mask
from mirrorkit.exporter.graph.pattern import (
    UnfitError,
    attribute,
    other_input,
    producer,
    replace_value,
    row_of,
    scalar_of,
    sole_user,
)
from mirrorkit.exporter.graph.simplify import add_constant
from mirrorkit.extras import require

require("onnxscript", extra="export")
import onnx_ir as ir

DOMAIN = "com.microsoft"
LOWEST = float(np.finfo(np.float32).min)
HEADS_FIRST, KEYS_LAST, SWAP_LAST = [0, 2, 1, 3], [0, 2, 3, 1], [0, 1, 3, 2]


@dataclass(frozen=True)
class Attention:
    """The parts of one attention block, found from its Softmax."""

    query: ir.Value  # [batch, seq, hidden]
    key: ir.Value
    value: ir.Value
    heads: int
    scale: float
    bias: ir.Value | None  # [batch or 1, heads, seq, seq], added to the scores
    out: ir.Value  # [batch, seq, hidden]


@dataclass(frozen=True)
class _Heads:
    """Queries, keys or values, before they are split into heads."""

    data: ir.Value  # [batch, seq, hidden]
    count: int
    scale: float


class KeyMask:
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


def match_attention(softmax: ir.Node, key_mask: KeyMask) -> Attention:
    """Return the attention around a Softmax; raises UnfitError where the operator would compute something else."""
    scores, masked, bias = _unmasked(softmax, key_mask)
    weighted = sole_user(softmax.outputs[0], "MatMul")
    if weighted is None or weighted.inputs[0] is not softmax.outputs[0]:
        raise UnfitError(_after(softmax, key_mask))
    if not masked:
        raise UnfitError("no padding mask is added to the scores")
    product, scale = _product(scores) or _unfit("the scores are not a single product of queries and keys")
    query = _split_heads("queries", product.inputs[0], HEADS_FIRST)
    key = _split_heads("keys", product.inputs[1], KEYS_LAST)
    value = _split_heads("values", weighted.inputs[1], HEADS_FIRST)
    merged = _merged_heads(weighted.outputs[0])
    if not query.count == key.count == value.count:
        raise UnfitError(f"{query.count} heads of queries, {key.count} of keys and {value.count} of values")
    if value.scale != 1:
        raise UnfitError(f"the values are multiplied by {value.scale:g}")
    scale *= query.scale * key.scale
    return Attention(query.data, key.data, value.data, query.count, scale, bias, merged)


def put_attention(graph: ir.Graph, softmax: ir.Node, found: Attention, mask: ir.Value) -> None:
    """Let one MultiHeadAttention compute what the block does; biases of its inputs become part of it."""
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
    replace_value(found.out, node)


def _unfit(reason: str) -> NoReturn:
    raise UnfitError(reason)


def _unmasked(softmax: ir.Node, key_mask: KeyMask) -> tuple[ir.Value | None, bool, ir.Value | None]:
    """Return the scores before anything is added to them, whether a padding mask is, and which bias is."""
    scores, masked, bias = softmax.inputs[0], False, None
    while (add := producer(scores, "Add")) is not None:
        addend = next((v for v in add.inputs if v is not None and key_mask.covers(v)), None)
        if addend is not None and not masked:
            masked = True
        elif bias is None:
            # What is left of the two is the product of queries and keys, scaled.
            addend = bias = next((v for v in add.inputs if _product(v) is None), None)
            if addend is None:
                raise UnfitError("the scores are a sum of several products")
        else:
            raise UnfitError("more than a padding mask and one bias is added to the scores")
        scores = other_input(add, addend)
    return scores, masked, bias


def _after(softmax: ir.Node, key_mask: KeyMask) -> str:
    """Return why the weights that a Softmax gives are not simply multiplied by the values."""
    users = [use.node for use in softmax.outputs[0].uses()]
    if len(users) != 1:
        return f"{len(users)} operators take the weights that the softmax gives"
    (user,) = users
    if user.op_type in ("Add", "Mul") and key_mask.covers(other_input(user, softmax.outputs[0])):
        return "the mask is added after the softmax"
    return f"the weights that the softmax gives go to {user.op_type}, not to a product with the values"


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


def _split_heads(what: str, value: ir.Value | None, order: list[int]) -> _Heads:
    """Return what is behind a [batch, heads, seq, size], or, of keys, a [batch, heads, size, seq]."""
    value, scale = _unscaled(value)
    turn = producer(value, "Transpose")
    if turn is not None and attribute(turn, "perm") == SWAP_LAST and order == KEYS_LAST:
        turn, order = producer(turn.inputs[0], "Transpose"), HEADS_FIRST
    split = producer(turn.inputs[0], "Reshape") if turn is not None and attribute(turn, "perm") == order else None
    shape = split.outputs[0].shape if split is not None else None
    data = split.inputs[0] if split is not None else None
    if data is None or shape is None or len(shape) != 4 or not isinstance(shape[2], int):
        raise UnfitError(f"the {what} are changed between their layer and the split into heads")
    if data.shape is None or len(data.shape) != 3:
        raise UnfitError(f"the {what} have other axes than batch, tokens and hidden size")
    return _Heads(data, shape[2], scale)


def _merged_heads(value: ir.Value) -> ir.Value:
    turn = sole_user(value, "Transpose")
    merge = sole_user(turn.outputs[0], "Reshape") if turn and attribute(turn, "perm") == HEADS_FIRST else None
    shape = merge.outputs[0].shape if merge else None
    if merge is None or shape is None or len(shape) != 3:
        raise UnfitError("the heads are not merged right after the values")
    return merge.outputs[0]


def _without_bias(value: ir.Value) -> tuple[ir.Value, np.ndarray[tuple[int, ...], np.dtype[np.float32]] | None]:
    """Return what a constant row is added to, and the row; the value itself and None where there is no such row."""
    add = producer(value, "Add")
    for constant in add.inputs if add is not None else ():
        row = row_of(constant)
        if add is not None and constant is not None and row is not None:
            return other_input(add, constant), row
    return value, None
