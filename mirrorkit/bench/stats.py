"""Intervals: of a time over a few rounds, and of a difference in rank correlation. numpy alone."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from mirrorkit.bench.result import Interval

Array = npt.NDArray[np.float64]

_BLOCK = 1 << 20  # counts held at a time: 8 MB
# Student's t, two-sided 95 %, for 1, 2, … degrees of freedom; an expansion about the normal's serves beyond.
_T95 = (12.70620, 4.30265, 3.18245, 2.77645, 2.57058, 2.44691, 2.36462, 2.30600, 2.26216, 2.22814)
_Z95 = 1.959964


def t95(freedom: int) -> float:
    """Return how many standard errors a 95 % interval reaches to either side, for that many degrees of freedom."""
    if freedom <= len(_T95):
        return _T95[freedom - 1]
    z = _Z95
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def over_rounds(values: Sequence[float]) -> Interval:
    """Return the median of one positive figure a round, at least two rounds, with its 95 % interval.

    Calls within a process share its luck (memory layout, clock, neighbours), so a round counts as one observation.
    The interval is Student's t on the logarithms: with so few rounds a bootstrap over them would be far too narrow.
    """
    assert len(values) > 1
    assert min(values) > 0
    logs = [math.log(value) for value in values]
    middle, median = statistics.fmean(logs), statistics.median(values)
    reach = t95(len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return Interval(median, min(median, math.exp(middle - reach)), max(median, math.exp(middle + reach)))


def inverse(interval: Interval, numerator: float) -> Interval:
    """Return `numerator` over the figure: the rate that belongs to a time."""
    return Interval(numerator / interval.value, numerator / interval.high, numerator / interval.low)


def width(interval: Interval) -> float:
    """Return how far the interval reaches to either side, as a share of the figure."""
    return (interval.high - interval.low) / 2 / interval.value


def quantile_interval(value: float, draws: Array) -> Interval:
    """Return `value` with the 2.5 % and 97.5 % quantiles of its bootstrap draws."""
    low, high = np.quantile(draws, (0.025, 0.975))
    return Interval(value, min(value, float(low)), max(value, float(high)))


def resampled_spearman(
    gold: npt.ArrayLike, measured: Mapping[str, Array], resamples: int, seed: int
) -> dict[str, Array]:
    """Return Spearman's correlation of each of `measured` with `gold`, all [n], in every bootstrap resample of the n.

    Every name sees the same resamples, so differences between names are paired. 0 where a resample is constant.
    Ranks come from how often each value was drawn, so that each array is sorted once and not once a resample.
    """
    truth = _Ranker(np.asarray(gold, dtype=np.float64))
    rankers = {name: _Ranker(values) for name, values in measured.items()}
    count = len(truth.group)
    found = {name: np.empty(resamples) for name in measured}
    random = np.random.default_rng(seed)
    step = max(1, _BLOCK // count)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = random.integers(0, count, (size, count)) + count * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count).astype(np.float64)
        true_ranks = truth.ranks(times)
        for name, ranker in rankers.items():
            found[name][start : start + size] = _correlation(times, true_ranks, ranker.ranks(times))
    return found


class _Ranker:
    """The ranks of fixed values [n] in samples that hold each of them so many times."""

    def __init__(self, values: Array) -> None:
        _, self.group, sizes = np.unique(values, return_inverse=True, return_counts=True)
        self._order = np.argsort(self.group, kind="stable")
        self._starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])

    def ranks(self, times: Array) -> Array:
        """Return mean ranks, less their own mean, float64 [samples, n], for counts [samples, n]."""
        held = np.add.reduceat(times[:, self._order], self._starts, axis=1)  # [samples, distinct values]
        middle = np.cumsum(held, axis=1) - held / 2 - times.shape[1] / 2
        return np.asarray(middle[:, self.group])


def _correlation(times: Array, x: Array, y: Array) -> Array:
    """Return the correlation of each sample's centred ranks, all [samples, n]."""
    product = np.einsum("bn,bn,bn->b", times, x, y)
    scale = np.sqrt(np.einsum("bn,bn,bn->b", times, x, x) * np.einsum("bn,bn,bn->b", times, y, y))
    return np.asarray(np.divide(product, scale, out=np.zeros_like(product), where=scale > 0))


def spearman(gold: npt.ArrayLike, measured: Array) -> float:
    """Return Spearman's correlation of two arrays [n]; 0 where one of them is constant."""
    times = np.ones((1, len(measured)))
    x, y = _Ranker(np.asarray(gold, dtype=np.float64)).ranks(times), _Ranker(measured).ranks(times)
    return float(_correlation(times, x, y)[0])
