"""The products of a graph with constant weights, and samples of what they are fed: where quantisation happens."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mirrorkit.batching import RaggedIds
from mirrorkit.bundle import INPUTS
from mirrorkit.exporter.fusion import fuse
from mirrorkit.extras import require

require("onnx", extra="export")
import onnx
from onnx import numpy_helper

Floats = npt.NDArray[np.float32]

DOMAIN = "com.microsoft"
ROWS = 3072  # sampled input vectors of a group
_SAMPLE_BYTES = 256 << 20  # of samples held at a time; further groups take further passes over the texts


@dataclass(frozen=True)
class Fed:
    """What the products of a group are fed on the calibration text."""

    rows: Floats  # [rows, k], an even sample
    low: Floats  # [k], the smallest value of all rows
    high: Floats  # [k], the largest


@dataclass(frozen=True)
class Group:
    """Products that must share a scale: those of one input, and those of one weight."""

    inputs: tuple[str, ...]  # names of the fed values, [..., k]
    weights: tuple[str, ...]  # names of the constants, [k, n]


def fused_model(source: Path, num_heads: int, hidden_size: int) -> onnx.ModelProto:
    """Return the fused form of a plain graph, its weights in it."""
    with tempfile.NamedTemporaryFile(dir=source.parent, suffix=".onnx") as scratch:
        fuse(source, Path(scratch.name), num_heads=num_heads, hidden_size=hidden_size)
        return onnx.load(scratch.name)


def products(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Return the MatMul nodes whose second factor is a constant matrix."""
    matrices = {t.name for t in model.graph.initializer if len(t.dims) == 2}
    return [n for n in model.graph.node if n.op_type == "MatMul" and n.input[1] in matrices]


def groups_of(nodes: Sequence[onnx.NodeProto]) -> list[Group]:
    """Split the products into the smallest groups in which neither an input nor a weight is shared with another."""
    found: list[tuple[dict[str, None], dict[str, None]]] = []
    for node in nodes:
        merged: tuple[dict[str, None], dict[str, None]] = ({node.input[0]: None}, {node.input[1]: None})
        apart = []
        for inputs, weights in found:
            if node.input[0] in inputs or node.input[1] in weights:
                merged = (inputs | merged[0], weights | merged[1])
            else:
                apart.append((inputs, weights))
        found = [*apart, merged]
    return [Group(tuple(inputs), tuple(weights)) for inputs, weights in found]


def sampled(model: onnx.ModelProto, groups: Sequence[Group], ids: RaggedIds) -> Iterator[tuple[Group, Fed]]:
    """Yield each group with what its products are fed on the texts `ids`.

    Each text is run by itself, so that no padding is among them.
    """
    width = {t.name: int(t.dims[0]) for t in model.graph.initializer if len(t.dims) == 2}
    wave: list[Group] = []
    size = 0
    for group in groups:
        needed = ROWS * width[group.weights[0]] * 4 * len(group.inputs)
        if wave and size + needed > _SAMPLE_BYTES:
            yield from _run_wave(model, wave, ids)
            wave, size = [], 0
        wave.append(group)
        size += needed
    if wave:
        yield from _run_wave(model, wave, ids)


def _run_wave(model: onnx.ModelProto, wave: Sequence[Group], ids: RaggedIds) -> Iterator[tuple[Group, Fed]]:
    ort = require("onnxruntime", extra="export")
    names = [name for group in wave for name in group.inputs]
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    draw = np.random.default_rng(0)
    share = max(1, -(-ROWS // len(ids)))  # rows of a text
    kept: dict[str, list[Floats]] = {name: [] for name in names}
    low = {name: np.float32(0) for name in names}
    high = {name: np.float32(0) for name in names}
    for i in range(len(ids)):
        row = ids[i].astype(np.int64)[None]
        values = session.run(names, dict(zip(INPUTS, (row, np.ones_like(row)), strict=True)))
        for name, value in zip(names, values, strict=True):
            vectors = value.reshape(-1, value.shape[-1])
            kept[name].append(vectors[draw.permutation(len(vectors))[:share]])
            low[name] = np.minimum(low[name], vectors.min(axis=0))
            high[name] = np.maximum(high[name], vectors.max(axis=0))
    for group in wave:
        everything = np.concatenate([vectors for name in group.inputs for vectors in kept[name]])
        rows = everything[np.sort(draw.permutation(len(everything))[:ROWS])]
        lows, highs = ([side[name] for name in group.inputs] for side in (low, high))
        yield group, Fed(rows, np.min(lows, axis=0), np.max(highs, axis=0))


def constant(model: onnx.ModelProto, name: str) -> Floats:
    """Return a constant of the graph as fp32."""
    tensor = next(t for t in model.graph.initializer if t.name == name)
    return np.asarray(numpy_helper.to_array(tensor), dtype=np.float32)


def save_replaced(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], added: Sequence[onnx.TensorProto], out: Path
) -> None:
    """Write the model with these nodes and further constants; constants that no node uses any more are dropped."""
    used = {name for node in nodes for name in node.input}
    constants = {t.name: t for t in (*model.graph.initializer, *added) if t.name in used}
    new = onnx.ModelProto(ir_version=model.ir_version)
    new.opset_import.extend(o for o in model.opset_import if o.domain != DOMAIN)
    new.opset_import.append(onnx.OperatorSetIdProto(domain=DOMAIN, version=1))
    new.graph.name = model.graph.name
    new.graph.input.extend(model.graph.input)
    new.graph.output.extend(model.graph.output)
    new.graph.node.extend(nodes)
    new.graph.initializer.extend(constants.values())
    out.write_bytes(new.SerializeToString(deterministic=True))
