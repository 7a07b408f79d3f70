"""What int8 and int4 share: the parts of a plain graph that are quantised, found by structure, and their report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeGuard

import numpy as np
import numpy.typing as npt

from mirrorkit.exporter.graph.pattern import attribute, other_input, put_instead, row_of
from mirrorkit.exporter.graph.simplify import add_constant
from mirrorkit.extras import require
from mirrorkit.formats.bundle import Graph
from mirrorkit.text.ragged import Floats

require("onnxscript", extra="export")
import onnx_ir as ir

MIN_WEIGHTS = 256  # a smaller matrix costs more in added operators than it saves
MIN_TABLE = 4096  # numbers; a smaller table, such as one of relative positions, stays as it is
CLIPS = np.linspace(0.7, 1.0, 13, dtype=np.float32)  # shares of the largest value that a scale may be cut to
TINY = 1e-8  # keeps the scale of an all-zero row above 0


@dataclass(frozen=True)
class QuantizationReport:
    """What was quantised, and for whom the graph is."""

    graph: Graph
    matrices: int  # weight matrices, a shared one counted once
    tables: int  # embedding tables
    weight_bits: int  # of the matrices; the tables have `table_bits`
    table_bits: int
    calibration_tokens: int  # that ranges and rounding come from; 0: none were needed
    bytes: int  # of the file


@dataclass
class Group:
    """Multiplications that share an input or a weight, so that one choice is made for all of them."""

    nodes: list[ir.Node] = field(default_factory=list)

    @property
    def inputs(self) -> list[ir.Value]:
        return list(dict.fromkeys(_input(node, 0) for node in self.nodes))

    @property
    def weights(self) -> list[ir.Value]:
        return list(dict.fromkeys(_input(node, 1) for node in self.nodes))

    @property
    def width(self) -> int:
        """Channels of the inputs."""
        return int(array_of(self.weights[0]).shape[0])


def weight_groups(graph: ir.Graph) -> list[Group]:
    """Return the multiplications by a constant matrix, in the order of the graph."""
    groups: list[Group] = []
    of: dict[ir.Value, Group] = {}
    for node in graph:
        if not _is_weighted(node):
            continue
        ends = (_input(node, 0), _input(node, 1))
        known = list({id(of[end]): of[end] for end in ends if end in of}.values())
        group = known[0] if known else Group()
        for other in known[1:]:  # layers that share their weights join what was apart until now
            group.nodes += other.nodes
            groups.remove(other)
        if not known:
            groups.append(group)
        group.nodes.append(node)
        of.update({end: group for member in group.nodes for end in (_input(member, 0), _input(member, 1))})
    return groups


def array_of(value: ir.Value) -> Floats:
    """Return the array of a constant."""
    assert value.const_value is not None
    return value.const_value.numpy().astype(np.float32, copy=False)


def shift_bias(graph: ir.Graph, node: ir.Node, shift: Floats, name: str) -> None:
    """Add `shift` to the bias of a multiplication; one without a bias is left alone."""
    uses = node.outputs[0].uses()
    add = next(iter(uses)).node if len(uses) == 1 else None
    if add is None or add.op_type != "Add" or add.domain != "":
        return
    bias = other_input(add, node.outputs[0])
    row = row_of(bias)
    if row is not None and row.shape == shift.shape:
        add.replace_input_with(list(add.inputs).index(bias), add_constant(graph, name, row + shift))


def tables_of(graph: ir.Graph) -> dict[ir.Value, list[ir.Node]]:
    """Return the embedding tables and the Gathers that read them."""
    tables: dict[ir.Value, list[ir.Node]] = {}
    for node in graph:
        table = node.inputs[0] if node.op_type == "Gather" and node.domain == "" else None
        if table is None or not _is_matrix(table) or (attribute(node, "axis") or 0) != 0 or table.is_graph_output():
            continue
        if array_of(table).size >= MIN_TABLE and all(use.node.op_type == "Gather" for use in table.uses()):
            tables.setdefault(table, []).append(node)
    return tables


def quantize_tables(graph: ir.Graph) -> int:
    """Store embedding tables as int8 with a scale for every row; return how many."""
    tables = tables_of(graph)
    for table, gathers in tables.items():
        scales, rows = round_rows(array_of(table), 127)
        whole = add_constant(graph, f"{table.name}_int8", rows)
        scale = add_constant(graph, f"{table.name}_scale", scales)
        for node in gathers:
            picked = ir.node("Gather", [whole, node.inputs[1]], name=f"{node.name}/int8")
            cast = ir.node("Cast", picked.outputs, attributes={"to": ir.DataType.FLOAT}, name=f"{node.name}/Cast")
            factor = ir.node("Gather", [scale, node.inputs[1]], name=f"{node.name}/scale")
            product = ir.node("Mul", [cast.outputs[0], factor.outputs[0]], name=f"{node.name}/Mul")
            put_instead(graph, node, [picked, cast, factor, product])
    return len(tables)


def round_rows(array: Floats, limit: int) -> tuple[Floats, npt.NDArray[np.int8]]:
    """Return scales [rows, 1] and int8 rows: the clip of each row is that of the least squared error."""
    largest = np.maximum(np.abs(array).max(axis=1, keepdims=True), TINY) / limit
    best, error = largest, np.full(largest.shape, np.inf, np.float32)
    for clip in CLIPS:
        scale = largest * clip
        rounded = np.clip(np.round(array / scale), -limit, limit) * scale
        now = ((rounded - array) ** 2).sum(axis=1, keepdims=True)
        best, error = np.where(now < error, scale, best), np.minimum(now, error)
    best = best.astype(np.float32)
    return best, np.clip(np.round(array / best), -limit, limit).astype(np.int8)


def _is_weighted(node: ir.Node) -> bool:
    if node.op_type != "MatMul" or node.domain != "":
        return False
    left, right = node.inputs
    return left is not None and left.const_value is None and _is_matrix(right) and array_of(right).size >= MIN_WEIGHTS


def _is_matrix(value: ir.Value | None) -> TypeGuard[ir.Value]:
    tensor = value.const_value if value is not None else None
    return tensor is not None and len(tensor.shape) == 2 and tensor.dtype == ir.DataType.FLOAT


def _input(node: ir.Node, place: int) -> ir.Value:
    value = node.inputs[place]
    assert value is not None
    return value
