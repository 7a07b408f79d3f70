"""What can be said of an ONNX file without running it: is it well-formed, and is it what the contract asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mirrorkit.errors import first_line
from mirrorkit.extras import require
from mirrorkit.formats.bundle import AXES, INPUTS, OUTPUTS, Graph
from mirrorkit.runtime.session import Port, Signature
from mirrorkit.verification.problem import Problem, Stage

STANDARD = {"", "ai.onnx"}


def graph_kind(file: Path) -> Graph:
    """Return whether the graph is of standard operators alone."""
    return Graph.ONNX if _domains(load_graph(file)) <= STANDARD else Graph.ONNXRUNTIME


def check_graph(file: Path, kind: Graph, data_files: tuple[Path, ...] = ()) -> list[Problem]:
    """Return what onnx.checker, full shape inference, and a look at its operators and weight files object to.

    Of a graph with operators of ONNX Runtime's own the checker sees the rest: it knows no schema for them.
    """
    onnx = require("onnx", extra="export")
    try:
        model = load_graph(file)
    except Exception as err:  # protobuf's own types
        return [Problem(Stage.GRAPH, "not an ONNX file", first_line(err))]
    problems = []
    foreign = sorted(_domains(model) - STANDARD)
    if kind is Graph.ONNX and foreign:
        problems.append(Problem(Stage.GRAPH, "operators of a portable graph", ", ".join(foreign), "standard ones"))
    problems += _check_weights(model, file, data_files)
    if problems:
        return problems  # the checker would read the weights
    if any(path.is_symlink() for path in data_files):
        return problems  # as in the hub's cache: the checker follows no links, ONNX Runtime does
    try:
        onnx.checker.check_model(str(file), full_check=not foreign)
    except Exception as err:  # ValidationError, InferenceError, and for damaged weights a ValueError
        problems.append(Problem(Stage.GRAPH, "onnx.checker", first_line(err)))
    return problems


def check_contract(signature: Signature, dim: int, width: int) -> list[Problem]:
    """Return how names, types and axes differ from the contract: tokens of `width`, sentences of `dim`."""
    problems = []
    batch, length = AXES
    wanted_inputs = tuple(Port(name, "tensor(int64)", AXES) for name in INPUTS)
    shapes: dict[str, tuple[int | str | None, ...]] = {OUTPUTS[0]: (batch, length, width), OUTPUTS[1]: (batch, dim)}
    wanted_outputs = tuple(Port(name, "tensor(float)", shapes[name]) for name in OUTPUTS)
    for what, actual, wanted in (
        ("inputs", signature.inputs, wanted_inputs),
        ("outputs", signature.outputs, wanted_outputs),
    ):
        if actual != wanted:
            problems.append(Problem(Stage.CONTRACT, what, _listed(actual), _listed(wanted)))
    return problems


def _listed(ports: tuple[Port, ...]) -> str:
    return ", ".join(map(str, ports)) or "none"


def load_graph(file: Path) -> Any:
    """Return the ONNX model without the weights that lie in other files."""
    onnx = require("onnx", extra="export")
    return onnx.load(str(file), load_external_data=False)


def nodes_in(nodes: Iterable[Any]) -> Iterator[Any]:
    """Yield the nodes and those of the graphs inside them."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from nodes_in(graph.node)


def _domains(model: Any) -> set[str]:
    bodies = (model.graph.node, *(function.node for function in model.functions))
    domains = {node.domain for body in bodies for node in nodes_in(body)}
    # A function of the model's own is made of other operators, which are counted above.
    return domains - {function.domain for function in model.functions}


def _check_weights(model: Any, file: Path, data_files: tuple[Path, ...]) -> list[Problem]:
    """Return the weights that lie in files which are not the variant's own."""
    allowed = {path.resolve() for path in data_files}
    outside = set()
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location" and (file.parent / entry.value).resolve() not in allowed:
                outside.add(entry.value)
    names = ", ".join(sorted(path.name for path in data_files)) or "this file alone"
    return [Problem(Stage.GRAPH, "weights are read from", name, names) for name in sorted(outside)]


def external_files(file: Path) -> set[str]:
    """Return the names of the files, relative to the graph's folder, that hold weights of it."""
    model = load_graph(file)
    return {e.value for tensor in model.graph.initializer for e in tensor.external_data if e.key == "location"}
