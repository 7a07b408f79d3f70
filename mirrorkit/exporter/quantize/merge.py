"""Multiply once by what several int8 matrices hold side by side, as queries, keys and values come of one input.

For a short text an integer multiplication takes hardly longer than it takes to start it on every thread.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from mirrorkit.exporter.graph.pattern import other_input, producer, row_of
from mirrorkit.exporter.graph.simplify import add_constant
from mirrorkit.exporter.quantize.groups import array_of
from mirrorkit.extras import require

require("onnxscript", extra="export")
import onnx_ir as ir


@dataclass(frozen=True)
class _Product:
    """A MatMul by an int8 matrix, with the Add of its bias where there is one."""

    matmul: ir.Node
    dequantize: ir.Node  # of the matrix: its inputs are bytes, a scale for each column, zero points
    add: ir.Node | None
    bias: ir.Value | None

    @property
    def matrix(self) -> ir.Value:
        found = self.dequantize.inputs[0]
        assert found is not None
        return found

    @property
    def last(self) -> ir.Node:
        return self.add or self.matmul


def merge_products(graph: ir.Graph) -> int:
    """Make the products of one value with int8 matrices into one product and a Split; return how many were made.

    A matrix that elsewhere is multiplied in other company stays apart, for it would have to be stored twice.
    """
    families = _families(graph)
    company: dict[ir.Value, set[tuple[ir.Value, ...]]] = defaultdict(set)
    for family in families:
        for product in family:
            company[product.matrix].add(tuple(other.matrix for other in family))
    wanted = [family for family in families if len(family) > 1 and all(len(company[p.matrix]) == 1 for p in family)]
    stored: dict[ir.Value, list[ir.Value]] = {}
    for family in wanted:
        _merge(graph, family, stored)
    return len(wanted)


def _families(graph: ir.Graph) -> list[list[_Product]]:
    """Return the products that multiply the same value, all with a bias or all without."""
    families: dict[tuple[ir.Value, bool], list[_Product]] = defaultdict(list)
    for node in graph:
        dequantize = producer(node.inputs[1], "DequantizeLinear") if node.op_type == "MatMul" else None
        if dequantize is None or any(value is None or value.const_value is None for value in dequantize.inputs):
            continue
        value = node.inputs[0]
        assert value is not None
        product = _product(node, dequantize)
        families[value, product.add is not None].append(product)
    return list(families.values())


def _product(matmul: ir.Node, dequantize: ir.Node) -> _Product:
    uses = list(matmul.outputs[0].uses())
    add = uses[0].node if len(uses) == 1 and uses[0].node.op_type == "Add" else None
    bias = other_input(add, matmul.outputs[0]) if add is not None else None
    row, scale = row_of(bias), row_of(dequantize.inputs[1])  # each has a number a column
    if row is None or scale is None or row.shape != scale.shape:
        add = bias = None
    return _Product(matmul, dequantize, add, bias)


def _merge(graph: ir.Graph, family: list[_Product], stored: dict[ir.Value, list[ir.Value]]) -> None:
    first = family[0]
    name = first.matmul.name
    columns = stored.get(first.matrix)
    if columns is None:
        kinds = ("int8", "scale", "zero")
        columns = [
            _side_by_side(graph, [p.dequantize.inputs[i] for p in family], f"{first.matrix.name}.merged.{kind}")
            for i, kind in enumerate(kinds)
        ]
        stored[first.matrix] = columns
    dequantize = ir.node("DequantizeLinear", columns, attributes={"axis": 1}, name=f"{name}/merged/weight")
    product = ir.node("MatMul", [first.matmul.inputs[0], dequantize.outputs[0]], name=f"{name}/merged")
    nodes = [dequantize, product]
    if first.add is not None:
        bias = _side_by_side(graph, [p.bias for p in family], f"{name}/merged/bias")
        nodes.append(ir.node("Add", [product.outputs[0], bias], name=f"{name}/merged/Add"))
    widths = np.array([array_of(p.matrix).shape[1] for p in family], np.int64)
    sizes = add_constant(graph, f"{name}/merged/widths", widths)
    split = ir.node(
        "Split",
        [nodes[-1].outputs[0], sizes],
        attributes={"axis": -1},
        num_outputs=len(family),
        name=f"{name}/merged/Split",
    )
    for node in nodes:
        node.outputs[0].name = f"{node.name}/out"
    graph.insert_before(first.matmul, [*nodes, split])
    for part, each in zip(split.outputs, family, strict=True):
        before = each.last.outputs[0]
        part.name, part.shape, part.type = f"{each.matmul.name}/part", before.shape, before.type
        before.replace_all_uses_with(part, replace_graph_outputs=True)


def _side_by_side(graph: ir.Graph, values: list[ir.Value | None], name: str) -> ir.Value:
    arrays = [value.const_value.numpy() for value in values if value is not None and value.const_value is not None]
    return add_constant(graph, name, np.concatenate(arrays, axis=-1))
