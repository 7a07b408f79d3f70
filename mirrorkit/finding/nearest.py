"""The nearest passages of one query: by a look at all of them, or where there are very many by a graph (usearch)."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mirrorkit.errors import MissingExtraError, OutputError
from mirrorkit.extras import require
from mirrorkit.foreign import foreign
from mirrorkit.publish import publish_file
from mirrorkit.runtime.pairwise import pairwise
from mirrorkit.text.ragged import Floats

log = logging.getLogger(__name__)

Places = npt.NDArray[np.intp]

LARGE = 100_000  # vectors beyond which a graph pays, where usearch is installed
_MORE = 32  # candidates beyond those wanted, for what rounding or the graph puts in the wrong order
_LOOK = 512  # vectors that a search of the graph keeps in view; 64, the default, finds 92 of 100 and this 99
_METRICS = {"cosine": "cos", "dot": "ip", "euclidean": "l2sq"}  # what usearch calls them; it has none for manhattan


class Nearest:
    """Vectors float32 [n, dim], and how alike two are by `similarity`; `kept` is a folder to keep a graph in."""

    def __init__(self, vectors: Floats, similarity: str, kept: Path | None = None, *, exact: bool = False) -> None:
        self._vectors, self._similarity = vectors, similarity
        self._graph = None if exact or len(vectors) <= LARGE else _graph(vectors, similarity, kept)
        self.exact = self._graph is None
        self._lengths: Floats | None = None
        if similarity == "cosine" and self.exact:
            self._lengths = np.maximum(np.linalg.norm(vectors, axis=1), 1e-12)

    def find(self, query: Floats, count: int) -> tuple[Places, Floats]:
        """Return the places of the `count` vectors most like `query` [dim], best first, and how alike they are.

        Of equals the one that stands first comes first. Fewer than `count` vectors: all of them.
        """
        candidates = self._candidates(query, min(count + _MORE, len(self._vectors)))
        near = self._vectors[candidates].astype(np.float64)
        scores = pairwise(query[None].astype(np.float64), near, self._similarity)[0].astype(np.float32)
        order = np.lexsort((candidates, -scores))[:count]
        return candidates[order], scores[order]

    def _candidates(self, query: Floats, count: int) -> Places:
        if self._graph is not None:
            return np.asarray(self._graph.search(query, count).keys, dtype=np.intp)
        if self._similarity in ("cosine", "dot"):  # one pass over memory, with no copy of it
            rough = self._vectors @ query
            rough = rough if self._lengths is None else rough / self._lengths
        else:
            rough = pairwise(query[None], self._vectors, self._similarity)[0]
        return np.argpartition(rough, len(rough) - count)[len(rough) - count :]


def _graph(vectors: Floats, similarity: str, kept: Path | None) -> Any:
    """Return usearch's graph of these vectors, made or as it was kept; None where that library does not do it."""
    if similarity not in _METRICS:
        return None
    try:
        usearch: Any = require("usearch.index", extra="ann")
    except MissingExtraError as err:
        log.info("each query looks at all %d vectors; a graph would be faster (%s)", len(vectors), err)
        return None
    made_of = hashlib.blake2b(np.ascontiguousarray(vectors).data, digest_size=16).hexdigest()
    file = kept and kept / f"{made_of}-{similarity}.usearch"
    if file and file.is_file():
        with foreign(OutputError, f"{file}: cannot be read; delete it"):
            found = usearch.Index.restore(str(file), view=True)
        if found is not None and (len(found), found.ndim) == vectors.shape:
            found.expansion_search = _LOOK  # which is not kept
            return found
    log.info("making a graph of %d vectors, once", len(vectors))
    graph = usearch.Index(ndim=vectors.shape[1], metric=_METRICS[similarity], dtype="f32", expansion_search=_LOOK)
    graph.add(np.arange(len(vectors), dtype=np.uint64), np.ascontiguousarray(vectors))
    if file:
        try:
            with publish_file(file, overwrite=True) as out:
                out.write(graph.save())
        except OutputError as err:
            log.warning("the graph is not kept for the next time: %s", err)
    return graph
