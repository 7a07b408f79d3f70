"""Intervals by the bootstrap: of a mean over queries, a paired difference, a rank correlation. numpy alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mirrorkit.correlation import Array

RESAMPLES = 1000
_BLOCK = 1 << 20  # counts held at a time: 8 MB


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


def quantile_interval(value: float, draws: Array) -> Interval:
    """Return `value` with the 2.5 % and 97.5 % quantiles of its bootstrap draws."""
    low, high = np.quantile(draws, (0.025, 0.975))
    return Interval(value, min(value, float(low)), max(value, float(high)))


def times_drawn(count: int, resamples: int, seed: int) -> Iterator[Array]:
    """Yield how often each of `count` items is in each bootstrap resample, [some of the resamples, count] a block.

    The same arguments give the same resamples, which is what makes a difference of two figures paired.
    """
    random = np.random.default_rng(seed)
    step = max(1, _BLOCK // count)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = random.integers(0, count, (size, count)) + count * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count).astype(np.float64)


def mean_intervals(scores: Array, *, resamples: int = RESAMPLES, seed: int = 0) -> list[Interval]:
    """Return the mean of each row of `scores` [measures, queries], the queries drawn anew in every resample.

    One query alone has an interval of no width: there is nothing to tell its luck from.
    """
    count = scores.shape[1]
    drawn = np.concatenate([times @ scores.T for times in times_drawn(count, resamples, seed)]) / count
    return [quantile_interval(float(row.mean()), draws) for row, draws in zip(scores, drawn.T, strict=True)]


def paired_difference(ours: Array, theirs: Array, *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Return the mean of `ours` less that of `theirs`, both [queries] of the same queries, drawn together."""
    return mean_intervals((ours - theirs)[None, :], resamples=resamples, seed=seed)[0]


def resampled_spearman(
    gold: npt.ArrayLike, measured: Mapping[str, Array], resamples: int, seed: int
) -> dict[str, Array]:
    """Return Spearman's correlation of each of `measured` with `gold`, all [n], in every bootstrap resample of the n.

    Every name sees the same resamples, so differences between names are paired. 0 where a resample is constant.
    Ranks come from how often each value was drawn, so that each array is sorted once and not once a resample.
    """
    truth = _Ranker(np.asarray(gold, dtype=np.float64))
    rankers = {name: _Ranker(values) for name, values in measured.items()}
    found: dict[str, list[Array]] = {name: [] for name in measured}
    for times in times_drawn(len(truth.group), resamples, seed):
        true_ranks = truth.ranks(times)
        for name, ranker in rankers.items():
            found[name].append(_correlation(times, true_ranks, ranker.ranks(times)))
    return {name: np.concatenate(blocks) for name, blocks in found.items()}


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
