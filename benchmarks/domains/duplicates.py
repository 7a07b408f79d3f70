"""Which texts are near-duplicates: equal, equal but for case and punctuation, or with many word n-grams in common."""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

GRAM = 5  # words
ALIKE = 0.5  # share of the n-grams of both that two near-duplicates have in common (Jaccard)
_BANDS, _ROWS = 24, 3  # MinHash: of pairs with ALIKE in common 96 % share a band, with 0.7 nearly all
_PRIME = np.uint64((1 << 31) - 1)

Grams = npt.NDArray[np.uint64]


def groups(texts: Sequence[str]) -> list[int]:
    """Return for each text the place of the first of its group; a text without near-duplicates is a group of its own.

    Groups are closed: where a is like b and b like c, all three are together. Candidates are those that share a band of
    MinHash (Broder 1997), and each is checked by the n-grams themselves.
    """
    group = list(range(len(texts)))

    def first(place: int) -> int:
        while group[place] != place:
            group[place] = group[group[place]]
            place = group[place]
        return place

    grams = [_grams(text) for text in texts]
    seen: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for place, signature in enumerate(map(_signature, grams)):
        for band in range(_BANDS):
            bucket = seen[band, signature[band].tobytes()]
            match = next((other for other in bucket if _alike(grams[place], grams[other])), None)
            if match is None:
                bucket.append(place)
            else:
                one, other = sorted((first(place), first(match)))
                group[other] = one
    return [first(place) for place in range(len(texts))]


def normalised(text: str) -> str:
    """Return the words alone, in lower case."""
    return " ".join(re.findall(r"\w+", text.lower()))


def _grams(text: str) -> Grams:
    words = normalised(text).split()
    runs = [" ".join(words[i : i + GRAM]) for i in range(max(1, len(words) - GRAM + 1))]
    return np.unique(np.array([zlib.crc32(run.encode()) for run in runs], dtype=np.uint64))


_RANDOM = np.random.default_rng(0)
_FACTORS, _SHIFTS = (_RANDOM.integers(1, int(_PRIME), (_BANDS * _ROWS, 1), dtype=np.uint64) for _ in range(2))


def _signature(grams: Grams) -> Grams:
    """Return the least value of the n-grams under each hash function, [bands, rows]."""
    least: Grams = ((grams % _PRIME * _FACTORS + _SHIFTS) % _PRIME).min(axis=1)
    return least.reshape(_BANDS, _ROWS)


def _alike(a: Grams, b: Grams) -> bool:
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared >= ALIKE * (len(a) + len(b) - shared)
