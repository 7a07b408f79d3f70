"""Measure vectors: how far they are from their reference, and whether they change with the batch or from run to run.

What gives the vectors is asked for nothing but `Runner.batch`. numpy alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mirrorkit.correlation import DIGITS, spearman
from mirrorkit.runtime.pairwise import pairwise
from mirrorkit.runtime.runner import Runner
from mirrorkit.text.awkward import LONGEST
from mirrorkit.text.ragged import Floats, Ints, RaggedIds, pad_batch, token_budget_batches

Array = npt.NDArray[Any]

BATCH_TOKENS = 1024  # padding included, as the runtime batches
MIXED_TOKENS = 2048  # of a batch of texts of all lengths, and of texts padded to the maximum
MIXED_TEXTS = 16
ALONE = 96  # texts run one at a time, and then in other company
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
    length_error: float  # largest distance of a vector's length from 1, of those that are not all zeros
    worst: int  # the text with the lowest cosine


def parity(actual: Floats, reference: Floats, similarity: str = "cosine") -> Parity:
    """Compare float [n, dim] with the reference of the same shape, n at least 3; all values must be finite.

    Ranks and neighbours are those by the model's own similarity function.
    """
    assert actual.shape == reference.shape
    assert len(actual) > 2
    wide, truth = actual.astype(np.float64), reference.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1)
    unit = wide / np.maximum(lengths, 1e-12)[:, None]
    true_lengths = np.linalg.norm(truth, axis=1)
    true_unit = truth / np.maximum(true_lengths, 1e-12)[:, None]
    cosines = (unit * true_unit).sum(axis=1) + ((lengths == 0) & (true_lengths == 0))  # nothing is like nothing
    if similarity == "cosine":
        similar, true_similar = unit @ unit.T, true_unit @ true_unit.T
    else:
        similar, true_similar = pairwise(wide, wide, similarity), pairwise(truth, truth, similarity)
    pairs = np.triu_indices(len(wide), k=1)
    return Parity(
        cosine_min=float(cosines.min()),
        cosine_p1=float(np.quantile(cosines, 0.01)),
        cosine_mean=float(cosines.mean()),
        max_abs=float(np.abs(wide - truth).max()),
        spearman=spearman(similar[pairs].round(DIGITS), true_similar[pairs].round(DIGITS)),
        overlap=neighbour_overlap(similar, true_similar),
        length_error=float(np.abs(lengths - 1)[true_lengths > 0].max(initial=0.0)),
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


def run(runner: Runner, ids: RaggedIds, rows: Ints, pad_id: int, pad_to: int | None = None) -> Floats:
    """Return the vectors [len(rows), dim] of one batch, padded on the right to its longest text or further."""
    return runner.batch(*pad_batch(ids, rows, pad_id, pad_to))


def vectors_of(runner: Runner, ids: RaggedIds, pad_id: int) -> Floats:
    """Return the vectors of all texts, in their order."""
    batches = _batches(ids)
    vectors = np.concatenate([run(runner, ids, rows, pad_id) for rows in batches])
    ordered = np.empty_like(vectors)
    ordered[np.concatenate(batches)] = vectors
    return ordered


def changes(runner: Runner, ids: RaggedIds, pad_id: int, vectors: Floats) -> int:
    """Return how many of the vectors are not the same bits when three of the batches are run again."""
    batches = _batches(ids)
    repeated = [batches[0], batches[len(batches) // 2], batches[-1]]  # long, middling, many short ones
    return sum(int((run(runner, ids, rows, pad_id) != vectors[rows]).any(axis=1).sum()) for rows in repeated)


def invariance(runner: Runner, ids: RaggedIds, pad_id: int, longest: int) -> float:
    """Return the largest change of any component when a text is batched or padded instead of run alone.

    Texts are padded to `longest` tokens, or to what a proof has room for.
    """
    rows = np.unique(np.linspace(0, len(ids) - 1, min(ALONE, len(ids))).astype(np.int64))
    longest = min(longest, LONGEST)
    mixed, padded = list(mixed_batches(ids.lengths, rows)), list(_padded_batches(rows, longest))
    alone = {int(row): run(runner, ids, np.array([row]), pad_id)[0] for row in rows}

    def change(batch: Ints, pad_to: int | None = None) -> float:
        together = run(runner, ids, batch, pad_id, pad_to)
        return largest_difference(together, np.stack([alone[int(row)] for row in batch]))

    worst = [change(batch) for batch in mixed]
    worst += [change(batch, max(longest, int(ids.lengths[batch].max()))) for batch in padded]
    return float(max(worst)) if np.isfinite(worst).all() else float("inf")


def mixed_batches(lengths: Ints, rows: Ints) -> Iterator[Ints]:
    """Yield `rows` shuffled, in batches of up to 16 of all lengths, short beside long."""
    batch: list[int] = []
    longest = 0
    for row in np.random.default_rng(0).permutation(rows).tolist():
        longest = max(longest, int(lengths[row]))
        if batch and (len(batch) == MIXED_TEXTS or (len(batch) + 1) * longest > MIXED_TOKENS):
            yield np.array(batch)
            batch, longest = [], int(lengths[row])
        batch.append(row)
    yield np.array(batch)


def _padded_batches(rows: Ints, longest: int) -> Iterator[Ints]:
    """Yield two batches of an even sample of `rows`, as many texts as there is room for at the maximum length."""
    room = max(1, min(MIXED_TEXTS, MIXED_TOKENS // longest))
    spread = rows[np.linspace(0, len(rows) - 1, min(2 * room, len(rows))).astype(np.int64)]
    yield from (part for part in np.array_split(spread, 2) if len(part))


def _batches(ids: RaggedIds) -> list[Ints]:
    return list(token_budget_batches(ids.lengths, BATCH_TOKENS))
