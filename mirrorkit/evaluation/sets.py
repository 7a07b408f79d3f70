"""The sets that judge what users want, retrieval, search and kNN, read together and scored together.

Each has a name, one main measure, and a score for every query, so that two models can be compared in pairs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from mirrorkit.correlation import Array
from mirrorkit.errors import ConfigError
from mirrorkit.evaluation.beir import read_retrieval
from mirrorkit.evaluation.documents import read_search
from mirrorkit.evaluation.knn import KnnScore, LabelledTexts, knn_scores, read_labelled, score_knn
from mirrorkit.evaluation.pairs import TextEncoder
from mirrorkit.evaluation.search import SearchScore, SearchSet, score_search, search_scores
from mirrorkit.progress import Progress

Paths = str | Path | Sequence[str | Path]

RETRIEVAL, SEARCH, KNN = "retrieval", "search", "knn"


@dataclass(frozen=True)
class TaskScores:
    """By the name of the file or folder."""

    retrieval: Mapping[str, SearchScore] = field(default_factory=dict)
    search: Mapping[str, SearchScore] = field(default_factory=dict)
    knn: Mapping[str, KnnScore] = field(default_factory=dict)


@dataclass(frozen=True)
class QuerySet:
    """One set with its main measure; `main_scores` gives a figure for every query, what the paired bootstrap wants."""

    kind: str  # RETRIEVAL, SEARCH or KNN
    data: SearchSet | LabelledTexts

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.data.name}"

    @property
    def measure(self) -> str:
        return self.data.main if isinstance(self.data, SearchSet) else "accuracy"

    def about(self) -> dict[str, object]:
        """Return how many queries there are, and a hash of all texts and of what is right."""
        parts: list[object] = [self.measure]
        if isinstance(self.data, SearchSet):
            parts += [self.data.queries, self.data.documents, self.data.relevant]
            queries = len(self.data.queries)
        else:
            parts += [self.data.texts, self.data.labels, self.data.scored]
            queries = len(self.data.texts) if self.data.scored is None else sum(self.data.scored)
        digest = sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        return {"queries": queries, "sha256": digest[:16]}

    def main_scores(self, encoder: TextEncoder, progress: Progress | None = None) -> Array:
        """Return the main measure of every query, [queries], between 0 and 1."""
        if isinstance(self.data, SearchSet):
            return search_scores(encoder, self.data, progress)[self.data.main]
        return knn_scores(encoder, self.data, progress)


@dataclass(frozen=True)
class TaskSets:
    """What was read, by kind."""

    retrieval: list[SearchSet] = field(default_factory=list)
    search: list[SearchSet] = field(default_factory=list)
    knn: list[LabelledTexts] = field(default_factory=list)

    def score(self, encoder: TextEncoder, progress: Progress | None = None) -> TaskScores:
        """Score an encoder on every set."""
        return TaskScores(
            retrieval={one.name: score_search(encoder, one, progress) for one in self.retrieval},
            search={one.name: score_search(encoder, one, progress) for one in self.search},
            knn={one.name: score_knn(encoder, one, progress) for one in self.knn},
        )

    def each(self) -> list[QuerySet]:
        """Return the sets one by one."""
        kinds: dict[str, Sequence[SearchSet | LabelledTexts]] = {
            RETRIEVAL: self.retrieval,
            SEARCH: self.search,
            KNN: self.knn,
        }
        return [QuerySet(kind, data) for kind, found in kinds.items() for data in found]


def read_task_sets(
    retrieval: Paths | None = None, split: str | None = None, search: Paths | None = None, knn: Paths | None = None
) -> TaskSets:
    """Read folders in BEIR's layout, documents to be searched, and files of labelled texts: one of a kind or several.

    Raises ConfigError where two of a kind have one name, and what the readers raise.
    """
    if split is not None and not retrieval:
        raise ConfigError("`split` needs `retrieval`, the folder that it is of")
    sets = TaskSets(
        retrieval=[read_retrieval(folder, split) for folder in listed(retrieval)],
        search=[read_search(documents) for documents in listed(search)],
        knn=[read_labelled(file) for file in listed(knn)],
    )
    names = [one.name for one in sets.each()]
    if double := next((name for name in names if names.count(name) > 1), None):
        kind, _, name = double.partition(":")
        raise ConfigError(f"{kind}: two are called {name}; scores go by the name of the file or folder, so rename one")
    return sets


def listed(paths: Paths | None) -> list[str | Path]:
    """Return one path or several as a list."""
    if paths is None:
        return []
    return [paths] if isinstance(paths, (str, Path)) else list(paths)
