"""How the vectors lie in space: the anisotropy that identity fine-tuning is meant to repair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mirrorkit.errors import CorpusError
from mirrorkit.evaluation.pairs import GradedPairs, TextEncoder, encode_distinct
from mirrorkit.progress import Progress

_POSITIVE = 4.0  # of 5: pairs that people call equal in meaning, as in Gao et al. 2021 (SimCSE)


@dataclass(frozen=True)
class Geometry:
    """Alignment and uniformity after Wang & Isola 2020 (arXiv:2005.10242); lower is better for all three."""

    alignment: float  # mean squared distance of pairs that mean the same
    uniformity: float  # log of the mean of exp(-2 squared distance) over pairs of strings
    mean_cosine: float  # over pairs of strings; near 1 is a narrow cone, near 0 the whole sphere
    strings: int
    positives: int


def _positive(scores: Sequence[float]) -> float:
    """Return the score from which on a pair counts as positive; scores up to 1 are fifths of those up to 5."""
    return _POSITIVE / 5 if max(scores, default=0) <= 1 else _POSITIVE


def measure_geometry(
    encoder: TextEncoder,
    data_sets: Sequence[GradedPairs],
    progress: Progress | None = None,
    *,
    most: int = 4000,
    seed: int = 0,
) -> Geometry:
    """Measure on the strings of graded sets; pairs of strings come from at most `most` of them, drawn by `seed`.

    Raises CorpusError where no pair scores 4 or more.
    """
    vectors = encode_distinct(encoder, data_sets, progress)
    same = [
        (a, b) for d in data_sets for s, a, b in zip(d.score, d.left, d.right, strict=True) if s >= _positive(d.score)
    ]
    if not same:
        raise CorpusError(f"no pair scores {_POSITIVE:g} or more, so alignment cannot be measured")
    left, right = (vectors.rows(side) for side in zip(*same, strict=True))
    sample = vectors.matrix[np.random.default_rng(seed).permutation(len(vectors.matrix))[:most]]
    cosines = (sample @ sample.T)[np.triu_indices(len(sample), 1)]
    return Geometry(
        alignment=float(np.square(left - right).sum(axis=1).mean()),
        uniformity=float(np.log(np.exp(-2 * (2 - 2 * cosines)).mean())),
        mean_cosine=float(cosines.mean()),
        strings=len(sample),
        positives=len(same),
    )
