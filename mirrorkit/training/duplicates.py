"""Which documents say the same: equal but for case, digits and spaces, or of mostly the same runs of characters."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from mirrorkit.text.ragged import Ints, RaggedIds

_Hashes = npt.NDArray[np.uint64]


_WINDOW = 16  # bytes of a run, about three words
_BANDS, _ROWS = 6, 4  # of the MinHash signature: documents that share 90 % of their runs meet with 99.8 %
_ALIKE = 0.7  # share of the signature that must agree
_RUN, _BUCKETS = 4, 1 << 13  # bytes of a run in `overlaps`, and numbers that stand for one
_LOOKED_AT = 1_000  # characters that `overlaps` looks at
_PREFIX = 20_000  # bytes of a document that are looked at
_BLOCK = 1 << 20  # bytes that are hashed at once
_DIGEST = 32  # bytes that stand for a longer document
_DIGITS = bytes.maketrans(b"123456789", b"000000000")


def same_documents(texts: Sequence[str]) -> Ints:
    """Return a number for each text, [len(texts)], equal for texts that are near-duplicates of one another.

    The number is the index of the first such text. Source: MinHash, Broder 1997; bands, Indyk and Motwani 1998.
    """
    exact = equal_documents(texts)
    distinct = np.flatnonzero(exact == np.arange(len(exact)))
    if len(distinct) < 2:
        return exact
    signatures = np.concatenate(list(_signatures(_plain(texts[i]) for i in distinct.tolist())))
    joined = _Joined(len(distinct))
    for band in range(_BANDS):
        part = np.ascontiguousarray(signatures[:, band * _ROWS : (band + 1) * _ROWS])
        keys = part.view(np.dtype((np.void, part.itemsize * _ROWS))).ravel()
        _, first, bucket = np.unique(keys, return_index=True, return_inverse=True)
        others = np.flatnonzero(first[bucket] != np.arange(len(distinct)))
        alike = (signatures[others] == signatures[first[bucket[others]]]).mean(axis=1) >= _ALIKE
        for one in others[alike].tolist():
            joined.join(one, int(first[bucket[one]]))
    roots = distinct[[joined.root(i) for i in range(len(distinct))]]
    place = np.empty(len(texts), dtype=np.int64)
    place[distinct] = roots
    return place[exact]


def equal_documents(texts: Sequence[str]) -> Ints:
    """Return a number for each text, [len(texts)], equal for texts that are equal but for case and digits."""
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(_key(text), i) for i, text in enumerate(texts)], dtype=np.int64)


def equal_to_any(texts: Sequence[str], some: Iterable[str]) -> npt.NDArray[np.bool_]:
    """Tell of each text whether it is one of `some` but for case and digits, [len(texts)], holding `some` alone."""
    wanted = {_plain(text) for text in some}
    return np.fromiter((_plain(text) in wanted for text in texts), dtype=np.bool_, count=len(texts))


def same_tokens(parts: Sequence[RaggedIds]) -> Ints | None:
    """Return a number for each text of parts of as many texts, [texts of all parts], equal for equal tokens.

    The number is the place of the first such text; None: no two have the same tokens. Tokens are compared where their
    hashes are equal alone, so that no copy of all of them is kept.
    """
    each = len(parts[0])
    hashes = np.fromiter((hash(part[i].tobytes()) for part in parts for i in range(each)), np.int64, each * len(parts))
    _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    numbers = np.arange(len(hashes))
    first: dict[bytes, int] = {}
    for place in np.flatnonzero(counts[inverse] > 1).tolist():
        numbers[place] = first.setdefault(parts[place // each][place % each].tobytes(), place)
    return None if len(first) == np.count_nonzero(counts[inverse] > 1) else numbers


def overlaps(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return the share of their runs of four characters that two texts have in common, [len(texts), len(texts)].

    It is the Jaccard index of their sets of runs, but for runs that a hash takes for the same. Source: Broder 1997.
    """
    has = np.zeros((len(texts), _BUCKETS), dtype=np.float32)
    for row, text in enumerate(texts):
        plain = _plain(text[:_LOOKED_AT])
        runs = {plain[i : i + _RUN] for i in range(max(1, len(plain) - _RUN + 1))}
        has[row, [zlib.crc32(run) % _BUCKETS for run in runs]] = 1
    common: npt.NDArray[np.float32] = has @ has.T
    sizes = common.diagonal()
    shares: npt.NDArray[np.float32] = common / (sizes[:, None] + sizes[None, :] - common)
    return shares


def _key(text: str) -> bytes:
    """Return what two texts share that are equal but for case and digits: of long ones a hash, which takes no room."""
    plain = _plain(text)
    return plain if len(plain) < _DIGEST else hashlib.blake2b(plain, digest_size=_DIGEST).digest()


def _plain(text: str) -> bytes:
    folded = text[:_PREFIX].lower().encode("utf-8", "replace").translate(_DIGITS)
    return folded + str(len(text)).encode() if len(text) > _PREFIX else folded


def _signatures(documents: Iterable[bytes]) -> Iterator[_Hashes]:
    """Yield MinHash signatures [documents, bands * rows], block by block."""
    rng = np.random.default_rng(0)  # any fixed numbers will do
    factors = rng.integers(0, 1 << 63, _BANDS * _ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    block: list[bytes] = []
    size = 0
    for document in documents:
        block.append(document)
        size += len(document) + _WINDOW
        if size >= _BLOCK:
            yield _minima(block, factors)
            block, size = [], 0
    if block:
        yield _minima(block, factors)


def _minima(documents: list[bytes], factors: _Hashes) -> _Hashes:
    gap = bytes(_WINDOW)  # so that no run reaches into the next document; a short document is one run with zeros
    joined = np.frombuffer(gap.join([*documents, b""]), dtype=np.uint8)
    lengths = np.array([len(document) for document in documents])
    starts = np.concatenate([[0], np.cumsum(lengths + _WINDOW)[:-1]])
    words = np.lib.stride_tricks.sliding_window_view(joined, 8)  # a copy of it as 64-bit words is a hash of 8 bytes
    halves = np.ascontiguousarray(words).view(np.uint64).ravel()
    runs = halves[:-8] * np.uint64(0x9E3779B97F4A7C15) + halves[8:] * np.uint64(0xC2B2AE3D27D4EB4F)
    runs ^= runs >> np.uint64(29)
    counts = np.maximum(1, lengths - _WINDOW + 1)
    inside = np.repeat(starts - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts) + np.arange(counts.sum())
    runs = runs[inside]
    bounds = np.concatenate([[0], np.cumsum(counts)[:-1]])
    minima = np.empty((len(documents), len(factors)), dtype=np.uint64)
    for column, factor in enumerate(factors):
        minima[:, column] = np.minimum.reduceat(runs * factor, bounds)
    return minima


class _Joined:
    """Sets of numbers that grow together; the smallest number is the root."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def root(self, i: int) -> int:
        while self._parent[i] != i:
            self._parent[i] = self._parent[self._parent[i]]
            i = self._parent[i]
        return i

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.root(one), self.root(other)))
        self._parent[high] = low
