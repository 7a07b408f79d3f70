"""Embedding tables in eight bits, a scale for each row: half of a small model's bytes."""

from __future__ import annotations

import numpy as np

from mirrorkit.exporter.products import constant
from mirrorkit.extras import require

require("onnx", extra="export")
import onnx
from onnx import helper, numpy_helper

_SMALLEST = 1 << 16  # values; below that there is nothing to save


def shrink_tables(model: onnx.ModelProto) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto], int]:
    """Return all nodes with each look-up of a large fp32 table made one in int8, new constants, and how many tables.

    A row is taken first and scaled then, so that the table is never unpacked as a whole.
    """
    large = {
        t.name
        for t in model.graph.initializer
        if len(t.dims) == 2 and t.data_type == onnx.TensorProto.FLOAT and t.dims[0] * t.dims[1] >= _SMALLEST
    }
    elsewhere = {
        name
        for node in model.graph.node
        for place, name in enumerate(node.input)
        if name in large and not (node.op_type == "Gather" and place == 0 and _axis(node) == 0)
    }
    nodes: list[onnx.NodeProto] = []
    added: dict[str, onnx.TensorProto] = {}
    done: set[str] = set()
    for node in model.graph.node:
        table = node.input[0] if node.op_type == "Gather" else ""
        if table not in large - elsewhere or _axis(node) != 0:
            nodes.append(node)
            continue
        if table not in done:
            done.add(table)
            for tensor in _packed(model, table):
                added[tensor.name] = tensor
        out = node.output[0]
        nodes += [
            helper.make_node("Gather", [f"{table}/int8", node.input[1]], [f"{out}/int8"]),
            helper.make_node("Gather", [f"{table}/scale", node.input[1]], [f"{out}/scale"]),
            helper.make_node("Cast", [f"{out}/int8"], [f"{out}/float"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Mul", [f"{out}/float", f"{out}/scale"], [out]),
        ]
    return nodes, list(added.values()), len(done)


def _packed(model: onnx.ModelProto, name: str) -> list[onnx.TensorProto]:
    table = constant(model, name)
    scale = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12) / 127
    codes = np.rint(table / scale).astype(np.int8)
    return [
        numpy_helper.from_array(codes, f"{name}/int8"),
        numpy_helper.from_array(scale.astype(np.float32), f"{name}/scale"),
    ]


def _axis(node: onnx.NodeProto) -> int:
    return next((int(a.i) for a in node.attribute if a.name == "axis"), 0)
