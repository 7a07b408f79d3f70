"""What the demo measures of one encoder, in the same way before and after the fine-tune."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mirrorkit.assets.documents import Document
from mirrorkit.assets.paths import GRADED
from mirrorkit.evaluation.graded import read_pairs
from mirrorkit.evaluation.intervals import Interval, mean_intervals, paired_difference
from mirrorkit.evaluation.nearest import encode_unit, greatest_first, nearest
from mirrorkit.evaluation.pairs import Score, TextEncoder, score_pairs
from mirrorkit.formats.plain import plain
from mirrorkit.progress import Progress

SHOWN = 5  # results of a query
CUT = 10  # ranks that MRR and recall look at
BINS = ((1, 1), (2, 3), (4, 10), (11, 50), (51, None))  # first and last rank of each bar of the picture

Ranks = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Hit:
    id: str
    cosine: float
    right: bool

    @property
    def name(self) -> str:
        """Return the package and what of it is documented, without the modules between."""
        first, *rest = [part for part in self.id.split(".") if not part.startswith("_")] or [self.id]
        return ".".join([first, *(rest[-2:] if len(rest) > 1 and rest[-2][0].isupper() else rest[-1:])])


@dataclass(frozen=True)
class Search:
    """Titles look for their texts among all held-out texts. Figures are times 100, with 95 % intervals."""

    ranks: Ranks  # of each title's own text, 1 is the first, [documents]
    mrr_at_10: Interval
    recall_at_1: Interval
    recall_at_10: Interval
    shown: Mapping[str, Sequence[Hit]]  # query -> its first results
    seconds: float  # that encoding took

    def bins(self) -> list[int]:
        """Count the queries whose right text stands within each of BINS."""
        return [int(((self.ranks >= low) & (self.ranks <= (high or np.inf))).sum()) for low, high in BINS]

    def as_dict(self) -> dict[str, object]:
        figures = {name: plain(getattr(self, name)) for name in ("mrr_at_10", "recall_at_1", "recall_at_10", "shown")}
        return {**figures, "ranks": self.ranks.tolist(), "seconds": self.seconds}


@dataclass(frozen=True)
class Snapshot:
    """All the figures of one encoder."""

    search: Search
    graded: Score

    def as_dict(self) -> dict[str, object]:
        return {"search": self.search.as_dict(), "graded": plain(self.graded)}


def take_snapshot(
    encoder: TextEncoder,
    documents: Sequence[Document],
    queries: Sequence[str],
    progress: Progress | None = None,
) -> Snapshot:
    """Measure `encoder` by search over `documents` and on the graded set."""
    graded = read_pairs(GRADED, score_column=0)
    return Snapshot(
        search=search(encoder, documents, queries, progress),
        graded=score_pairs(encoder, [graded])[graded.name],
    )


def search(
    encoder: TextEncoder, documents: Sequence[Document], queries: Sequence[str], progress: Progress | None = None
) -> Search:
    """Let every title look for its own text; `queries` are the titles whose results are shown."""
    start = time.perf_counter()
    by_id = {document.id: document for document in documents}
    ordered = [by_id[one] for one in greatest_first(by_id)]  # so that ties fall as `evaluate_search` lets them
    asked = encode_unit(encoder, [document.title for document in ordered], progress)
    texts = encode_unit(encoder, [document.text for document in ordered], progress)
    seconds = time.perf_counter() - start
    places = nearest(asked, texts, len(ordered))
    ranks = 1 + (places == np.arange(len(ordered))[:, None]).argmax(axis=1)
    first, ten, mrr = mean_intervals(
        100 * np.stack([(ranks == 1) * 1.0, (ranks <= CUT) * 1.0, reciprocal(ranks)]).astype(np.float64)
    )
    row_of = {document.title: row for row, document in enumerate(ordered)}
    shown = {}
    for query in queries:
        row = row_of[query]
        found = places[row, :SHOWN]
        shown[query] = [Hit(ordered[i].id, float(asked[row] @ texts[i]), bool(i == row)) for i in found]
    return Search(ranks, mrr, first, ten, shown, seconds)


def reciprocal(ranks: Ranks) -> npt.NDArray[np.float64]:
    """Return 1 / rank, 0 beyond the tenth."""
    return np.where(ranks <= CUT, 1 / ranks, 0.0)


def gain(before: Search, after: Search) -> Interval:
    """Return by how much MRR@10 rose, × 100, over the same queries."""
    return paired_difference(100 * reciprocal(after.ranks), 100 * reciprocal(before.ranks))
