"""`training.json` in a model folder: what the fine-tune was made of, as data. The model card is for people only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mirrorkit.errors import ModelError
from mirrorkit.formats.files import sha256_of
from mirrorkit.formats.json_file import check_version, read_json
from mirrorkit.formats.plain import from_plain, plain

TRAINING = "training.json"
SCHEMA_VERSION = 1
HELPED, NO_CHANGE, HURT = "helped", "no change", "hurt"  # what a verdict may be


@dataclass(frozen=True)
class CorpusRecord:
    """One file of text and what was used of it."""

    name: str  # of the file, without its folder
    sha256: str  # of the file as stored, or of the strings where there was no file
    bytes: int
    rows: int  # read, before anything was left out
    blank: int  # rows skipped
    repeats: int  # rows dropped
    strings: int  # trained on or held out; as many pairs where `pairs` holds
    pairs: bool  # each row held two strings that mean the same
    unit: str  # what a string is: line, sentence, paragraph or document
    skipped: tuple[str, ...]  # files of a folder that were not read, each with the reason
    understood: str = ""  # what the file was taken for and what was found in it, in a line
    negatives: bool = False  # each row held a third string that does not mean the same


@dataclass(frozen=True)
class ScoresRecord:
    """Spearman correlation x 100; null where it is undefined."""

    tasks: Mapping[str, float | None]
    average: float | None


@dataclass(frozen=True)
class MemoryRecord:
    """Bytes of the process that trained, or of its GPU where it had one."""

    limit: int | None  # asked for, or what could be had; null where the system does not tell
    predicted: int  # before the first step, the most that would be held at once
    measured: int | None  # afterwards
    passes: int  # through the encoder, in the batch that had most of them
    twice: bool  # whether a batch was too large to keep its graph, so that it went through in parts, twice


@dataclass(frozen=True)
class ChangeRecord:
    """A labelled set before and after, × 100, with the 95 % interval of the change (paired bootstrap over items)."""

    name: str  # kind and file
    measure: str
    items: int  # pairs, queries, texts
    before: float
    after: float
    change: float
    low: float
    high: float

    @property
    def line(self) -> str:
        """Say it for people."""
        return (
            f"{self.name}: {self.measure} {self.before:.2f} to {self.after:.2f} "
            f"({self.change:+.2f}, 95 % {self.low:+.2f} to {self.high:+.2f})"
        )


@dataclass(frozen=True)
class CutRecord:
    """The labelled sets with vectors that are cut to their first components and brought to unit length again."""

    dim: int  # components that are kept
    changes: tuple[ChangeRecord, ...]


@dataclass(frozen=True)
class LookRecord:
    """How an encoder did on the strings held out; the mean reciprocal rank is × 100, the others for information."""

    mrr: float
    alignment: float  # mean squared distance of two halves
    uniformity: float  # log of the mean of exp(-2 squared distance) over all
    rank: float  # effective rank of their vectors


@dataclass(frozen=True)
class VerdictRecord:
    """Whether it helped, told without labels: do held-out halves find each other better than before?"""

    outcome: str  # helped, no change or hurt
    task: str  # what looked for what
    held_out: int  # strings that were not trained on, near-duplicates included
    questions: int
    among: int  # others that each right answer stood among
    before: LookRecord
    after: LookRecord
    change: float  # of the mean reciprocal rank × 100
    low: float  # its 95 % interval, paired bootstrap over the questions
    high: float

    @property
    def line(self) -> str:
        """Say it in a sentence for people."""
        return (
            f"{self.outcome}: {self.task} of {self.questions:,} held-out strings, each among {self.among:,} others, "
            f"MRR {self.before.mrr:.1f} to {self.after.mrr:.1f} "
            f"({self.change:+.1f}, 95 % {self.low:+.1f} to {self.high:+.1f})"
        )


@dataclass(frozen=True)
class TeacherRecord:
    """A model whose similarities a training was held to."""

    name: str  # hub id, shipped name, or the last part of a path
    sha256: str  # of all that decides its vectors
    variant: str | None  # of a bundle, the graph; null where torch ran a model folder
    dim: int


@dataclass(frozen=True)
class TrainingRecord:
    """One fine-tune, as it is known when the model is saved."""

    base: str  # hub id, shipped name, or a local folder's own name
    recipe: str  # its name; "own" for a Recipe made in Python
    hyper_parameters: Mapping[str, object]  # every field of the recipe
    corpora: tuple[CorpusRecord, ...]
    seeds: tuple[int, ...]  # trained with; the weights are those of the first, unless `average` says otherwise
    dim: int
    max_length: int  # tokens that the saved model takes
    device: str
    precision: str  # of autocast: fp32, bf16 or fp16
    hardware: str
    versions: Mapping[str, str]
    date: str  # UTC, YYYY-MM-DD
    steps: int
    pairs: int  # trained on, over all epochs
    views: str  # which two views the strings had, and why
    blend: str | None  # which share of the base's weights was kept, and why; null for none
    seconds: Mapping[str, float]  # wall time by phase, over all seeds
    train_seconds: float  # of the training whose weights are saved
    before: ScoresRecord | None  # where scores were measured
    after: ScoresRecord | None
    memory: MemoryRecord | None = None
    processes: int = 1  # that shared each batch
    trust_remote_code: bool = False  # whether code that came with the base was allowed to run
    normalized: bool = True  # whether the saved model's vectors have unit length
    kind: str | None = None  # what `auto` took the strings for, and why
    average: str | None = None  # whether the mean of the seeds' weights was kept, and why; null: not asked for
    dev: str | None = None  # which checkpoint was kept, and why; null: the last
    changes: tuple[ChangeRecord, ...] = ()  # of the labelled sets that were given
    verdict: VerdictRecord | None = None
    no_verdict: str | None = None  # why there is none
    loss_function: str | None = None  # the user's own function, by its qualified name; null: NT-Xent
    module: bool = False  # whether the base is a module of the user's, of the class `base`, which alone can load it
    cuts: tuple[CutRecord, ...] = ()  # the labelled sets at each length that vectors may be cut to
    teachers: tuple[TeacherRecord, ...] = ()
    schema_version: int = SCHEMA_VERSION

    @property
    def truncate_dims(self) -> tuple[int, ...]:
        """Lengths that vectors may be cut to, the shortest first; raises ValueError for what is none."""
        asked = str(self.hyper_parameters.get("matryoshka", ""))
        return tuple(int(dim) for dim in asked.split(",")) if asked else ()

    def rows(self) -> dict[str, str]:
        """Return what a model card tells of it, by label."""
        corpora = (
            f"{c.name}, {c.bytes:,} bytes, {c.strings:,} {'pairs' if c.pairs else 'strings'} used" for c in self.corpora
        )
        said = ("pooling", "matryoshka")  # in rows of their own
        settings = {name: value for name, value in self.hyper_parameters.items() if name not in said}
        length = "then L2 normalisation" if self.normalized else "lengths kept"
        trained = settings.get("max_length")
        cut = f" (trained on strings cut to {trained})" if trained else ""
        rate = self.pairs / self.train_seconds if self.train_seconds else 0.0
        return {
            "base": self.base,
            "recipe": self.recipe,
            "corpus": "; ".join(corpora),
            "corpus sha256": ", ".join(c.sha256 for c in self.corpora),
            "pooling": f"{self.hyper_parameters['pooling']}, {length}",
            "maximum length": f"{self.max_length} tokens{cut}",
            "views": self.views,
            **({"loss": self.loss_function} if self.loss_function else {}),
            **self._shorter(),
            **(
                {"teacher": ", ".join(f"{t.name} (sha256 {t.sha256[:12]}…)" for t in self.teachers)}
                if self.teachers
                else {}
            ),
            **({"checkpoint": self.dev} if self.dev else {}),
            **({"blend": self.blend} if self.blend else {}),
            **({"average": self.average} if self.average else {}),
            "verdict, for information": self.verdict.line if self.verdict else f"none: {self.no_verdict}",
            "seed": ", ".join(map(str, self.seeds)) if self.average else str(self.seeds[0]),
            "hyper-parameters": ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings.items()),
            "training": f"{self.steps} steps, {self.pairs:,} pairs, {self.train_seconds:.1f} s at {rate:.0f} pairs/s, "
            f"{self.precision}",
            "hardware": self.hardware,
            "versions": ", ".join(f"{package} {version}" for package, version in self.versions.items()),
            "date": self.date,
        }

    def _shorter(self) -> dict[str, str]:
        """Return what is told of vectors that are cut."""
        if not self.truncate_dims:
            return {}
        lengths = ", ".join(map(str, self.truncate_dims))
        scores = "; ".join(
            f"{one.name} " + ", ".join(f"{length}: {found.after:.2f}" for length, found in self._at_each(one.name))
            for one in self.changes
        )
        told = {"vectors may be cut to": f"{lengths} of {self.dim} (Matryoshka, arXiv:2205.13147)"}
        return {**told, "scores by length": scores} if scores else told

    def _at_each(self, name: str) -> list[tuple[int, ChangeRecord]]:
        """Return a labelled set at each length, the whole last."""
        every = [*((cut.dim, cut.changes) for cut in self.cuts), (self.dim, self.changes)]
        return [(dim, one) for dim, changes in every for one in changes if one.name == name]


def write_training(folder: Path, record: TrainingRecord) -> None:
    """Write `training.json` into the model folder."""
    text = json.dumps(plain(record), indent=2, ensure_ascii=False, allow_nan=False)
    (folder / TRAINING).write_text(text + "\n", encoding="utf-8")


def read_training(folder: Path) -> TrainingRecord | None:
    """Read `training.json`; None for a model folder without one.

    Raises ModelError, naming file and key, for one that is malformed or was written by a newer release.
    """
    file = folder / TRAINING
    if not file.is_file():
        return None
    raw = read_json(file)
    check_version(file, raw, SCHEMA_VERSION)
    try:
        record: TrainingRecord = from_plain(TrainingRecord, raw)
    except ValueError as err:
        raise ModelError(f"{file}: {err}") from err
    if not record.corpora or not record.seeds or "pooling" not in record.hyper_parameters:
        raise ModelError(f"{file}: corpora, seeds and hyper_parameters.pooling must not be empty")
    return record


def corpus_at_hand(folder: Path, training: TrainingRecord | None) -> Path | None:
    """Return a corpus of the fine-tune, where a file of its name and hash lies near; else None.

    The record holds no path. Looked in: the model's folder, the one around it, and the current one.
    """
    places = (folder, folder.resolve().parent, Path.cwd())
    for corpus in training.corpora if training else ():
        if Path(corpus.name).name != corpus.name:  # a path could lead anywhere
            continue
        for file in (place / corpus.name for place in places):
            if file.is_file() and sha256_of(file) == corpus.sha256:
                return file
    return None
