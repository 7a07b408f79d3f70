"""Graded pairs: two strings and how similar people found them. Shared by sentence and word similarity."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mirrorkit.correlation import DIGITS, pearson, spearman
from mirrorkit.errors import CorpusError
from mirrorkit.progress import Progress
from mirrorkit.text.ragged import Floats

# What a header may call the column of human scores; compared in lower case.
SCORE_NAMES = {"score", "scores", "similarity", "similarity_score", "sim", "rating", "mean", "average", "avg"}


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


def score_pairs(
    encoder: TextEncoder, data_sets: Sequence[GradedPairs], progress: Progress | None = None
) -> dict[str, Score]:
    """Score every data set, encoding each distinct string of all of them once."""
    cosines = pair_cosines(encoder, data_sets, progress)
    return {data.name: correlate(cosines[data.name], data.score) for data in data_sets}


def pair_cosines(
    encoder: TextEncoder, data_sets: Sequence[GradedPairs], progress: Progress | None = None
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the cosine of every pair, [pairs], by the name of the data set; each distinct string is encoded once."""
    vectors = encode_distinct(encoder, data_sets, progress)
    return {
        data.name: np.einsum("nd,nd->n", vectors.rows(data.left), vectors.rows(data.right)).round(DIGITS)
        for data in data_sets
    }


@dataclass(frozen=True)
class Vectors:
    """Unit vectors of distinct strings, float64 [n, dim]."""

    index: dict[str, int]
    matrix: npt.NDArray[np.float64]

    def rows(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the vectors of `texts`, [len(texts), dim]."""
        return self.matrix[[self.index[text] for text in texts]]


def encode_distinct(
    encoder: TextEncoder, data_sets: Sequence[GradedPairs], progress: Progress | None = None
) -> Vectors:
    """Encode each distinct string of the data sets once."""
    strings = (text for data in data_sets for side in (data.left, data.right) for text in side)
    return encode_strings(encoder, strings, progress)


def encode_strings(encoder: TextEncoder, strings: Iterable[str], progress: Progress | None = None) -> Vectors:
    """Encode each distinct string once, in a few slices of similar length so that progress can be told."""
    texts = sorted(set(strings), key=lambda text: (-len(text), text))
    size = max(512, len(texts) // 50)
    parts = []
    for start in range(0, len(texts), size):
        parts.append(encoder.encode(texts[start : start + size]))
        if progress:
            progress.advance(min(start + size, len(texts)), len(texts))
    return Vectors({text: i for i, text in enumerate(texts)}, unit_rows(np.concatenate(parts)))


def unit_rows(vectors: Floats) -> npt.NDArray[np.float64]:
    """Return the rows scaled to unit length, in float64."""
    wide = vectors.astype(np.float64)
    wide /= np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)
    return wide


def products(vectors: Floats, reference: Floats) -> npt.NDArray[np.float64]:
    """Return the product of each vector, as it is, with the reference at length 1, both [n, dim].

    That is the cosine where the vector has length 1, as every vector of a bundle should. Where the graph does not
    normalise, it is not, and the figure shows it.
    """
    return np.asarray(np.einsum("nd,nd->n", vectors.astype(np.float64), unit_rows(reference)))


def correlate(cosines: npt.NDArray[np.float64], scores: Sequence[float]) -> Score:
    """Return both correlations; where they are not defined (all values equal) they are NaN."""
    rounded = np.round(cosines, DIGITS)
    return Score(
        spearman=100 * spearman(rounded, scores, undefined=math.nan),
        pearson=100 * pearson(rounded, scores, undefined=math.nan),
        pairs=len(scores),
    )
