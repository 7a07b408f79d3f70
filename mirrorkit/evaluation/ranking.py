"""How high the right answers rank among candidates, with ties treated as what they are: an order left to chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

TOLERANCE = 1e-6  # vectors are good to about 1e-7; scores nearer than this are a tie
_BLOCK = 1 << 23  # scores held at a time: 64 MB


@dataclass(frozen=True)
class Ranks:
    """For each query, the chances of what the order of tied candidates decides."""

    hits: dict[int, npt.NDArray[np.float64]]  # k -> probability that a right candidate is among the first k
    reciprocal: npt.NDArray[np.float64]  # expected 1 / rank of the first right candidate

    def accuracy(self, k: int) -> float:
        """Return accuracy@k × 100."""
        return 100 * float(self.hits[k].mean())

    @property
    def mrr(self) -> float:
        """Mean reciprocal rank × 100."""
        return 100 * float(self.reciprocal.mean())


def blocks(queries: int, candidates: int) -> list[slice]:
    """Return slices of the queries whose scores against all candidates fit into memory."""
    size = max(1, _BLOCK // max(1, candidates))
    return [slice(start, min(start + size, queries)) for start in range(0, queries, size)]


def rank(
    scores: Callable[[slice], Matrix], right: Sequence[Rows], candidates: int, at: Sequence[int] = (1, 5)
) -> Ranks:
    """Rank the candidates of every query; `scores(part)` gives [queries in part, candidates], higher is better.

    `right[i]` are the candidates that are right for query i; where there are none the query is missed. Of candidates
    that tie, every order is as likely as any other, and hits and reciprocal ranks are the means over all of them
    (McSherry & Najork 2008), so an encoder that maps everything to one point gets what guessing would.
    """
    hits = {k: np.zeros(len(right)) for k in at}
    reciprocal = np.zeros(len(right))
    for part in blocks(len(right), candidates):
        for offset, row in enumerate(scores(part)):
            query = part.start + offset
            if not len(right[query]):
                continue
            chances, better = _first_right(row, right[query])
            for k in at:
                hits[k][query] = chances[: max(0, k - better)].sum()
            reciprocal[query] = (chances / np.arange(better + 1, better + 1 + len(chances))).sum()
    return Ranks(hits, reciprocal)


def _first_right(row: npt.NDArray[np.float64], right: Rows) -> tuple[npt.NDArray[np.float64], int]:
    """Return the chances that the first right one of the tied stands 1st, 2nd, … of them, and how many are better."""
    best = row[right].max()
    better = int(np.count_nonzero(row > best + TOLERANCE))
    tied = int(np.count_nonzero(row >= best - TOLERANCE)) - better
    wrong = tied - int(np.count_nonzero(row[right] >= best - TOLERANCE))
    drawn = np.arange(wrong)
    all_wrong = np.concatenate([[1.0], np.cumprod((wrong - drawn) / (tied - drawn))])  # so far, before each draw
    return all_wrong * (tied - wrong) / (tied - np.arange(wrong + 1)), better
