"""Round weights so that what a layer returns changes least: GPTQ (Frantar et al. 2023), in numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mirrorkit.exporter.quantize.groups import CLIPS, TINY
from mirrorkit.text.ragged import Floats

BLOCK = 128  # rows whose errors are passed on together
DAMPING = 0.01  # of the mean of the Hessian's diagonal


def hessian_of(parts: list[Floats]) -> npt.NDArray[np.float64]:
    """Return the sum of x xᵀ over the tokens, [channels, channels]."""
    total: npt.NDArray[np.float64] = np.sum([part.T @ part for part in parts], axis=0, dtype=np.float64)
    return total


def column_scales(weight: Floats, importance: Floats, limit: int) -> Floats:
    """Return the scale of every column, [1, columns], that rounds it to whole numbers up to ±`limit` best.

    `importance` [rows]: mean square of the input channel that the row is multiplied by.
    """
    largest = np.maximum(np.abs(weight).max(axis=0, keepdims=True), TINY) / limit
    best, error = largest, np.full(largest.shape, np.inf, np.float32)
    for clip in CLIPS:
        scale = largest * clip
        rounded = np.clip(np.round(weight / scale), -limit, limit) * scale
        now = (importance[:, None] * (rounded - weight) ** 2).sum(axis=0, keepdims=True)
        best, error = np.where(now < error, scale, best), np.minimum(now, error)
    found: Floats = best.astype(np.float32)
    return found


def gptq(weight: Floats, hessian: npt.NDArray[np.float64], scale: Floats, zero: Floats, low: int, high: int) -> Floats:
    """Return whole numbers q from `low` to `high`, with (q - zero) * scale near `weight`, all [rows, columns].

    Row by row, the most used first; what rounding a row does to the output is made good by the rows that follow.
    """
    order = np.argsort(-np.diag(hessian), kind="stable")
    upper = _inverse_factor(hessian[np.ix_(order, order)])
    left = weight[order].astype(np.float32)
    scale, zero = (np.broadcast_to(a, weight.shape)[order] for a in (scale, zero))
    whole = np.empty_like(left)
    for start in range(0, len(left), BLOCK):
        end = min(start + BLOCK, len(left))
        errors = np.empty_like(left[start:end])
        for row in range(start, end):
            whole[row] = np.clip(np.round(left[row] / scale[row] + zero[row]), low, high)
            error = (left[row] - (whole[row] - zero[row]) * scale[row]) / upper[row, row]
            left[row + 1 : end] -= np.outer(upper[row, row + 1 : end], error)
            errors[row - start] = error
        left[end:] -= upper[start:end, end:].T @ errors
    result = np.empty_like(whole)
    result[order] = whole
    return result


def _inverse_factor(hessian: npt.NDArray[np.float64]) -> Floats:
    """Return the upper triangular U with UᵀU the inverse of the damped Hessian."""
    damped = hessian + np.eye(len(hessian)) * (DAMPING * float(np.diag(hessian).mean()) + TINY)
    inverse = np.linalg.inv(damped)
    return np.linalg.cholesky((inverse + inverse.T) / 2).T.astype(np.float32)
