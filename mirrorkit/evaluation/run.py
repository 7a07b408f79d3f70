"""Load a model and score it on what was asked for."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from mirrorkit.assets.paths import GRADED
from mirrorkit.errors import ConfigError
from mirrorkit.evaluation.bli import BliScore, Lexicon, read_lexicon, score_lexicon
from mirrorkit.evaluation.entities import Linking, LinkingScore, read_linking, score_linking
from mirrorkit.evaluation.geometry import Geometry, measure_geometry
from mirrorkit.evaluation.knn import KnnScore
from mirrorkit.evaluation.lexical import read_word_pairs
from mirrorkit.evaluation.loading import Loaded, load_encoder
from mirrorkit.evaluation.multisimlex import read_multisimlex
from mirrorkit.evaluation.pairs import GradedPairs, Score, score_pairs
from mirrorkit.evaluation.qnli import QnliScore, QuestionPairs, read_qnli, score_qnli
from mirrorkit.evaluation.search import SearchScore
from mirrorkit.evaluation.sets import Paths, TaskSets, read_task_sets
from mirrorkit.evaluation.sets import listed as _files
from mirrorkit.evaluation.sts import StsReport, read_tasks
from mirrorkit.formats.plain import plain
from mirrorkit.progress import Progress

log = logging.getLogger(__name__)


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_Data = TypeVar("_Data", bound=_Named)


@dataclass(frozen=True)
class Evaluation:
    """What was asked for is there, the rest is None or empty. Scores go by the name of their file.

    >>> from mirrorkit import evaluate
    >>> found = evaluate("tiny", knn="topics.tsv")
    >>> found.sts, list(found.knn), found.knn["topics"].accuracy.value > 0
    (None, ['topics'], True)
    """

    model: str
    variant: str | None = None  # which graph of a bundle was scored
    sts: StsReport | None = None
    lexical: Mapping[str, Score] = field(default_factory=dict)
    bli: Mapping[str, BliScore] = field(default_factory=dict)
    qnli: Mapping[str, QnliScore] = field(default_factory=dict)
    entities: Mapping[str, LinkingScore] = field(default_factory=dict)
    retrieval: Mapping[str, SearchScore] = field(default_factory=dict)
    search: Mapping[str, SearchScore] = field(default_factory=dict)
    knn: Mapping[str, KnnScore] = field(default_factory=dict)
    geometry: Geometry | None = None

    def as_dict(self) -> dict[str, object]:
        """Return the figures as plain data: the STS report at the top level, the others under their names."""
        report: dict[str, object] = {"model": self.model}
        if self.variant:
            report["variant"] = self.variant
        if self.sts:
            report |= self.sts.as_dict()
        others = ("lexical", "bli", "qnli", "entities", "retrieval", "search", "knn", "geometry")
        return report | {kind: plain(found) for kind in others if (found := getattr(self, kind))}


@dataclass(frozen=True)
class Benchmarks:
    """The data to score on, read and checked."""

    sts: list[GradedPairs]
    words: list[GradedPairs]
    lexicons: list[Lexicon]
    questions: list[QuestionPairs]
    linking: list[Linking]
    tasks: TaskSets


def evaluate(
    model: str | Path,
    *,
    sts: str | Path | None = None,
    tasks: Sequence[str] | None = None,
    lexical: Paths | None = None,
    multisimlex: str | Path | None = None,
    languages: Sequence[str] | None = None,
    bli: Paths | None = None,
    bli_candidates: str | Path | None = None,
    qnli: Paths | None = None,
    entities: tuple[str | Path, str | Path] | None = None,
    retrieval: Paths | None = None,
    split: str | None = None,
    search: Paths | None = None,
    knn: Paths | None = None,
    geometry: bool = False,
    pooling: str | None = None,
    variant: str | None = None,
    threads: int | None = None,
    device: str = "auto",
    revision: str | None = None,
    trust_remote_code: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Score a bundle (without torch), a model folder, a shipped name, or the hub id of a bundle or a model.

    `sts` is a folder of STS files, of which `tasks` are taken. `lexical`, `bli`, `qnli`, `search` (documents) and `knn`
    (labelled texts) take one file or several, `retrieval` folders in BEIR's layout, `multisimlex` the folder of its two
    files, `entities` a dictionary and a file of mentions. Without any data the shipped graded set is scored. All data
    is read first, so a bad row costs no waiting. `revision` is the branch, tag or commit of a bundle on the hub.
    `trust_remote_code` lets Python code run that comes with a model.

    Raises CorpusError naming file and line for a row that does not fit, ConfigError for parameters that do not go
    together, ModelError or BundleError for a model that cannot be used.

    >>> from mirrorkit import evaluate
    >>> found = evaluate("tiny", sts="sts", tasks=["sts12"], geometry=True)
    >>> found.sts.average > 0, found.geometry.uniformity < 0
    (True, True)
    """
    if sts is None and tasks:
        raise ConfigError("`tasks` needs `sts`, the folder of their files")
    shipped = sts is None and not any((lexical, multisimlex, bli, qnli, entities, retrieval, search, knn))
    if shipped:
        sts, tasks = GRADED.parent, [GRADED.stem]
    if sts is None and geometry:
        raise ConfigError("`geometry` needs `sts`, the folder of the strings to measure on")
    if languages and multisimlex is None:
        raise ConfigError("`languages` needs `multisimlex`")
    lexicons = _files(bli)
    if bli_candidates is not None and len(lexicons) != 1:
        raise ConfigError(f"`bli_candidates` goes with one file of `bli`, not {len(lexicons)}")
    words = [read_word_pairs(file) for file in _files(lexical)]
    data = Benchmarks(
        sts=read_tasks(sts, tasks) if sts is not None else [],
        words=_distinct([*words, *(read_multisimlex(multisimlex, languages) if multisimlex is not None else [])]),
        lexicons=_distinct([read_lexicon(file, bli_candidates) for file in lexicons]),
        questions=_distinct([read_qnli(file) for file in _files(qnli)]),
        linking=[read_linking(*entities)] if entities else [],
        tasks=read_task_sets(retrieval, split, search, knn),
    )
    loaded = load_encoder(
        model,
        pooling=pooling,
        device=device,
        variant=variant,
        threads=threads,
        revision=revision,
        trust_remote_code=trust_remote_code,
    )
    if shipped:
        log.warning("no data given: scoring on the shipped graded set; give `sts`, a folder of sets, to use another")
    return _score(loaded, data, str(model), geometry, progress)


def _score(loaded: Loaded, data: Benchmarks, model: str, geometry: bool, progress: Progress | None) -> Evaluation:
    encoder = loaded.encoder
    found = data.tasks.score(encoder, progress)
    return Evaluation(
        model=model,
        variant=loaded.variant,
        sts=StsReport(score_pairs(encoder, data.sts, progress)) if data.sts else None,
        lexical=score_pairs(encoder, data.words, progress) if data.words else {},
        bli={lexicon.name: score_lexicon(encoder, lexicon, progress) for lexicon in data.lexicons},
        qnli={pairs.name: score_qnli(encoder, pairs, progress) for pairs in data.questions},
        entities={linking.name: score_linking(encoder, linking, progress) for linking in data.linking},
        retrieval=found.retrieval,
        search=found.search,
        knn=found.knn,
        geometry=measure_geometry(encoder, data.sts, progress) if geometry else None,
    )


def _distinct(sets: list[_Data]) -> list[_Data]:
    """Return the data sets; raises ConfigError where two would be reported under one name."""
    names = [data.name for data in sets]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"two files are called {double}; scores go by a file's name, so rename one")
    return sets
