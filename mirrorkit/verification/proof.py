"""Prove whatever runs token ids: its vectors against the reference, in any company, and twice.

One measurement for ONNX graphs, engines and all that is to come: it asks for nothing but `Runner.batch`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from mirrorkit.errors import BundleError
from mirrorkit.formats.usage import Usage
from mirrorkit.runtime.runner import Runner
from mirrorkit.runtime.session import Signature
from mirrorkit.text.awkward import MIN_TEXTS
from mirrorkit.text.ragged import Floats, Ints, RaggedIds
from mirrorkit.verification.measure import changes, invariance, parity, steady, vectors_of
from mirrorkit.verification.problem import Problem, Stage, missed
from mirrorkit.verification.thresholds import AT_MOST, Thresholds

FEWEST = 3  # texts; fewer have no distances to compare
UNIT_LENGTH = 1e-3  # at most; distance of a vector's length from 1
ALL_LIMITS = ("cosine_min", "cosine_p1", "cosine_mean", "max_abs", "spearman", "overlap", "invariance")
# Ranks over a few dozen strings, most of them awkward, say nothing about the model: they are shown, not judged.
WITHOUT_RANKS = ("cosine_min", "cosine_mean", "max_abs", "invariance")
VECTORS_ALONE = ("cosine_min", "cosine_mean", "max_abs")  # of a file whose invariance was measured a minute ago


@dataclass(frozen=True)
class Reference:
    """Token ids, and the fp32 vectors [n, dim] that the original model gives for them."""

    ids: RaggedIds
    vectors: Floats
    usage: Usage = field(default_factory=Usage)
    unpooled: int = 0  # tokens at the start of every text that are attended to and not pooled

    @property
    def scale(self) -> float:
        """Return what differences are measured by: the mean length of a vector where the model keeps lengths."""
        return 1.0 if self.usage.normalized else float(np.linalg.norm(self.vectors, axis=1).mean()) or 1.0


@dataclass(frozen=True)
class SkippingPrompt:
    """A runner that is told of a prompt at the start of every text."""

    runner: Runner
    tokens: int

    def batch(self, input_ids: Ints, attention_mask: Ints) -> Floats:
        mask = attention_mask.copy()
        mask[:, : self.tokens] *= 2
        return self.runner.batch(input_ids, mask)


@dataclass(frozen=True)
class Verification:
    """What was measured of one runner, against which limits, and what failed."""

    problems: tuple[Problem, ...]
    figures: dict[str, float]
    thresholds: Thresholds
    texts: int
    worst: int | None  # the text whose vector is furthest off
    signature: Signature | None = None  # of an ONNX graph that could be opened

    @property
    def passed(self) -> bool:
        return not self.problems

    def report(self) -> dict[str, object]:
        """Return what mirrorkit.json records."""
        return {
            **self.figures,
            "texts": self.texts,
            "allowed": self.thresholds.limits(),
            "overridden": list(self.thresholds.overridden),
        }


def measure(
    runner: Runner,
    reference: Reference,
    thresholds: Thresholds,
    *,
    pad_id: int,
    longest: int,
    min_texts: int = MIN_TEXTS,
    judged: Sequence[str] = ALL_LIMITS,
) -> Verification:
    """Hold the runner's vectors to the reference, in the stages numbers, invariance and determinism.

    `longest` is the number of tokens that texts are padded to at most. All figures are measured, those of `judged`
    are held to their limits; invariance, which takes longer than all else, is measured only where it is judged.
    """
    ids, problems = reference.ids, list[Problem]()
    figures: dict[str, float] = {}
    worst: int | None = None

    def result() -> Verification:
        return Verification(tuple(problems), figures, thresholds, len(ids), worst)

    if len(ids) < min_texts:
        problems.append(Problem(Stage.NUMBERS, "texts to measure on", len(ids), f"at least {min_texts}"))
        return result()
    if reference.unpooled:
        runner = SkippingPrompt(runner, reference.unpooled)
    usage, scale = reference.usage, reference.scale
    try:
        vectors = vectors_of(runner, ids, pad_id)
        if problem := _unusable(vectors, reference.vectors):
            problems.append(problem)
            return result()
        rows = np.flatnonzero(steady(ids)) if thresholds.steady_only else np.arange(len(ids))
        found = asdict(parity(vectors[rows] / scale, reference.vectors[rows] / scale, usage.similarity))
        length_error, worst = found.pop("length_error"), int(rows[found.pop("worst")])
        figures.update(found)
        if usage.normalized and not length_error <= UNIT_LENGTH:
            what = "distance of a vector's length from 1"
            problems.append(Problem(Stage.NUMBERS, what, length_error, UNIT_LENGTH))
        limits = {name: limit for name, limit in thresholds.limits().items() if name in judged}
        alone = limits.pop("invariance", None)
        problems += missed(Stage.NUMBERS, figures, limits, AT_MOST)
        if "invariance" in judged:
            figures["invariance"] = invariance(runner, ids, pad_id, longest) / scale
        if alone is not None:
            problems += missed(Stage.INVARIANCE, figures, {"invariance": alone}, AT_MOST)
        if changed := changes(runner, ids, pad_id, vectors):
            problems.append(Problem(Stage.DETERMINISM, "vectors that change from run to run", changed, 0))
    except BundleError as err:
        problems.append(Problem(Stage.GRAPH, "cannot be run", str(err)))
    return result()


def _unusable(vectors: Floats, reference: Floats) -> Problem | None:
    if vectors.shape != reference.shape:
        return Problem(Stage.CONTRACT, "shape of the vectors", str(vectors.shape), str(reference.shape))
    broken = int((~np.isfinite(vectors)).any(axis=1).sum())
    return Problem(Stage.NUMBERS, "vectors with NaN or infinity in them", broken, 0) if broken else None
