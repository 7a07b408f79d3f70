"""Strings on disk in the place of a list, for a corpus of many millions: memory holds only where each of them lies.

A row costs 12 bytes of memory a column, and 17 more while repeats are looked for. The file has no name: it is gone with
the process, however that ends.
"""

from __future__ import annotations

import tempfile
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import IO, overload

import numpy as np
import numpy.typing as npt

from mirrorkit.errors import CorpusError
from mirrorkit.text.ragged import Ints

IN_MEMORY = 1 << 26  # bytes of memory that all strings together take, up to which they are lists
_BUFFER = 1 << 20  # bytes that may lie between strings which are read at once
_BLOCK = 4_096  # strings written or read at once, fewer where they are long:
_ENOUGH = 1 << 22  # characters or bytes of strings after which no more are taken
_PART = 1 << 18  # hashes that are looked up at once

_Lengths = npt.NDArray[np.int32]
Hashes = npt.NDArray[np.int64]


class _File:
    """A file without a name, closed when nothing reads from it any more."""

    def __init__(self) -> None:
        # Without a buffer of Python's own: a row here, a row there.
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="mirrorkit-", buffering=0)  # noqa: SIM115
        weakref.finalize(self, self._file.close)

    def append(self, data: bytes) -> None:
        """Write all of it."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def read(self, start: int, length: int) -> bytes:
        self._file.seek(start)
        return self._file.read(length)


class StoredTexts(Sequence[str]):
    """Strings in a file, read one by one as they are asked for; a slice reads none of them."""

    def __init__(self, file: _File, starts: Ints, lengths: _Lengths) -> None:
        """Take the strings that begin at the bytes `starts` [n] of `file` and are `lengths` [n] bytes long."""
        self._file, self._starts, self._lengths = file, starts, lengths

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> StoredTexts: ...
    def __getitem__(self, place: int | slice) -> str | StoredTexts:
        if isinstance(place, slice):
            return StoredTexts(self._file, self._starts[place], self._lengths[place])
        return self._file.read(int(self._starts[place]), int(self._lengths[place])).decode()

    def __iter__(self) -> Iterator[str]:
        last = 0
        while (first := last) < len(self):
            some = np.cumsum(self._lengths[first : first + _BLOCK], dtype=np.int64)
            last = min(first + int(np.searchsorted(some, _ENOUGH)) + 1, first + len(some))
            starts = self._starts[first:last].tolist()
            lengths = self._lengths[first:last].tolist()
            span = starts[-1] + lengths[-1] - starts[0]
            if span > _BUFFER + 4 * sum(lengths) or starts != sorted(starts):  # far apart: one by one reads less
                yield from (self._file.read(*one).decode() for one in zip(starts, lengths, strict=True))
                continue
            block, base = self._file.read(starts[0], span), starts[0]
            for start, length in zip(starts, lengths, strict=True):
                yield block[start - base : start - base + length].decode()

    def take(self, rows: Ints) -> StoredTexts:
        """Return those at these places."""
        return StoredTexts(self._file, self._starts[rows], self._lengths[rows])


class Store:
    """Takes rows of as many strings as there are columns, writes them to a file, and tells which rows are repeats."""

    def __init__(self, columns: int) -> None:
        self._file = _File()
        self._lengths = [array("i") for _ in range(columns)]
        self._hashes = array("q")

    def add(self, rows: Iterable[tuple[str, ...]]) -> None:
        """Write these rows. Raises CorpusError where the disk is full."""
        for block in _portions(rows):
            self._hashes.extend(map(hash, block))
            texts = list(chain.from_iterable(block))
            data = "".join(texts).encode()
            sizes = list(map(len, texts))
            if sum(sizes) != len(data):  # beyond ASCII a character has several bytes
                sizes = [len(text.encode()) for text in texts]
            for place, lengths in enumerate(self._lengths):
                lengths.extend(sizes[place :: len(self._lengths)])
            self._write(data)

    def columns(self, *, repeats: bool) -> tuple[list[StoredTexts], int]:
        """Return the columns, with the first of each repeated row alone unless `repeats`, and how many were left out.

        Rows are told apart by 64 bits of a hash: of ten million different ones, two are taken for one with a chance of
        three in a million.
        """
        lengths: list[_Lengths] = [np.frombuffer(each, dtype=np.int32) for each in self._lengths]
        kept = None if repeats else first_places(np.frombuffer(self._hashes, dtype=np.int64))
        starts = np.cumsum(sum(lengths), dtype=np.int64)  # the ends of the rows, made the starts of their strings
        found: list[StoredTexts] = []
        for column in reversed(lengths):
            starts -= column
            each = StoredTexts(self._file, starts if column is lengths[0] else starts.copy(), column)
            found.insert(0, each if kept is None else each.take(kept))
        return found, 0 if kept is None else len(starts) - len(kept)

    def _write(self, data: bytes) -> None:
        try:
            self._file.append(data)
        except OSError as err:
            raise CorpusError(
                f"the corpus does not fit into {tempfile.gettempdir()} ({err.strerror or err}); the variable TMPDIR "
                "names another folder, and `limit` takes a sample"
            ) from err


def _portions(rows: Iterable[tuple[str, ...]]) -> Iterator[list[tuple[str, ...]]]:
    """Yield lists of rows that take little memory each, whether they are words or whole documents."""
    held: list[tuple[str, ...]] = []
    size = 0
    for row in rows:
        held.append(row)
        size += sum(map(len, row))
        if len(held) == _BLOCK or size > _ENOUGH:
            yield held
            held, size = [], 0
    if held:
        yield held


def first_places(hashes: Hashes) -> Ints | None:
    """Return where each different number stands first, in ascending order; None: all are different."""
    ranked = np.sort(hashes)
    again = ranked[1:] == ranked[:-1]
    if not again.any():
        return None
    repeated = np.unique(ranked[1:][again])
    del ranked, again
    blocks = ((start, hashes[start : start + _PART]) for start in range(0, len(hashes), _PART))
    doubtful = np.concatenate([start + np.flatnonzero(_among(block, repeated)) for start, block in blocks])
    first = np.unique(hashes[doubtful], return_index=True)[1]  # usually few are sorted with their places
    kept = np.ones(len(hashes), dtype=np.bool_)
    kept[doubtful] = False
    kept[doubtful[first]] = True
    return np.flatnonzero(kept)


def _among(hashes: Hashes, ranked: Hashes) -> npt.NDArray[np.bool_]:
    places = np.minimum(np.searchsorted(ranked, hashes), len(ranked) - 1)
    found: npt.NDArray[np.bool_] = ranked[places] == hashes
    return found
