"""Labelled sets that say whether a training helped: graded pairs, search with queries, topics, word similarity."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.record import SHARED
from mirrorkit.assets.paths import GRADED
from mirrorkit.correlation import Array, spearman
from mirrorkit.evaluation.graded import read_pairs
from mirrorkit.evaluation.knn import LabelledTexts
from mirrorkit.evaluation.lexical import read_word_pairs
from mirrorkit.evaluation.pairs import GradedPairs, TextEncoder, pair_cosines
from mirrorkit.evaluation.search import SearchSet
from mirrorkit.evaluation.sets import KNN, RETRIEVAL, QuerySet, read_task_sets
from mirrorkit.text.ragged import Floats

GRADED_PAIRS, TEXTS = 400, 150  # of a set that are scored, drawn by a fixed seed


@dataclass(frozen=True)
class Labelled:
    """One labelled set; `items` is what differences are drawn from."""

    name: str
    data: GradedPairs | QuerySet

    def items(self, encoder: TextEncoder) -> Array:
        """Return the cosine of every pair, or the main measure of every query."""
        if isinstance(self.data, QuerySet):
            return self.data.main_scores(encoder)
        return pair_cosines(encoder, [self.data])[self.data.name]

    def score(self, items: Array) -> float:
        """Return Spearman × 100, or the mean × 100."""
        if isinstance(self.data, QuerySet):
            return 100 * float(items.mean())
        return 100 * spearman(items, self.data.score)


class Memo:
    """An encoder that encodes each text once."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._known: dict[str, Floats] = {}

    def encode(self, texts: Sequence[str], /) -> Floats:
        """Return float32 [len(texts), dim]."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known |= dict(zip(new, self._encoder.encode(new), strict=True))
        return np.stack([self._known[text] for text in texts])


def graded() -> list[Labelled]:
    """Return the development set of the STS Benchmark and the shipped graded pairs."""
    pairs = [read_pairs(SHARED / "data" / "sts" / "stsb-dev.tsv", score_column=0), read_pairs(GRADED, score_column=0)]
    return [Labelled(one.name, _some(one)) for one in pairs]


def words() -> list[Labelled]:
    """Return SimLex-999."""
    return [Labelled("simlex999", read_word_pairs(SHARED / "data" / "lexical" / "simlex999.tsv"))]


def domain(home: Path) -> list[Labelled]:
    """Return the search and the topics of a domain that `benchmarks.domains` has made, on the same few documents."""
    folder = home / f"{home.name}-dev"
    retrieval, knn = read_task_sets(retrieval=folder, split="dev", knn=folder.with_suffix(".tsv")).each()
    search, topics = retrieval.data, knn.data
    assert isinstance(search, SearchSet)
    assert isinstance(topics, LabelledTexts)
    queries = dict(list(search.queries.items())[:TEXTS])
    right = {query: search.relevant[query] for query in queries}
    few = {one: search.documents[one] for grades in right.values() for one in grades}
    known = set(few.values())
    rows = [i for i, text in enumerate(topics.texts) if text in known]
    search = replace(search, queries=queries, documents=few, relevant=right)
    topics = replace(topics, texts=[topics.texts[i] for i in rows], labels=[topics.labels[i] for i in rows])
    return [Labelled("search", QuerySet(RETRIEVAL, search)), Labelled("topics", QuerySet(KNN, topics))]


def _some(pairs: GradedPairs) -> GradedPairs:
    rows = sorted(random.Random(0).sample(range(len(pairs)), min(GRADED_PAIRS, len(pairs))))
    few = GradedPairs(pairs.name, [], [], [])
    for i in rows:
        few.append(pairs.score[i], pairs.left[i], pairs.right[i])
    return few
