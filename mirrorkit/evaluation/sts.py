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
    """Score `encoder` on files `TASK.tsv` of rows `score<TAB>a<TAB>b` in `folder`; by default the usual seven.

    Raises CorpusError for a task without a file and for a row that does not fit, with its file and line.
    """
    return StsReport(score_pairs(encoder, read_tasks(folder, tasks), on_progress))


def read_tasks(folder: str | Path, tasks: Sequence[str] | None = None) -> list[GradedPairs]:
    """Read the files of the tasks, by default of the usual seven."""
    return [read_pairs(file, score_column=0) for file in task_files(folder, tasks or SEVEN)]


def task_files(folder: str | Path, tasks: Sequence[str]) -> list[Path]:
    """Return the file of each task; raise CorpusError for those that are not there, before anything is encoded."""
    home = local_path(folder)
    if not home.is_dir():
        raise CorpusError(f"{folder}: no such folder of STS files")
    files = [home / f"{task}.tsv" for task in tasks]
    absent = [file.name for file in files if not file.is_file()]
    if absent:
        there = ", ".join(sorted(f.stem for f in home.glob("*.tsv"))) or "none"
        raise CorpusError(f"{folder}: no {', '.join(absent)} in it (tasks there: {there})")
    return files
