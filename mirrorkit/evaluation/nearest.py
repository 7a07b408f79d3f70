"""The nearest documents of every query: exact, in blocks of bounded memory; faiss may do it where there are many."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from mirrorkit.errors import MissingExtraError, ModelError
from mirrorkit.evaluation.pairs import TextEncoder
from mirrorkit.extras import require
from mirrorkit.progress import Progress
from mirrorkit.text.ragged import Floats

log = logging.getLogger(__name__)

Places = npt.NDArray[np.intp]

# Documents beyond which faiss searches, where it is installed. The result is the same, and on two cores nothing is won:
# 320 queries over 210,000 × 384 took numpy 5.8 and faiss 8.8 CPU seconds.
LARGE = 200_000
_BLOCK = 1 << 24  # scores held at a time: 64 MB
_WIDE = 1 << 13  # documents turned into float64 at a time
_MORE = 32  # documents that faiss is asked for beyond those wanted: one may be hidden, others tie for the last place
_SLICE = 512  # texts encoded between two words on progress


def encode_unit(encoder: TextEncoder, texts: Sequence[str], progress: Progress | None = None) -> Floats:
    """Return unit vectors float32 [len(texts), dim], each distinct text encoded once, in slices of like length.

    Queries and documents go through two calls of this, never one: that is where a prompt of either would go.
    Raises ModelError where a vector holds a value that is no number.
    """
    order = np.array(sorted(range(len(texts)), key=lambda i: (-len(texts[i]), texts[i])), dtype=np.intp)
    repeats = [texts[i] == texts[j] for i, j in pairwise(order)]
    number = np.concatenate([[0], np.cumsum(~np.array(repeats, dtype=np.bool_))])  # of the distinct text, in order
    total = int(number[-1]) + 1
    size = max(_SLICE, total // 50)
    matrix: Floats | None = None
    for start in range(0, total, size):
        first, last = np.searchsorted(number, (start, start + size))
        rows, row = order[first:last], number[first:last] - start
        starts = np.flatnonzero(np.diff(row, prepend=-1))
        part = encoder.encode([texts[i] for i in rows[starts]])
        if not np.isfinite(part).all():
            raise ModelError("the model gives vectors that hold NaN or infinity, so nothing can be ranked")
        if matrix is None:
            matrix = np.empty((len(texts), part.shape[1]), np.float32)
        matrix[rows] = (part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12))[row]
        if progress:
            progress.advance(min(start + size, total), total)
    assert matrix is not None, "nothing to encode"
    return matrix


def nearest(queries: Floats, documents: Floats, count: int, hidden: Sequence[int] | None = None) -> Places:
    """Return the places of the `count` documents of greatest product with each query, best first, [queries, count].

    Both are unit vectors float32 [n, dim]. `hidden[i]` is the place of a document that query i must not find, or -1.
    Of equal products the document that stands first comes first. Fewer than `count` documents: all of them, and where
    one is hidden its place is held by -1 at the end.

    Products are summed in float64 and then rounded to float32, the precision of trec_eval: equal documents get equal
    products, wherever they stand in a block, so that a tie is one.
    """
    count = min(count, len(documents))
    search = _faiss(documents) if len(documents) > LARGE else None
    size = max(1, _BLOCK // len(documents))
    found = np.empty((len(queries), count), np.intp)
    for start in range(0, len(queries), size):
        part = slice(start, min(start + size, len(queries)))
        own = np.full(part.stop - start, -1) if hidden is None else np.asarray(hidden[part])
        if search:
            found[part] = search(queries[part], count, own)
        else:
            found[part] = _best(_products(queries[part], documents), count, own)
    return found


def _products(queries: Floats, documents: Floats) -> Floats:
    products = np.empty((len(queries), len(documents)), np.float32)
    wide = queries.astype(np.float64)
    for start in range(0, len(documents), _WIDE):
        products[:, start : start + _WIDE] = wide @ documents[start : start + _WIDE].astype(np.float64).T
    return products


def _best(scores: Floats, count: int, hidden: Places) -> Places:
    """Return the places of the greatest of each row, ties in their order; overwrites hidden scores."""
    rows = np.flatnonzero(hidden >= 0)
    scores[rows, hidden[rows]] = -np.inf
    last = scores.shape[1] - count
    bound = np.partition(scores, last, axis=1)[:, last] if last else scores.min(axis=1)
    return np.stack([_sorted(row, low, count) for row, low in zip(scores, bound, strict=True)])


def _sorted(row: Floats, low: np.float32, count: int) -> Places:
    places = np.flatnonzero(row >= low)  # more than `count` where several tie for the last place
    order = places[np.argsort(-row[places], kind="stable")][:count]
    return np.where(np.isneginf(row[order]), -1, order)


def _faiss(documents: Floats) -> Callable[[Floats, int, Places], Places] | None:
    """Return a search over an exact index, or None where faiss is not installed.

    faiss sums in float32, so a few documents more than asked for are taken and ordered by the products of `nearest`.
    """
    try:
        faiss: Any = require("faiss", extra="search")
    except MissingExtraError as err:
        log.info("%d documents are searched exactly by numpy, as faiss would too (%s)", len(documents), err)
        return None
    index = faiss.IndexFlatIP(documents.shape[1])
    index.add(np.ascontiguousarray(documents))

    def search(queries: Floats, count: int, hidden: Places) -> Places:
        _, places = index.search(np.ascontiguousarray(queries), min(count + _MORE, len(documents)))
        wide = queries.astype(np.float64)
        near = (documents[row] @ query for row, query in zip(places, wide, strict=True))
        scores = np.stack([products.astype(np.float32) for products in near])
        scores[places == hidden[:, None]] = -np.inf
        order = np.lexsort((places, -scores))[:, :count]
        best = np.take_along_axis(places, order, axis=1)
        return np.asarray(np.where(np.isneginf(np.take_along_axis(scores, order, axis=1)), -1, best))

    return search


def greatest_first(ids: Iterable[str]) -> list[str]:
    """Return ids in the order in which trec_eval takes documents of equal score: the greatest first, by its bytes."""
    return sorted(ids, key=lambda one: one.encode(), reverse=True)
