"""The STS scores of a contestant: every distinct sentence encoded once, in a process of its own, scored here."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import record as files
from mirrorkit.assets.paths import GRADED
from mirrorkit.correlation import DIGITS, spearman
from mirrorkit.evaluation.graded import read_pairs
from mirrorkit.evaluation.pairs import GradedPairs, score_pairs, unit_rows
from mirrorkit.evaluation.sts import SEVEN, StsReport, read_tasks
from mirrorkit.text.ragged import Floats

STS = files.SHARED / "data" / "sts"


def read_sets(pairs: int | None, folder: Path | None = None) -> list[GradedPairs]:
    """Return those of the seven STS sets that are there, `pairs` of each drawn evenly; else the shipped graded set."""
    folder = folder or STS
    there = [task for task in SEVEN if (folder / f"{task}.tsv").is_file()]
    if not there:
        print(f"{folder} is not there: scoring on the shipped graded set", file=sys.stderr)
    sets = read_tasks(folder, there) if there else [read_pairs(GRADED, score_column=0)]
    return [draw(data, pairs) for data in sets]


def draw(data: GradedPairs, pairs: int | None) -> GradedPairs:
    """Return so many of the pairs, evenly from the whole set; all of them for None."""
    if pairs is None or pairs >= len(data):
        return data
    rows = [i * len(data) // pairs for i in range(pairs)]
    columns = (data.score, data.left, data.right)
    score, left, right = ([column[i] for i in rows] for column in columns)  # type: ignore[index]
    return GradedPairs(data.name, score, left, right)  # type: ignore[arg-type]


def distinct(sets: Sequence[GradedPairs]) -> list[str]:
    """Return every sentence of the sets once."""
    return list(dict.fromkeys(text for data in sets for side in (data.left, data.right) for text in side))


class Looked:
    """An encoder that looks up what another process has encoded."""

    def __init__(self, texts: Sequence[str], vectors: Floats) -> None:
        self._vectors = vectors
        self._index = {text: i for i, text in enumerate(texts)}

    def encode(self, texts: Sequence[str], /) -> Floats:
        return self._vectors[[self._index[text] for text in texts]]


def score(vectors: Path, texts: Sequence[str], sets: Sequence[GradedPairs]) -> dict[str, Any]:
    """Return Spearman × 100 of every set and their average, from a file of float32 [len(texts), dim]."""
    matrix = np.fromfile(vectors, dtype=np.float32).reshape(len(texts), -1)
    report = StsReport(score_pairs(Looked(texts, matrix), sets))
    return {"average": report.average, "sets": {name: found.spearman for name, found in report.tasks.items()}}


def likeness(vectors: Path, reference: Path, rows: int) -> dict[str, float]:
    """Return the mean and the lowest cosine of each vector with the reference's, and the rank correlation of all pairs.

    Vectors of another width have no cosine with the reference's, but their similarities have an order.
    """
    ours, theirs = (np.fromfile(file, dtype=np.float32).reshape(rows, -1) for file in (vectors, reference))
    above = np.triu_indices(rows, 1)
    pairs = [(unit_rows(one) @ unit_rows(one).T)[above].round(DIGITS) for one in (ours, theirs)]
    ranks = {"spearman": spearman(*pairs)}
    if ours.shape != theirs.shape:
        return ranks
    cosine = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    return {"cosine_mean": float(cosine.mean()), "cosine_min": float(cosine.min()), **ranks}


def fingerprint(artifacts: Iterable[Path], *more: object) -> str:
    """Return what changes when the vectors may: the bytes of the files, and whatever else is given."""
    digest = hashlib.sha256(repr(more).encode())
    for file in artifacts:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def our_code() -> list[Path]:
    """Return the files of mirrorkit itself: what a bundle and its vectors depend on."""
    return sorted((files.ROOT / "mirrorkit").rglob("*.py"))
