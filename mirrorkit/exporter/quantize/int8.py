"""Quantise a plain graph to int8: static ranges, so that no text's vector depends on its neighbours in a batch.

Every multiplication by a weight matrix becomes QuantizeLinear → DequantizeLinear → MatMul over int8 weights, which
runtimes turn into one integer multiplication; the graph has standard operators alone. Four things keep it exact:

- The channels of an input differ in size by a factor of ten and more. They are evened out, and the weights take up
  the factors (SmoothQuant, Xiao et al. 2023). The residual needs the input as it was, so the factors are a Mul of
  their own, which costs some 5 % of the time and holds for any architecture. How far to go is chosen for each
  input by the error of what its layer returns.
- Ranges are the smallest and largest values over the calibration texts: cutting them off loses the few tokens that
  carry the largest.
- Weights have a scale for each column and are rounded so that their errors cancel (GPTQ, Frantar et al. 2023).
- What remains of the mean error is taken off the bias (Nagel et al. 2019, Data-Free Quantization).

Weights keep to ±63. x86 CPUs without VNNI add products of an unsigned and a signed byte in pairs of 16 bits, which
saturate beyond 2 · 255 · 64; within ±63 every CPU computes the same.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mirrorkit.errors import ExportError
from mirrorkit.exporter.graph.onnxfile import write
from mirrorkit.exporter.graph.simplify import add_constant, sum_residuals
from mirrorkit.exporter.quantize.activations import group_activations, sample_of
from mirrorkit.exporter.quantize.groups import (
    TINY,
    Group,
    QuantizationReport,
    array_of,
    quantize_tables,
    shift_bias,
    tables_of,
    weight_groups,
)
from mirrorkit.exporter.quantize.merge import merge_products
from mirrorkit.exporter.quantize.rounding import column_scales, gptq, hessian_of
from mirrorkit.extras import require
from mirrorkit.formats.bundle import Graph
from mirrorkit.text.ragged import Floats, RaggedIds

require("onnxscript", extra="export")
import onnx_ir as ir
from onnx_ir.passes import common

log = logging.getLogger(__name__)

LIMIT = 63  # of a weight: 7 bits
LEVELS = 255  # of an activation: 8 bits without sign
STRENGTHS = (
    0.0,
    0.5,
    0.65,
    0.8,
)  # 0: channels as they are; at 1 each would just fill the range, and unseen text exceed it
TRIAL_TOKENS = 1024  # that the strengths are compared on


@dataclass(frozen=True)
class _Range:
    """How an activation becomes bytes."""

    scale: np.float32
    zero: int  # the byte that stands for 0

    @classmethod
    def of(cls, low: float, high: float) -> _Range:
        low, high = min(low, 0.0), max(high, 0.0)
        scale = np.float32(max(high - low, TINY) / LEVELS)
        return cls(scale, round(-low / float(scale)))

    def through(self, values: Floats) -> Floats:
        """Return `values` as they are after bytes."""
        whole = np.clip(np.round(values / self.scale) + np.float32(self.zero), 0, LEVELS)
        coarse: Floats = (whole - np.float32(self.zero)) * self.scale
        return coarse


def quantize_int8(source: Path, out: Path, calibration: RaggedIds, *, pad_id: int) -> QuantizationReport:
    """Write the int8 form of the plain graph `source` to `out`, ranges taken over the texts of `calibration`.

    Raises ExportError where there is nothing to quantise or calibrate on, and for activations that are not finite.
    """
    model = ir.load(source)
    graph = model.graph
    groups = weight_groups(graph)
    if not groups and not tables_of(graph):
        raise ExportError(f"{source}: no weight matrix and no embedding table in it, so there is nothing to quantise")
    # of a table alone nothing is measured
    rows = sample_of(calibration) if groups else np.zeros(0, dtype=np.int64)
    matrices = 0
    for number, values in enumerate(group_activations(source, calibration, rows, pad_id)):
        if not all(map(len, values)):  # a branch that no text takes, as of another language; it stays as it is
            continue
        matrices += len(groups[number].weights)  # before they are replaced
        _quantize_group(graph, groups[number], values, f"int8.{number}")
    tables = quantize_tables(graph)
    sum_residuals(graph)
    merge_products(graph)
    common.RemoveUnusedNodesPass()(model)
    common.TopologicalSortPass()(model)
    write(model, out)
    tokens = int(calibration.lengths[rows].sum())
    return QuantizationReport(Graph.ONNX, matrices, tables, 7, 8, tokens, out.stat().st_size)


def _quantize_group(graph: ir.Graph, group: Group, values: list[Floats], name: str) -> None:
    """Replace what the nodes of a group multiply; `values` are those of its inputs, [tokens, channels] each."""
    inputs = dict(zip(group.inputs, values, strict=True))
    factors = _choose_factors(group, inputs)
    even = {value: rows / factors for value, rows in inputs.items()}
    ranges = {value: _Range.of(float(rows.min()), float(rows.max())) for value, rows in even.items()}
    coarse = {value: ranges[value].through(rows) for value, rows in even.items()}
    hessian = hessian_of(list(coarse.values()))
    importance = (np.diag(hessian) / sum(len(rows) for rows in values)).astype(np.float32)
    bytes_of = {
        value: _put_quantizer(graph, group, value, factors, ranges[value], f"{name}.input{i}")
        for i, value in enumerate(inputs)
    }
    for i, weight in enumerate(group.weights):
        scaled = array_of(weight) * factors[:, None]
        scale = column_scales(scaled, importance, LIMIT)
        whole = gptq(scaled, hessian, scale, np.zeros_like(scale), -LIMIT, LIMIT)
        fine = _put_weight(graph, f"{name}.weight{i}", whole.astype(np.int8), scale[0])
        for node in [node for node in group.nodes if node.inputs[1] is weight]:
            value = node.inputs[0]
            assert value is not None
            shift = even[value].mean(axis=0) @ scaled - coarse[value].mean(axis=0) @ (whole * scale)
            shift_bias(graph, node, shift, f"{node.name}/bias")
            dequantize = ir.node("DequantizeLinear", list(fine), attributes={"axis": 1}, name=f"{node.name}/weight")
            dequantize.outputs[0].name = f"{node.name}/weight/out"
            graph.insert_before(node, dequantize)
            node.replace_input_with(0, bytes_of[value])
            node.replace_input_with(1, dequantize.outputs[0])


def _choose_factors(group: Group, inputs: dict[ir.Value, Floats]) -> Floats:
    """Return what each channel is divided by before it is quantised, [channels]."""
    channel = np.maximum(np.max([np.abs(rows).max(axis=0) for rows in inputs.values()], axis=0), TINY)
    column = np.maximum(np.max([np.abs(array_of(weight)).max(axis=1) for weight in group.weights], axis=0), TINY)
    trials = []
    for strength in STRENGTHS:
        logs = strength * np.log(channel) - (1 - strength) * np.log(column) if strength else np.zeros_like(channel)
        factors: Floats = np.exp(logs - logs.mean()).astype(np.float32)
        trials.append((_error(group, inputs, factors), strength, factors))
    error, strength, factors = min(trials, key=lambda trial: trial[:2])
    log.debug("%s: strength %.2f, relative error %.2g", group.nodes[0].name, strength, error)
    return factors


def _error(group: Group, inputs: dict[ir.Value, Floats], factors: Floats) -> float:
    """Return the squared error of what the group's nodes return, as a share of its variance."""
    total = 0.0
    for node in group.nodes:
        value, weight = node.inputs
        assert value is not None
        assert weight is not None
        rows, matrix = inputs[value], array_of(weight)
        span = _Range.of(float((rows / factors).min()), float((rows / factors).max()))
        rows = rows[:: -(-len(rows) // TRIAL_TOKENS)]
        scaled = matrix * factors[:, None]
        scale = np.maximum(np.abs(scaled).max(axis=0), TINY) / LIMIT
        right = rows @ matrix
        wrong = span.through(rows / factors) @ (np.round(scaled / scale) * scale)
        total += float(((wrong - right) ** 2).sum() / max(float(((right - right.mean(axis=0)) ** 2).sum()), TINY))
    return total


def _put_quantizer(
    graph: ir.Graph, group: Group, value: ir.Value, factors: Floats, span: _Range, name: str
) -> ir.Value:
    """Quantise `value` once for all nodes of the group that take it; return what they take instead."""
    first = next(node for node in group.nodes if node.inputs[0] is value)
    nodes = []
    evened = value
    if not np.all(factors == 1):
        by = add_constant(graph, f"{name}.factors", (1 / factors).astype(np.float32))
        nodes.append(ir.node("Mul", [value, by], name=f"{name}/Mul"))
        evened = nodes[-1].outputs[0]
    scale = add_constant(graph, f"{name}.scale", np.array(span.scale, np.float32))
    zero = add_constant(graph, f"{name}.zero", np.array(span.zero, np.uint8))
    nodes.append(ir.node("QuantizeLinear", [evened, scale, zero], name=f"{name}/QuantizeLinear"))
    nodes.append(ir.node("DequantizeLinear", [nodes[-1].outputs[0], scale, zero], name=f"{name}/DequantizeLinear"))
    for node in nodes:
        node.outputs[0].name = f"{node.name}/out"
    graph.insert_before(first, nodes)
    return nodes[-1].outputs[0]


def _put_weight(
    graph: ir.Graph, name: str, whole: np.ndarray[tuple[int, ...], np.dtype[np.int8]], scale: Floats
) -> tuple[ir.Value, ir.Value, ir.Value]:
    zero = np.zeros(scale.shape, np.int8)
    return (
        add_constant(graph, f"{name}.int8", whole),
        add_constant(graph, f"{name}.scale", scale),
        add_constant(graph, f"{name}.zero", zero),
    )
