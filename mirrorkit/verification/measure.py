"""Measure how far vectors are from their reference. numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mirrorkit.batching import RaggedIds

Floats = npt.NDArray[np.float32]
Array = npt.NDArray[Any]

NEIGHBOURS = 10
_SHORT = 16  # tokens; fewer are too few for any repetition to matter
_TIE = 1e-6  # similarities nearer than this are one and the same: fp32 keeps no more apart


@dataclass(frozen=True)
class Parity:
    """Distance of vectors from their reference, over all texts. See `Thresholds` for what each figure means."""

    cosine_min: float
    cosine_p1: float
    cosine_mean: float
    max_abs: float
    spearman: float
    overlap: float
    length_error: float  # largest distance of a vector's length from 1
    worst: int  # the text with the lowest cosine


def parity(actual: Floats, reference: Floats) -> Parity:
    """Compare float [n, dim] with the reference of the same shape, n at least 3; all values must be finite."""
    assert actual.shape == reference.shape
    assert len(actual) > 2
    wide, truth = actual.astype(np.float64), reference.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1)
    unit = wide / np.maximum(lengths, 1e-12)[:, None]
    true_unit = truth / np.maximum(np.linalg.norm(truth, axis=1), 1e-12)[:, None]
    cosines = (unit * true_unit).sum(axis=1)
    similar, true_similar = unit @ unit.T, true_unit @ true_unit.T
    pairs = np.triu_indices(len(wide), k=1)
    return Parity(
        cosine_min=float(cosines.min()),
        cosine_p1=float(np.quantile(cosines, 0.01)),
        cosine_mean=float(cosines.mean()),
        max_abs=float(np.abs(wide - truth).max()),
        spearman=spearman(similar[pairs], true_similar[pairs]),
        overlap=neighbour_overlap(similar, true_similar),
        length_error=float(np.abs(lengths - 1).max()),
        worst=int(cosines.argmin()),
    )


def steady(ids: RaggedIds) -> npt.NDArray[np.bool_]:
    """Return for each text whether it does not say one token over and over.

    A text that does is unstable in the model itself: forty equal tokens stay equal only as long as nothing disturbs
    them, and what eight bits lose grows from layer to layer until the vector may be anywhere.
    """
    return np.array(
        [len(row) < _SHORT or np.bincount(row).max() <= len(row) / 2 for row in map(ids.__getitem__, range(len(ids)))]
    )


def spearman(a: Array, b: Array) -> float:
    """Return the rank correlation of two arrays [n], equal values sharing a rank; 0 where one of them is constant."""
    x, y = ranks(a), ranks(b)
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum() / scale) if scale > 0 else 0.0


def ranks(values: Array) -> Array:
    """Return the rank of each value [n], equal ones (to 6 digits, as fp32 tells them apart) at their mean."""
    rounded = np.round(values, 6)
    _, inverse, counts = np.unique(rounded, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    middle = ends - (counts + 1) / 2  # mean of the ranks that a value takes, counted from 0
    return np.asarray(middle[inverse], dtype=np.float64)


def neighbour_overlap(similar: Array, true_similar: Array, count: int = NEIGHBOURS) -> float:
    """Return the mean share of the nearest neighbours by `similar` that are so by `true_similar`, both [n, n].

    A neighbour as near as the last true one counts as one of them.
    """
    size = len(similar)
    count = min(count, size - 1)
    found, true = similar.copy(), true_similar.copy()
    np.fill_diagonal(found, -np.inf)
    np.fill_diagonal(true, -np.inf)
    nearest = np.argpartition(-found, count - 1, axis=1)[:, :count]
    last = np.partition(true, size - count, axis=1)[:, size - count]
    return float((np.take_along_axis(true, nearest, axis=1) >= last[:, None] - _TIE).mean())


def largest_difference(a: Floats, b: Floats) -> float:
    """Return the largest absolute difference in any component."""
    return float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max())
