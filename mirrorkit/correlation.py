"""Correlation of two rows of numbers, with one rule for ties. numpy alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Cosines are good to about 1e-7. Round them to this many digits before ranking, or equal ones are ranked by that noise.
DIGITS = 6


def ranks(values: npt.NDArray[Any]) -> Array:
    """Return the rank of each value [n], counted from 0; equal values share the mean of theirs."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts + 1) / 2
    return np.asarray(middle[group], dtype=np.float64)


def spearman(a: npt.ArrayLike, b: npt.ArrayLike, *, undefined: float = 0.0) -> float:
    """Return the rank correlation of two rows [n]; `undefined` where either is constant."""
    return pearson(ranks(np.asarray(a)), ranks(np.asarray(b)), undefined=undefined)


def pearson(a: npt.ArrayLike, b: npt.ArrayLike, *, undefined: float = 0.0) -> float:
    """Return the linear correlation of two rows [n]; `undefined` where either is constant."""
    x, y = (np.asarray(row, dtype=np.float64) for row in (a, b))
    if x.min() == x.max() or y.min() == y.max():
        return undefined
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))
