"""Ragged token ids, and batches of similar length cut from them. numpy only: training and runtimes share it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class RaggedIds:
    """Token ids of many texts in one flat array: a tenth of the memory of lists of Python ints."""

    flat: npt.NDArray[np.int32]  # ids of all texts, one after another
    starts: Ints  # [n + 1]; text i is flat[starts[i]:starts[i + 1]]

    @classmethod
    def from_blocks(cls, blocks: Iterable[list[list[int]]]) -> RaggedIds:
        """Join blocks of id lists."""
        parts: list[npt.NDArray[np.int32]] = []
        lengths: list[int] = []
        for block in blocks:
            lengths += map(len, block)
            parts.append(np.fromiter((i for ids in block for i in ids), dtype=np.int32))
        starts = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=starts[1:])
        flat = np.concatenate(parts) if parts else np.empty(0, dtype=np.int32)
        return cls(flat, starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, i: int) -> npt.NDArray[np.int32]:
        return self.flat[self.starts[i] : self.starts[i + 1]]

    def part(self, first: int, end: int) -> RaggedIds:
        """Return the texts from `first` up to but without `end`; the ids are not copied."""
        starts = self.starts[first : end + 1]
        return RaggedIds(self.flat[starts[0] : starts[-1]], starts - starts[0])

    def behind(self, count: int) -> RaggedIds:
        """Return the same texts without their first `count` tokens."""
        kept = np.maximum(self.lengths - count, 0)
        starts = np.concatenate([[0], np.cumsum(kept)])
        places = np.arange(starts[-1]) + np.repeat(self.starts[1:] - kept - starts[:-1], kept)
        return RaggedIds(self.flat[places], starts)

    @cached_property
    def lengths(self) -> Ints:
        return np.diff(self.starts)


def joined(parts: Sequence[RaggedIds]) -> RaggedIds:
    """Return the texts of all parts, one part behind the other."""
    lengths = np.concatenate([part.lengths for part in parts])
    return RaggedIds(np.concatenate([part.flat for part in parts]), np.concatenate([[0], np.cumsum(lengths)]))


def pad_batch(
    ids: RaggedIds, rows: Ints, pad_id: int, pad_to: int | None = None, *, unpooled: int = 0
) -> tuple[Ints, Ints]:
    """Return right-padded input_ids and attention_mask, int64 [len(rows), longest or pad_to], at least 1 wide.

    The first `unpooled` tokens of each text have a 2 in the mask: they are attended to and not pooled.
    """
    width = pad_to or max(1, int(ids.lengths[rows].max()))  # some tokenizers make no token of an empty text
    input_ids = np.full((len(rows), width), pad_id, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for position, row in enumerate(rows):
        tokens = ids[int(row)]
        input_ids[position, : len(tokens)] = tokens
        mask[position, : len(tokens)] = 1
    mask[:, :unpooled] *= 2
    return input_ids, mask


def token_budget_batches(lengths: Ints, budget: int, pad_to: int | None = None) -> Iterator[Ints]:
    """Yield rows, longest first, in batches of at most `budget` tokens with padding (one text at the least).

    Longest first, so that a batch that does not fit in memory fails at once and not after an hour.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        width = pad_to or int(lengths[order[start]])
        count = max(1, budget // max(1, width))
        yield order[start : start + count]
        start += count


def homogeneous_chunks(lengths: Ints, overhead: int) -> list[Ints]:
    """Split rows into chunks of similar length at the least total cost.

    A chunk costs its rows times its longest row, in tokens, plus `overhead` tokens for being a pass of its own.
    The optimum over the rows sorted by length, by dynamic programming over the distinct lengths.
    """
    order = np.argsort(lengths, kind="stable")
    distinct, counts = np.unique(lengths, return_counts=True)
    ends = np.concatenate([[0], np.cumsum(counts)])  # rows before each distinct length
    best = np.zeros(len(distinct) + 1, dtype=np.int64)
    cut = np.zeros(len(distinct) + 1, dtype=np.int64)
    for end in range(1, len(distinct) + 1):
        costs = best[:end] + (ends[end] - ends[:end]) * distinct[end - 1] + overhead
        cut[end] = np.argmin(costs)
        best[end] = costs[cut[end]]
    chunks, end = [], len(distinct)
    while end > 0:
        chunks.append(order[ends[cut[end]] : ends[end]])
        end = int(cut[end])
    return chunks  # longest first
