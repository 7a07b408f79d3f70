"""A static variant in numpy: the vector of a text is the sum of its tokens' vectors, at unit length.

The graph of the variant says the same to ONNX Runtime. Nothing here is padded, and ONNX Runtime is not even loaded.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mirrorkit.errors import BundleError
from mirrorkit.formats.table_file import TokenTable, read_table
from mirrorkit.runtime.opening import Opened
from mirrorkit.runtime.pooling import unit
from mirrorkit.runtime.runner import LocalRunner
from mirrorkit.runtime.session import check_threads, open_session
from mirrorkit.text.ragged import Floats, Ints, RaggedIds

_ROWS = 512  # texts summed at a time: their vectors stay in the processor's cache
_BATCH_TOKENS = 16_384


class BagRunner:
    """Adds up token vectors. Threads may share it."""

    callers = 1  # tokenising takes most of the time, and has threads of its own
    batch_tokens = _BATCH_TOKENS
    max_rows = None

    def __init__(self, table: TokenTable, name: str = "the table") -> None:
        self._vectors = table.vectors()  # four times as large as the bytes, and twice as fast
        self._name = name
        self.dim = table.dim

    def for_callers(self) -> BagRunner:
        return self

    def batch(self, input_ids: Ints, attention_mask: Ints) -> Floats:
        """Return sentence vectors float32 [batch, dim] of int64 ids and mask, both [batch, seq].

        Only tokens with a 1 in the mask count: a 2 is for those of a prompt that is not pooled.
        """
        pooled = attention_mask == 1
        starts = np.concatenate([[0], np.cumsum(pooled.sum(axis=1))])
        return self._sums(RaggedIds(input_ids[pooled].astype(np.int32), starts), np.arange(len(input_ids)))

    def blocks(self, ids: RaggedIds, unpooled: int = 0) -> Iterator[tuple[Ints, Floats]]:
        """Yield rows with their vectors; the first `unpooled` tokens of each are left out."""
        if unpooled:
            ids = ids.behind(unpooled)
        order = np.argsort(-ids.lengths, kind="stable")
        for start in range(0, len(order), _ROWS):
            rows = order[start : start + _ROWS]
            yield rows, self._sums(ids, rows)

    def _sums(self, ids: RaggedIds, rows: Ints) -> Floats:
        """Return the unit vectors of the texts `rows`: the first tokens of all that have one, then the second ones."""
        lengths = ids.lengths[rows]
        order = np.argsort(-lengths, kind="stable")
        starts, lengths = ids.starts[rows][order], lengths[order]
        sums = np.zeros((len(rows), self.dim), dtype=np.float32)
        room = np.empty_like(sums)
        try:
            for place in range(int(lengths[0]) if len(rows) else 0):
                count = int(np.searchsorted(-lengths, -place, side="left"))  # texts longer than `place`
                np.take(self._vectors, ids.flat[starts[:count] + place], axis=0, out=room[:count], mode="raise")
                sums[:count] += room[:count]
        except IndexError as err:
            raise BundleError(f"{self._name}: has no vector for a token of the tokenizer ({err})") from err
        vectors = np.empty_like(sums)
        vectors[order] = unit(sums)
        return vectors


def open_bag(opened: Opened) -> BagRunner:
    """Open the table of a static variant; raises BundleError for one that cannot be read."""
    assert opened.table is not None
    return BagRunner(read_table(opened.table), str(opened.table))


def open_runner(opened: Opened, threads: int | None = None) -> LocalRunner:
    """Open what runs a variant on this machine's processor: numpy for a static one, ONNX Runtime for any other."""
    check_threads(threads)
    return open_session(opened.file, threads=threads) if opened.table is None else open_bag(opened)
