"""Quantise a plain graph to four-bit weights in blocks, for where size is everything.

Weights are rounded by GPTQ (Frantar et al. 2023) on what the calibration texts feed them. Activations are rounded to
eight bits by ONNX Runtime as it goes, block by block of each token, so that here too no text's vector depends on its
neighbours in a batch. Embedding tables stay at eight bits: at four they would lose more than all the matrices do.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from mirrorkit.errors import ExportError
from mirrorkit.exporter.graph.onnxfile import write
from mirrorkit.exporter.graph.pattern import put_instead
from mirrorkit.exporter.graph.simplify import add_constant, sum_residuals
from mirrorkit.exporter.quantize.activations import group_activations, sample_of
from mirrorkit.exporter.quantize.groups import (
    TINY,
    QuantizationReport,
    array_of,
    quantize_tables,
    weight_groups,
)
from mirrorkit.exporter.quantize.rounding import gptq, hessian_of
from mirrorkit.extras import require
from mirrorkit.formats.bundle import Graph
from mirrorkit.text.ragged import Floats, RaggedIds

require("onnxscript", extra="export")
import onnx_ir as ir
from onnx_ir.passes import common

DOMAIN = "com.microsoft"
BLOCK = 32  # weights of one column that share a scale
LOW, HIGH = -8, 7
CLIPS = (1.0, 0.95, 0.9, 0.85, 0.8)  # shares of a block's largest value that its scale may be cut to


def quantize_int4(source: Path, out: Path, calibration: RaggedIds, *, pad_id: int) -> QuantizationReport:
    """Write the int4 form of the plain graph `source` to `out`, rounded on the texts of `calibration`.

    Raises ExportError where there is nothing to quantise or calibrate on, and for activations that are not finite.
    """
    model = ir.load(source)
    graph = model.graph
    groups = weight_groups(graph)
    if not groups:
        raise ExportError(f"{source}: no multiplication by a weight matrix in it, so there is nothing to quantise")
    rows = sample_of(calibration)
    matrices = 0
    for number, values in enumerate(group_activations(source, calibration, rows, pad_id)):
        if not all(map(len, values)):  # a branch that no text takes, as of another language; it stays as it is
            continue
        hessian = hessian_of(values)
        for i, weight in enumerate(groups[number].weights):
            packed, scales = _rounded(array_of(weight), hessian)
            name = f"int4.{number}.weight{i}"
            constants = (add_constant(graph, name, packed), add_constant(graph, f"{name}.scale", scales))
            for node in [node for node in groups[number].nodes if node.inputs[1] is weight]:
                put_instead(graph, node, [_product(node, constants, array_of(weight).shape)])
            matrices += 1
    tables = quantize_tables(graph)
    sum_residuals(graph)
    model.opset_imports[DOMAIN] = 1
    common.RemoveUnusedNodesPass()(model)
    common.TopologicalSortPass()(model)
    write(model, out)
    tokens = int(calibration.lengths[rows].sum())
    return QuantizationReport(Graph.ONNXRUNTIME, matrices, tables, 4, 8, tokens, out.stat().st_size)


def _product(node: ir.Node, constants: tuple[ir.Value, ir.Value], shape: tuple[int, ...]) -> ir.Node:
    sizes = {"K": shape[0], "N": shape[1], "bits": 4, "block_size": BLOCK}
    attributes = {**sizes, "accuracy_level": 4}  # activations in int8
    inputs = [node.inputs[0], *constants]
    return ir.node("MatMulNBits", inputs, domain=DOMAIN, attributes=attributes, name=f"{node.name}/MatMulNBits")


def _rounded(weight: Floats, hessian: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.uint8], Floats]:
    """Return the codes [columns, blocks, BLOCK / 2] and scales [columns, blocks] of a weight [rows, columns]."""
    scales = _block_scales(weight)
    steps = np.repeat(scales, BLOCK, axis=0)[: len(weight)]
    whole = _padded(gptq(weight, hessian, steps, np.zeros_like(steps), LOW, HIGH))
    halves = (whole + 8).astype(np.uint8).T.reshape(weight.shape[1], -1, BLOCK // 2, 2)
    packed = np.ascontiguousarray(halves[..., 0] | halves[..., 1] << 4)  # the first of two in the low half; 8 is zero
    return packed, np.ascontiguousarray(scales.T)


def _block_scales(weight: Floats) -> Floats:
    """Return the scale [blocks, columns] with which each block is rounded best.

    Of the two signs the largest value gets the longer side, down to -8, so a scale may be negative.
    """
    blocks = _padded(weight).reshape(-1, BLOCK, weight.shape[1])
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1)[:, None], axis=1)
    full = np.where(np.abs(largest) < TINY, TINY, largest / LOW)
    best, error = full, np.full(full.shape, np.inf, np.float32)
    for clip in CLIPS:
        scale = full * np.float32(clip)
        rounded = np.clip(np.round(blocks / scale), LOW, HIGH) * scale
        now = ((rounded - blocks) ** 2).sum(axis=1, keepdims=True)
        best, error = np.where(now < error, scale, best), np.minimum(now, error)
    found: Floats = best[:, 0].astype(np.float32)
    return found


def _padded(weight: Floats) -> Floats:
    """Fill up the last block with zeros."""
    full = np.zeros((-(-len(weight) // BLOCK) * BLOCK, weight.shape[1]), np.float32)
    full[: len(weight)] = weight
    return full
