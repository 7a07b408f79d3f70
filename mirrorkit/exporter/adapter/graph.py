"""Put the map of an adapter behind the sentence vector of a graph."""

from __future__ import annotations

import numpy as np

from mirrorkit.errors import ExportError
from mirrorkit.exporter.graph.simplify import add_constant
from mirrorkit.extras import require
from mirrorkit.formats.adapter import Adapter
from mirrorkit.formats.bundle import OUTPUTS

require("onnxscript", extra="export")
import onnx_ir as ir

_PREFIX = "adapter"


def append(model: ir.Model, adapter: Adapter, *, normalized: bool) -> None:
    """Let the graph give what `adapter` makes of its sentence vectors, in fp32 whatever the precision before.

    `normalized` tells that those have unit length. Operators and numbers are those of `Adapter.__call__`. Raises
    ExportError for a graph that has one already, or no sentence vector.
    """
    graph = model.graph
    place = next((i for i, value in enumerate(graph.outputs) if value.name == OUTPUTS[1]), None)
    if place is None or any(name.startswith(f"{_PREFIX}.") for name in graph.initializers):
        raise ExportError("a graph without a sentence_embedding, or with an adapter behind it already, takes none")
    before = graph.outputs[place]
    before.name = f"{_PREFIX}.before"
    made = _Behind(graph, adapter)
    vectors = before
    if adapter.record.similarity == "cosine" and not normalized:
        vectors = made.unit(vectors, "in")
    found = made.mapped(vectors)
    if adapter.record.normalized:
        found = made.unit(found, "out")
    assert before.shape is not None
    found.name, found.type = OUTPUTS[1], ir.TensorType(ir.DataType.FLOAT)
    found.shape = ir.Shape([before.shape[0], adapter.record.old.dim])
    graph.outputs[place] = found


class _Behind:
    """Adds nodes at the end of a graph."""

    def __init__(self, graph: ir.Graph, adapter: Adapter) -> None:
        self._graph, self._adapter = graph, adapter

    def mapped(self, vectors: ir.Value) -> ir.Value:
        """Return the affine map of vectors, and what a layer of ReLUs adds to it."""
        weights = self._adapter.weights
        found = vectors
        for name in ("down", "up") if "down" in weights else ("weight",):
            found = self._node("MatMul", found, self._weight(name), name=name)
        found = self._node("Add", found, self._weight("bias"), name="bias")
        if "hidden" in weights:
            hidden = self._node("MatMul", vectors, self._weight("hidden"), name="hidden")
            hidden = self._node("Add", hidden, self._weight("hidden_bias"), name="hidden_bias")
            hidden = self._node("Relu", hidden, name="relu")
            beside = self._node("MatMul", hidden, self._weight("out"), name="out")
            found = self._node("Add", found, beside, name="sum")
        return found

    def unit(self, vectors: ir.Value, where: str) -> ir.Value:
        """Return vectors at unit length; one of zeros stays one."""
        axes = self._constant("axes", np.array([-1], dtype=np.int64))
        least = self._constant("least", np.array(1e-12, dtype=np.float32))
        square = self._node("Mul", vectors, vectors, name=f"{where}/square")
        total = self._node("ReduceSum", square, axes, name=f"{where}/total")
        length = self._node("Max", self._node("Sqrt", total, name=f"{where}/length"), least, name=f"{where}/least")
        return self._node("Div", vectors, length, name=f"{where}/unit")

    def _weight(self, name: str) -> ir.Value:
        return self._constant(name, np.ascontiguousarray(self._adapter.weights[name], dtype=np.float32))

    def _constant(self, name: str, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> ir.Value:
        known = self._graph.initializers.get(f"{_PREFIX}.{name}")
        return known if known is not None else add_constant(self._graph, f"{_PREFIX}.{name}", array)

    def _node(self, operator: str, *inputs: ir.Value, name: str) -> ir.Value:
        node = ir.node(operator, list(inputs), name=f"{_PREFIX}/{name}")
        made: ir.Value = node.outputs[0]
        made.name = f"{_PREFIX}/{name}/out"
        self._graph.append(node)
        return made
