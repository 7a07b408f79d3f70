"""Semantic textual similarity: Spearman correlation of cosine with human scores."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mirrorkit.errors import CorpusError
from mirrorkit.evaluation.pairs import GradedPairs, OnProgress, Score, TextEncoder, read_pairs, score_pairs
from mirrorkit.paths import local_path

# The sets whose average the literature reports, one file each, all pairs of a year together.
SEVEN = ("sts12", "sts13", "sts14", "sts15", "sts16", "stsb-test", "sickr-test")

# Where the score stands: first in our own files, last in the multilingual sets as they are published.
_SCORE_COLUMN = {".tsv": 0, ".csv": 2}


@dataclass(frozen=True)
class StsReport:
    """Scores by task, in the order asked for."""

    tasks: dict[str, Score]

    @property
    def average(self) -> float:
        """Mean Spearman × 100 over the tasks."""
        return statistics.fmean(score.spearman for score in self.tasks.values())

    def as_dict(self) -> dict[str, object]:
        return {"tasks": {name: score.as_dict() for name, score in self.tasks.items()}, "average": self.average}


def evaluate_sts(
    encoder: TextEncoder,
    folder: str | Path,
    tasks: Sequence[str] | None = None,
    on_progress: OnProgress | None = None,
) -> StsReport:
    """Score `encoder` on the files of the tasks in `folder`, by default of the usual seven.

    A task is a file `TASK.tsv` of rows `score<TAB>a<TAB>b` or `TASK.csv` of rows `a,b,score`. Raises CorpusError for
    a task without a file and for a row that does not fit, with its file and line.
    """
    return StsReport(score_pairs(encoder, read_tasks(folder, tasks), on_progress))


def read_tasks(folder: str | Path, tasks: Sequence[str] | None = None) -> list[GradedPairs]:
    """Read the files of the tasks, by default of the usual seven."""
    return [read_pairs(file, score_column=_SCORE_COLUMN[file.suffix]) for file in task_files(folder, tasks or SEVEN)]


def task_files(folder: str | Path, tasks: Sequence[str]) -> list[Path]:
    """Return the file of each task; raise CorpusError for those that are not there, before anything is encoded."""
    home = local_path(folder)
    if not home.is_dir():
        raise CorpusError(f"{folder}: no such folder of STS files")
    found = {task: [file for suffix in _SCORE_COLUMN if (file := home / f"{task}{suffix}").is_file()] for task in tasks}
    if absent := [f"{task}.tsv" for task, files in found.items() if not files]:
        there = sorted({file.stem for suffix in _SCORE_COLUMN for file in home.glob(f"*{suffix}")})
        raise CorpusError(f"{folder}: no {', '.join(absent)} in it (tasks there: {', '.join(there) or 'none'})")
    if double := next((task for task, files in found.items() if len(files) > 1), None):
        raise CorpusError(f"{folder}: {double} is there as .tsv and as .csv; leave one of them")
    return [files[0] for files in found.values()]
