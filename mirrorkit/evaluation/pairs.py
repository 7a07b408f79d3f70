"""Graded pairs: two strings and how similar people found them. Shared by sentence and word similarity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mirrorkit.errors import CorpusError
from mirrorkit.evaluation.tables import TAB, read_table
from mirrorkit.extras import require

Floats = npt.NDArray[np.float32]
OnProgress = Callable[[int, int], None]  # texts encoded so far, texts in all

# What a header may call the column of human scores; compared in lower case.
SCORE_NAMES = {"score", "scores", "similarity", "similarity_score", "sim", "rating", "mean", "average", "avg"}


# Vectors are good to about 1e-7. Without rounding, pairs of equal strings would be ranked by that noise.
DIGITS = 6


class TextEncoder(Protocol):
    """Whatever turns strings into vectors: a torch model or a runtime."""

    def encode(self, texts: Sequence[str], /) -> Floats:
        """Return float32 [len(texts), dim]."""
        ...


@dataclass(frozen=True)
class GradedPairs:
    """One data set: `score[i]` is the human similarity of `left[i]` and `right[i]`."""

    name: str
    score: list[float]
    left: list[str]
    right: list[str]

    def __len__(self) -> int:
        return len(self.score)

    def append(self, score: float, left: str, right: str) -> None:
        self.score.append(score)
        self.left.append(left)
        self.right.append(right)

    def checked(self, source: str) -> GradedPairs:
        """Return the pairs; raises CorpusError where there are too few to rank."""
        if len(self) < 2:
            raise CorpusError(f"{source}: {len(self)} pairs; at least 2 are needed to rank them")
        return self


@dataclass(frozen=True)
class Score:
    """Agreement of cosine with the human scores, times 100."""

    spearman: float
    pearson: float
    pairs: int

    def as_dict(self) -> dict[str, float | int]:
        return asdict(self)


def read_pairs(file: Path, *, score_column: int) -> GradedPairs:
    """Read rows of three columns, between tabs or, in a .csv, commas; the strings are in those beside `score_column`.

    `score_column` is 0-based. A first row that names the score (`score`, `similarity`) is a header. Raises
    CorpusError naming file and line for a row that does not fit; between tabs, quotation marks are part of the text.
    """
    table = read_table(file, (TAB,))
    rows = table.rows
    if rows and len(rows[0].cells) == 3 and rows[0].cells[score_column].strip().lower() in SCORE_NAMES:
        rows = rows[1:]
    pairs = GradedPairs(file.stem, [], [], [])
    for row in rows:
        table.check_width(row, 3)
        left, right = (cell for column, cell in enumerate(row.cells) if column != score_column)
        pairs.append(table.number(row, score_column), left, right)
    return pairs.checked(str(file))


def score_pairs(
    encoder: TextEncoder, data_sets: Sequence[GradedPairs], on_progress: OnProgress | None = None
) -> dict[str, Score]:
    """Score every data set, encoding each distinct string of all of them once."""
    vectors = encode_distinct(encoder, data_sets, on_progress)
    scores = {}
    for data in data_sets:
        left, right = vectors.rows(data.left), vectors.rows(data.right)
        scores[data.name] = correlate(np.einsum("nd,nd->n", left, right), data.score)
    return scores


@dataclass(frozen=True)
class Vectors:
    """Unit vectors of distinct strings, float64 [n, dim]."""

    index: dict[str, int]
    matrix: npt.NDArray[np.float64]

    def rows(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the vectors of `texts`, [len(texts), dim]."""
        return self.matrix[[self.index[text] for text in texts]]


def encode_distinct(
    encoder: TextEncoder, data_sets: Sequence[GradedPairs], on_progress: OnProgress | None = None
) -> Vectors:
    """Encode each distinct string of the data sets once."""
    strings = (text for data in data_sets for side in (data.left, data.right) for text in side)
    return encode_strings(encoder, strings, on_progress)


def encode_strings(encoder: TextEncoder, strings: Iterable[str], on_progress: OnProgress | None = None) -> Vectors:
    """Encode each distinct string once, in a few slices of similar length so that progress can be told."""
    texts = sorted(set(strings), key=lambda text: (-len(text), text))
    size = max(512, len(texts) // 50)
    parts = []
    for start in range(0, len(texts), size):
        parts.append(encoder.encode(texts[start : start + size]))
        if on_progress:
            on_progress(min(start + size, len(texts)), len(texts))
    return Vectors({text: i for i, text in enumerate(texts)}, unit_rows(np.concatenate(parts)))


def unit_rows(vectors: Floats) -> npt.NDArray[np.float64]:
    """Return the rows scaled to unit length, in float64."""
    wide = vectors.astype(np.float64)
    wide /= np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)
    return wide


def correlate(cosines: npt.NDArray[np.float64], scores: Sequence[float]) -> Score:
    """Return both correlations; where they are not defined (all values equal) they are NaN."""
    stats = require("scipy.stats", extra="train")
    cosines = cosines.round(DIGITS)
    spearman = float(stats.spearmanr(cosines, scores).statistic)
    pearson = float(stats.pearsonr(cosines, scores).statistic)
    return Score(100 * spearman, 100 * pearson, len(scores))
