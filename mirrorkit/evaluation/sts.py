"""Semantic textual similarity: Spearman correlation of cosine with human scores."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mirrorkit.errors import CorpusError
from mirrorkit.evaluation.graded import read_pairs
from mirrorkit.evaluation.pairs import GradedPairs, Score, TextEncoder, score_pairs
from mirrorkit.formats.plain import plain
from mirrorkit.paths import local_path
from mirrorkit.progress import Progress

# The sets whose average the literature reports, one file each, all pairs of a year together.
SEVEN = ("sts12", "sts13", "sts14", "sts15", "sts16", "stsb-test", "sickr-test")

# Where the score stands: first in our own files, last in the multilingual sets as they are published.
_SCORE_COLUMN = {".tsv": 0, ".csv": 2, ".txt": None}  # None: as the file shows

# What the files are called as they are published, in the order of preference.
_PUBLISHED = {
    **{f"sts{year}": (f"20{year}.test",) for year in range(12, 17)},
    "stsb-train": ("sts-b-train", "sts-train"),
    "stsb-dev": ("sts-b-dev", "sts-dev"),
    "stsb-test": ("sts-b-test", "sts-test"),
    "sickr-test": ("SICK_annotated",),
}


@dataclass(frozen=True)
class StsReport:
    """Scores by task, in the order asked for; of each there are `spearman`, `pearson` (both × 100) and `pairs`.

    >>> from mirrorkit import SentenceEncoder, evaluate_sts
    >>> report = evaluate_sts(SentenceEncoder.load("tiny"), "sts", tasks=["sts12", "sts13"])
    >>> list(report.tasks), report.tasks["sts12"].pairs
    (['sts12', 'sts13'], 35)
    """

    tasks: dict[str, Score]

    @property
    def average(self) -> float:
        """Mean Spearman × 100 over the tasks."""
        return statistics.fmean(score.spearman for score in self.tasks.values())

    def as_dict(self) -> dict[str, object]:
        """Return the figures as plain data."""
        return {"tasks": plain(self.tasks), "average": plain(self.average)}


def evaluate_sts(
    encoder: TextEncoder,
    folder: str | Path,
    tasks: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> StsReport:
    """Score `encoder` on the files of the tasks in `folder`, by default of the usual seven.

    `encoder` is whatever has `encode(list[str]) -> float32 [n, dim]`: an `Encoder`, a `SentenceEncoder`, your own. A
    task is a file `TASK.tsv` of rows `score<TAB>a<TAB>b` or `TASK.csv` of rows `a,b,score`, or has the name and form
    that it is published in: `2012.test.tsv`, `sts-b-test.txt`, `sts-dev.csv`, `SICK_annotated.txt`, or a header as in
    GLUE. Scores may be of any range. Raises CorpusError for a task without a file and for a row that does not fit, with
    its file and line.

    >>> from mirrorkit import SentenceEncoder, evaluate_sts
    >>> evaluate_sts(SentenceEncoder.load("tiny"), "sts").average > 0
    True
    """
    return StsReport(score_pairs(encoder, read_tasks(folder, tasks), progress))


def read_tasks(folder: str | Path, tasks: Sequence[str] | None = None) -> list[GradedPairs]:
    """Read the files of the tasks, by default of the usual seven."""
    names = tasks or SEVEN
    read = (read_pairs(file, score_column=_SCORE_COLUMN[file.suffix]) for file in task_files(folder, names))
    return [replace(pairs, name=name) for pairs, name in zip(read, names, strict=True)]


def task_files(folder: str | Path, tasks: Sequence[str]) -> list[Path]:
    """Return the file of each task; raise CorpusError for those that are not there, before anything is encoded."""
    home = local_path(folder)
    if not home.is_dir():
        raise CorpusError(f"{folder}: no such folder of STS files")
    found = {task: _files(home, task) for task in tasks}
    if absent := [f"{task}.tsv" for task, files in found.items() if not files]:
        there = sorted({file.stem for suffix in _SCORE_COLUMN for file in home.glob(f"*{suffix}")})
        raise CorpusError(f"{folder}: no {', '.join(absent)} in it (tasks there: {', '.join(there) or 'none'})")
    for task, files in found.items():
        if len(files) > 1:
            both = " and as ".join(file.suffix for file in files[:2])
            raise CorpusError(f"{folder}: {task} exists both as {both}; keep one of them")
    return [files[0] for files in found.values()]


def folder_tasks(folder: str | Path) -> list[str]:
    """Return the tasks of a folder: the usual seven where it has them all, else whatever files of pairs there are.

    Raises CorpusError for a folder without any.
    """
    home = local_path(folder)
    if home.is_dir() and not all(_files(home, task) for task in SEVEN):
        there = sorted({file.stem for suffix in (".tsv", ".csv") for file in home.glob(f"*{suffix}")})
        if there:
            return there
    task_files(folder, SEVEN)
    return list(SEVEN)


def _files(home: Path, task: str) -> list[Path]:
    """Return the files of a task, under its own name or else the first one under which it is published and is there."""
    for name in (task, *_PUBLISHED.get(task, ())):
        if files := [file for suffix in _SCORE_COLUMN if (file := home / f"{name}{suffix}").is_file()]:
            return files
    return []
