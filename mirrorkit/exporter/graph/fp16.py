"""Turn a plain fp32 graph into one that computes in half precision where that is safe.

Half precision ends at 65504. What comes near that on probe texts, what is computed from positions alone, pooling and
normalisation stay in fp32; all else is fp16, weights included. Every operator's inputs are of one type, as strongly
typed runtimes want it.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mirrorkit.exporter.graph.onnxfile import write
from mirrorkit.exporter.graph.simplify import add_constant
from mirrorkit.extras import require
from mirrorkit.runtime.ort import open_graph
from mirrorkit.text.ragged import Ints

require("onnxscript", extra="export")
import onnx_ir as ir
from onnx_ir.passes import common

log = logging.getLogger(__name__)

LARGEST = 65504 / 8  # unseen text may reach eight times what the probe texts did
LARGEST_SQUARED = 255.0  # the square of anything larger overflows fp16
SQUARES = {"LayerNormalization", "ReduceL2", "Pow", "ReduceSumSquare"}
LOOKS_AWAY = -32768.0  # what a mask adds to a score: 0 after Softmax, and no overflow beside any real score
HALF, FULL = ir.DataType.FLOAT16, ir.DataType.FLOAT


@dataclass(frozen=True)
class HalfReport:
    """How much of the graph is in half precision."""

    half: int  # operators
    full: int  # operators between the embeddings and the last hidden state that had to stay in fp32
    casts: int


def to_half(model: ir.Model, probes: Sequence[Ints], folder: Path) -> HalfReport:
    """Rewrite `model` in place; `probes` are rows of token ids [length] to measure it on, `folder` has room for it.

    Inputs and outputs keep their types.
    """
    _bound_masks(model.graph)
    reach = _reach(model, probes, folder)
    wide = {v for v, highest in reach.items() if highest > LARGEST}
    body = _body(model.graph)
    half = {node for node in body if not _must_stay(node, wide, reach)}
    casts = _Casts(model.graph)
    for node in list(model.graph):
        _retype(node, HALF if node in half else FULL, casts)
    for index, output in enumerate(model.graph.outputs):
        if output.dtype == HALF:
            casts.publish(index)
    common.RemoveUnusedNodesPass()(model)
    common.TopologicalSortPass()(model)
    report = HalfReport(len(half), len(body) - len(half), casts.count)
    log.info("half precision: %d operators, %d kept in fp32, %d casts", report.half, report.full, report.casts)
    return report


def _bound_masks(graph: ir.Graph) -> None:
    """Replace the constants that stand for minus infinity in front of Softmax by one that fp16 holds."""
    bounded = None
    for value in list(graph.initializers.values()):
        array = value.const_value.numpy() if value.const_value is not None else np.zeros(1)
        if array.size != 1 or array.dtype != np.float32 or not float(array.reshape(-1)[0]) < -1e30:
            continue
        for use in list(value.uses()):
            if not any(v.is_graph_output() for v in _upstream(use.node)):  # not the -inf of max pooling
                bounded = bounded or add_constant(graph, "looks_away", np.array(LOOKS_AWAY, dtype=np.float32))
                use.node.replace_input_with(use.idx, bounded)


def _upstream(node: ir.Node) -> set[ir.Value]:
    """Return all values that `node` depends on."""
    found: set[ir.Value] = set()
    waiting = [v for v in node.inputs if v is not None]
    while waiting:
        value = waiting.pop()
        maker = value.producer()
        if value not in found and maker is not None:
            waiting += [v for v in maker.inputs if v is not None]
        found.add(value)
    return found


def _body(graph: ir.Graph) -> set[ir.Node]:
    """Return the nodes between the embedding tables and the last hidden state."""
    body: set[ir.Node] = set()
    hidden = graph.outputs[0]
    reached: set[ir.Value] = set()
    for node in graph:
        table = node.inputs[0] if node.op_type == "Gather" else None
        looks_up = table is not None and table.const_value is not None and table.dtype == FULL
        if (looks_up or any(v in reached for v in node.inputs)) and any(v.dtype == FULL for v in node.outputs):
            body.add(node)
            reached.update(v for v in node.outputs if v is not hidden)
    return body


def _must_stay(node: ir.Node, wide: set[ir.Value], reach: dict[ir.Value, float]) -> bool:
    values = [v for v in (*node.inputs, *node.outputs) if v is not None]
    squared = node.op_type in SQUARES and reach.get(_first(node), 0.0) > LARGEST_SQUARED
    return squared or any(v in wide or _leaves_half(v) for v in values)


def _first(node: ir.Node) -> ir.Value:
    assert node.inputs[0] is not None
    return node.inputs[0]


def _leaves_half(value: ir.Value) -> bool:
    """Return whether a constant number becomes 0 or infinite in fp16, or a weight infinite."""
    if value.const_value is None or value.dtype != FULL:
        return False
    array = value.const_value.numpy()
    with np.errstate(over="ignore"):
        small = array.astype(np.float16)
    return not np.isfinite(small).all() or (array.size == 1 and bool((small == 0) != (array == 0)))


def _retype(node: ir.Node, kind: ir.DataType, casts: _Casts) -> None:
    for index, value in enumerate(node.inputs):
        if value is not None and value.dtype in {HALF, FULL} and value.dtype != kind:
            node.replace_input_with(index, casts.to(value, kind))
    if kind == HALF:
        if node.op_type == "Cast" and node.attributes["to"].as_int() == FULL:
            node.attributes["to"] = ir.AttrInt64("to", HALF)
        for out in node.outputs:
            if out.dtype == FULL:
                out.type = ir.TensorType(HALF)


class _Casts:
    """Values of the graph in the other precision, each made once."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._made: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}
        self.count = 0

    def to(self, value: ir.Value, kind: ir.DataType) -> ir.Value:
        if (value, kind) not in self._made:
            weight = value.const_value is not None and kind == HALF
            self._made[value, kind] = self._weight(value) if weight else self._cast(value, kind)
        return self._made[value, kind]

    def publish(self, index: int) -> None:
        """Make output `index` fp32 again under its own name, for whoever reads it inside the graph too."""
        value = self._graph.outputs[index]
        name, shape = value.name, value.shape
        value.name = f"{name}_fp16"
        full = self.to(value, FULL)
        full.name, full.shape = name, shape
        self._graph.outputs[index] = full

    def _cast(self, value: ir.Value, kind: ir.DataType) -> ir.Value:
        suffix = "fp16" if kind == HALF else "fp32"
        node = ir.node("Cast", [value], attributes={"to": kind}, name=f"{value.name}/{suffix}")
        out = node.outputs[0]
        out.name, out.shape, out.type = f"{value.name}_{suffix}", value.shape, ir.TensorType(kind)
        maker = value.producer()
        if maker is not None:
            self._graph.insert_after(maker, node)
        else:
            self._graph.insert_before(self._graph[0], node)
        self.count += 1
        return out

    def _weight(self, value: ir.Value) -> ir.Value:
        assert value.const_value is not None
        return add_constant(self._graph, f"{value.name}_fp16", value.const_value.numpy().astype(np.float16))


def _reach(model: ir.Model, probes: Sequence[Ints], folder: Path) -> dict[ir.Value, float]:
    """Return the largest magnitude of every fp32 value of the graph over the probes, constants included.

    How low a value on its way into Softmax may get is of no interest: below -65504 is 0 afterwards, as it should be.
    """
    graph = model.graph
    values = [v for node in graph for v in node.outputs if v.dtype == FULL and v.name]
    outputs, nodes = list(graph.outputs), list(graph)
    axes: dict[str, Any] = {"keepdims": 0}
    added: list[ir.Node] = []
    for value in values:
        for op in ("ReduceMax", "ReduceMin"):
            node = ir.node(op, [value], attributes=axes, name=f"{value.name}/{op}")
            node.outputs[0].name, node.outputs[0].type = f"{value.name}/{op}", ir.TensorType(FULL)
            added.append(node)
    graph.extend(added)
    graph.outputs.extend(node.outputs[0] for node in added)
    try:
        measured = _run([node.outputs[0].name or "" for node in added], model, probes, folder)
    finally:
        del graph.outputs[len(outputs) :]
        graph.remove(added, safe=True)
    assert list(graph) == nodes
    softmax_only = _into_softmax(graph)
    reach = {
        value: max(0.0, high, 0.0 if value in softmax_only else -low)
        for value, (high, low) in zip(values, measured.reshape(-1, 2).tolist(), strict=True)
    }
    for value in graph.initializers.values():
        if value.const_value is not None and value.dtype == FULL and value.const_value.size:
            reach[value] = float(np.abs(value.const_value.numpy()).max()) if value.name != "looks_away" else 0.0
    return reach


def _run(
    names: list[str], model: ir.Model, probes: Sequence[Ints], folder: Path
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return the highest (even entries) and lowest (odd entries) over all probes."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".probe-") as temporary:
        write(model, Path(temporary) / "probe.onnx")
        session = open_graph(Path(temporary) / "probe.onnx")
        rows = []
        for ids in probes:
            feeds = {"input_ids": ids[None, :], "attention_mask": np.ones((1, len(ids)), dtype=np.int64)}
            rows.append(np.array(session.run(names, feeds), dtype=np.float32))
        del session  # Windows deletes no file that is mapped
    extremes: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = np.stack(rows)  # [probe, name]
    highest = np.arange(len(names)) % 2 == 0
    found: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
    found = np.where(highest, extremes.max(axis=0), extremes.min(axis=0)).astype(np.float32)
    return found


def _into_softmax(graph: ir.Graph) -> set[ir.Value]:
    """Return the values that only Softmax and the sums in front of it read."""
    found: set[ir.Value] = set()
    for node in reversed(list(graph)):
        for value in node.outputs:
            users = [use.node for use in value.uses()]
            passes = {"Add", "Where", "Unsqueeze", "Expand", "Cast", "Reshape"}
            if users and all(u.op_type == "Softmax" or (u.op_type in passes and u.outputs[0] in found) for u in users):
                found.add(value)
    return found
