"""Load a model and score it on what was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from mirrorkit.errors import ConfigError
from mirrorkit.evaluation.bli import BliScore, Lexicon, read_lexicon, score_lexicon
from mirrorkit.evaluation.entities import Linking, LinkingScore, read_linking, score_linking
from mirrorkit.evaluation.geometry import Geometry, measure_geometry
from mirrorkit.evaluation.lexical import read_word_pairs
from mirrorkit.evaluation.loading import Loaded, load_encoder
from mirrorkit.evaluation.multisimlex import read_multisimlex
from mirrorkit.evaluation.pairs import GradedPairs, OnProgress, Score, score_pairs
from mirrorkit.evaluation.qnli import QnliScore, QuestionPairs, read_qnli, score_qnli
from mirrorkit.evaluation.sts import StsReport, read_tasks

Paths = str | Path | Sequence[str | Path]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_Data = TypeVar("_Data", bound=_Named)


class _Result(Protocol):
    def as_dict(self) -> Mapping[str, object]: ...


@dataclass(frozen=True)
class Evaluation:
    """What was asked for is there, the rest is None or empty. Scores go by the name of their file."""

    model: str
    variant: str | None = None  # which graph of a bundle was scored
    sts: StsReport | None = None
    lexical: Mapping[str, Score] = field(default_factory=dict)
    bli: Mapping[str, BliScore] = field(default_factory=dict)
    qnli: Mapping[str, QnliScore] = field(default_factory=dict)
    entities: Mapping[str, LinkingScore] = field(default_factory=dict)
    geometry: Geometry | None = None

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints: the STS report at the top level, the others under their names."""
        report: dict[str, object] = {"model": self.model}
        if self.variant:
            report["variant"] = self.variant
        if self.sts:
            report |= self.sts.as_dict()
        scored: dict[str, Mapping[str, _Result]] = {
            "lexical": self.lexical,
            "bli": self.bli,
            "qnli": self.qnli,
            "entities": self.entities,
        }
        for kind, scores in scored.items():
            if scores:
                report[kind] = {name: score.as_dict() for name, score in scores.items()}
        if self.geometry:
            report["geometry"] = self.geometry.as_dict()
        return report


@dataclass(frozen=True)
class Benchmarks:
    """The data to score on, read and checked."""

    sts: list[GradedPairs]
    words: list[GradedPairs]
    lexicons: list[Lexicon]
    questions: list[QuestionPairs]
    linking: list[Linking]


def evaluate_model(
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
    geometry: bool = False,
    pooling: str | None = None,
    variant: str | None = None,
    threads: int | None = None,
    device: str = "auto",
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """Score a bundle (without torch), a model folder, a shipped name or a hub id.

    `lexical`, `bli` and `qnli` take one file or several, `multisimlex` the folder of its two files, `entities` a
    dictionary and a file of mentions. All data is read first, so a bad row costs no waiting.
    """
    if sts is None and not any((lexical, multisimlex, bli, qnli, entities)):
        raise ConfigError(
            "nothing to score on; give --sts FOLDER, --lexical FILE, --multisimlex FOLDER, --bli FILE, --qnli FILE or "
            "--entities DICTIONARY MENTIONS"
        )
    if sts is None and (geometry or tasks):
        raise ConfigError("--tasks and --geometry need --sts FOLDER")
    if languages and multisimlex is None:
        raise ConfigError("--languages needs --multisimlex FOLDER")
    lexicons = _files(bli)
    if bli_candidates is not None and len(lexicons) != 1:
        raise ConfigError(f"--bli-candidates goes with one --bli FILE, not {len(lexicons)}")
    words = [read_word_pairs(file) for file in _files(lexical)]
    data = Benchmarks(
        sts=read_tasks(sts, tasks) if sts is not None else [],
        words=_distinct([*words, *(read_multisimlex(multisimlex, languages) if multisimlex is not None else [])]),
        lexicons=_distinct([read_lexicon(file, bli_candidates) for file in lexicons]),
        questions=_distinct([read_qnli(file) for file in _files(qnli)]),
        linking=[read_linking(*entities)] if entities else [],
    )
    loaded = load_encoder(model, pooling=pooling, device=device, variant=variant, threads=threads)
    return _score(loaded, data, str(model), geometry, on_progress)


def _score(loaded: Loaded, data: Benchmarks, model: str, geometry: bool, on_progress: OnProgress | None) -> Evaluation:
    encoder = loaded.encoder
    return Evaluation(
        model=model,
        variant=loaded.variant,
        sts=StsReport(score_pairs(encoder, data.sts, on_progress)) if data.sts else None,
        lexical=score_pairs(encoder, data.words, on_progress) if data.words else {},
        bli={lexicon.name: score_lexicon(encoder, lexicon, on_progress) for lexicon in data.lexicons},
        qnli={pairs.name: score_qnli(encoder, pairs, on_progress) for pairs in data.questions},
        entities={linking.name: score_linking(encoder, linking, on_progress) for linking in data.linking},
        geometry=measure_geometry(encoder, data.sts, on_progress) if geometry else None,
    )


def _files(paths: Paths | None) -> list[str | Path]:
    if paths is None:
        return []
    return [paths] if isinstance(paths, (str, Path)) else list(paths)


def _distinct(sets: list[_Data]) -> list[_Data]:
    """Return the data sets; raises ConfigError where two would be reported under one name."""
    names = [data.name for data in sets]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"two files are called {double}; scores go by a file's name, so rename one")
    return sets
