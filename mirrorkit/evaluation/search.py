"""Search: does a query find its documents? The measures of trec_eval and BEIR, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from mirrorkit.correlation import Array
from mirrorkit.evaluation.intervals import Interval, mean_intervals
from mirrorkit.evaluation.nearest import encode_unit, greatest_first, nearest
from mirrorkit.evaluation.pairs import TextEncoder
from mirrorkit.progress import Progress

DEEPEST = 100  # documents looked at for a query
MEASURES = ("ndcg_at_10", "mrr_at_10", "recall_at_1", "recall_at_10", "recall_at_100", "map_at_100")


@dataclass(frozen=True)
class SearchSet:
    """What is looked for, among what, and what is right."""

    name: str
    queries: dict[str, str]  # id -> text; each has a right document
    documents: dict[str, str]  # id -> text, none of them blank
    relevant: dict[str, dict[str, int]]  # query id -> id of a right document -> its grade, 1 or more
    itself: dict[str, str] = field(default_factory=dict)  # query id -> id of the document that the query is
    kind: str = "judged"  # what the queries are: judged, or of documents the title, first sentence or crop
    main: str = "ndcg_at_10"  # the measure that stands for all, one of MEASURES
    outside: int = 0  # right documents that are not among the documents; they count as not found


@dataclass(frozen=True)
class SearchScore:
    """Times 100, the mean over the queries with its 95 % interval (bootstrap over the queries).

    >>> from mirrorkit import SentenceEncoder, evaluate_search
    >>> score = evaluate_search(SentenceEncoder.load("tiny"), "handbook.jsonl")
    >>> score.mrr_at_10.low <= score.mrr_at_10.value <= score.mrr_at_10.high
    True
    """

    ndcg_at_10: Interval  # gain is the grade, discount log2(rank + 1), over the best that could be had
    mrr_at_10: Interval  # 1 / rank of the first right document, 0 beyond rank 10
    recall_at_1: Interval  # share of the right documents among the first k
    recall_at_10: Interval
    recall_at_100: Interval
    map_at_100: Interval  # mean of the precision at each right document among the first 100
    queries: int
    documents: int
    outside: int  # right documents that are not among the documents; they count as not found
    kind: str  # what the queries are

    def as_dict(self) -> dict[str, object]:
        """Return the figures as plain data."""
        return asdict(self)


def score_search(encoder: TextEncoder, data: SearchSet, progress: Progress | None = None) -> SearchScore:
    """Rank the documents by cosine for every query and report what trec_eval would."""
    by_query = search_scores(encoder, data, progress)
    intervals = mean_intervals(100 * np.stack([by_query[measure] for measure in MEASURES]))
    return SearchScore(
        **dict(zip(MEASURES, intervals, strict=True)),
        queries=len(data.queries),
        documents=len(data.documents),
        outside=data.outside,
        kind=data.kind,
    )


def search_scores(encoder: TextEncoder, data: SearchSet, progress: Progress | None = None) -> dict[str, Array]:
    """Return each of MEASURES for every query, [queries] between 0 and 1, in the order of `data.queries`.

    The definitions are those of trec_eval (ndcg_cut, recall, map_cut; recip_rank of the first ten), and so is the order
    of documents of equal score: descending by id. A query that is itself a document does not find itself, as in BEIR
    (Thakur et al. 2021, arXiv:2104.08663).
    """
    ids = greatest_first(data.documents)
    place = {one: i for i, one in enumerate(ids)}
    queries = encode_unit(encoder, list(data.queries.values()), progress)
    documents = encode_unit(encoder, [data.documents[one] for one in ids], progress)
    hidden = [place[data.itself[query]] if query in data.itself else -1 for query in data.queries]
    found = nearest(queries, documents, DEEPEST, hidden)
    gains = np.zeros((len(found), DEEPEST))
    for row, query in enumerate(data.queries):
        grades = data.relevant[query]
        gains[row, : found.shape[1]] = [grades.get(ids[one], 0) if one >= 0 else 0 for one in found[row]]
    return measures(gains, [data.relevant[query] for query in data.queries])


def measures(gains: Array, relevant: Sequence[Mapping[str, int]]) -> dict[str, Array]:
    """Return each of MEASURES from the grades of what was found, [queries, DEEPEST], and of all that is right."""
    ranks = np.arange(1, DEEPEST + 1)
    discount = 1 / np.log2(ranks[:10] + 1)
    ideal = np.array([_ideal(list(grades.values()), discount) for grades in relevant])
    right = np.array([len(grades) for grades in relevant])
    hits = gains > 0
    first = hits[:, :10].argmax(axis=1)
    precision = np.cumsum(hits, axis=1) / ranks
    return {
        "ndcg_at_10": gains[:, :10] @ discount / ideal,
        "mrr_at_10": np.where(hits[:, :10].any(axis=1), 1 / (first + 1), 0.0),
        **{f"recall_at_{k}": hits[:, :k].sum(axis=1) / right for k in (1, 10, 100)},
        "map_at_100": (precision * hits).sum(axis=1) / right,
    }


def _ideal(grades: list[int], discount: Array) -> float:
    best = np.sort(np.array(grades, dtype=np.float64))[::-1][: len(discount)]
    return float(best @ discount[: len(best)])
