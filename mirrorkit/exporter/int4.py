"""Four-bit weights in blocks, for where size is everything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from mirrorkit.batching import RaggedIds
from mirrorkit.errors import ExportError
from mirrorkit.exporter.int8 import QuantizationReport
from mirrorkit.exporter.products import DOMAIN, constant, fused_model, groups_of, products, sampled, save_replaced
from mirrorkit.exporter.rounding import Codes, Floats, round_weights
from mirrorkit.exporter.tables import shrink_tables
from mirrorkit.extras import require

require("onnx", extra="export")
import onnx
from onnx import helper, numpy_helper

BLOCK = 32  # weights of one output that share a scale
LOWEST, HIGHEST = -8, 7
_SHRINKS = (1.0, 0.95, 0.9, 0.85, 0.8)  # of a block's full range; the best of them loses least on the weights


def quantize_int4(
    source: Path, out: Path, calibration: RaggedIds, *, num_heads: int, hidden_size: int
) -> QuantizationReport:
    """Write the plain fp32 graph `source` with 4-bit weights and int8 tables for ONNX Runtime, in one file.

    Weights are rounded by GPTQ on the texts `calibration`; activations are rounded to 8 bits by ONNX Runtime as it
    goes, block by block of each token, so that a text's vector is its own here too.
    Raises ExportError where there is no product to quantise.
    """
    model = fused_model(source, num_heads, hidden_size)
    nodes = products(model)
    if not nodes or not len(calibration):
        raise ExportError(f"{source}: nothing to quantise in this graph" if not nodes else "no text to calibrate with")
    added: list[onnx.TensorProto] = []
    shapes: dict[str, tuple[int, int]] = {}
    worst = 0.0
    for group, fed in sampled(model, groups_of(nodes), calibration):
        inputs = fed.rows
        for name in group.weights:
            weights = constant(model, name)
            scales = _scales(weights)
            steps = np.repeat(scales, BLOCK, axis=0)[: len(weights)]
            codes = round_weights(weights, inputs, steps, LOWEST, HIGHEST)
            exact = inputs @ weights
            difference = inputs @ (codes * steps) - exact
            worst = max(worst, float(np.mean(difference**2) / max(float(np.mean(exact**2)), 1e-12)))
            added += [
                numpy_helper.from_array(_packed(codes), f"{name}/int4"),
                numpy_helper.from_array(np.ascontiguousarray(scales.T), f"{name}/scale"),
            ]
            shapes[name] = (weights.shape[0], weights.shape[1])
    looked_up, tables, count = shrink_tables(model)
    named = {node.output[0] for node in nodes}
    replaced = [_lowered(n, shapes[n.input[1]]) if n.output[0] in named else n for n in looked_up]
    save_replaced(model, replaced, [*added, *tables], out)
    return QuantizationReport(len(nodes), count, (), worst)


def _lowered(node: onnx.NodeProto, shape: tuple[int, int]) -> onnx.NodeProto:
    fed, weight = node.input
    return helper.make_node(
        "MatMulNBits",
        [fed, f"{weight}/int4", f"{weight}/scale"],
        list(node.output),
        domain=DOMAIN,
        K=shape[0],
        N=shape[1],
        bits=4,
        block_size=BLOCK,
        accuracy_level=4,  # products in int8
    )


def _scales(weights: Floats) -> Floats:
    """Return the scale [blocks, n] of each block with which rounding to the nearest loses least."""
    k, n = weights.shape
    padded = np.zeros((-(-k // BLOCK) * BLOCK, n), dtype=np.float32)
    padded[:k] = weights
    blocks = padded.reshape(-1, BLOCK, n)
    # The largest value by magnitude sits at -8, the longer side, whatever its sign: a scale may be negative.
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1)[:, None], axis=1)[:, 0]
    full = np.where(largest == 0, 1e-8, largest / LOWEST)
    best, best_loss = full, np.full(full.shape, np.inf)
    for shrink in _SHRINKS:
        scale = (full * shrink)[:, None]
        loss = ((np.clip(np.rint(blocks / scale), LOWEST, HIGHEST) * scale - blocks) ** 2).sum(axis=1)
        better = loss < best_loss
        best, best_loss = np.where(better, scale[:, 0], best), np.where(better, loss, best_loss)
    return best.astype(np.float32)


def _packed(codes: Codes) -> npt.NDArray[np.uint8]:
    """Return [n, blocks, BLOCK / 2]: two codes a byte, the first in the low half, 8 standing for zero."""
    k, n = codes.shape
    padded = np.zeros((-(-k // BLOCK) * BLOCK, n), dtype=np.int8)
    padded[:k] = codes
    halves = (padded + 8).astype(np.uint8).T.reshape(n, -1, BLOCK // 2, 2)
    return np.ascontiguousarray(halves[..., 0] | halves[..., 1] << 4)
