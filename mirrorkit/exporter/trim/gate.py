"""How far a trimmed vocabulary may move the vectors, and what was measured. All limits of trimming stand here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from mirrorkit.errors import ConfigError
from mirrorkit.formats.plain import plain
from mirrorkit.verification.problem import Problem, Stage, missed

WHERE = "trimmed vocabulary"


@dataclass(frozen=True)
class TrimLimits:
    """Limits for a trimmed model, held against the model as it was.

    Text outside the corpus is spelled in more and other pieces, which changes its vector: that is the price, and the
    last two say how much of it is fair. A general vocabulary cut to 40 % by 10,000 general sentences costs about 0.1 of
    cosine and a point; beyond twice that, the corpus is too small or too narrow to stand for texts to come.
    """

    corpus_max_abs: float = 1e-5  # at most; any component of any corpus text that is cut into the same pieces
    unchanged: float = 0.95  # at least; share of corpus texts cut into the same pieces; 1 where nothing rare is dropped
    new_unknown: float = 0.0  # at most; texts with more unknown tokens than before
    cosine_mean: float = 0.80  # at least; over built-in texts, few of which are of the corpus
    graded_drop: float = 3.0  # at most; points of Spearman x 100 on the shipped graded pairs
    overridden: tuple[str, ...] = ()  # the limits that the user set

    def limits(self) -> dict[str, float]:
        """Return the limits by name."""
        return {name: value for name, value in asdict(self).items() if name != "overridden"}


_OWN = {
    "unchanged": (0.0, 1.0),
    "cosine_mean": (-1.0, 1.0),
    "graded_drop": (-200.0, 200.0),
}  # those a user may set, and their range
_AT_MOST = ("corpus_max_abs", "new_unknown", "graded_drop")
_CUTTING = ("unchanged", "new_unknown")  # figures of how texts are cut, not of their vectors


def trim_limits(overrides: Mapping[str, float] | None = None) -> TrimLimits:
    """Return the limits with the user's own in place of some; raises ConfigError for a bad name or value."""
    for name, value in (overrides or {}).items():
        if name not in _OWN:
            raise ConfigError(f"limit {name!r} of a trimmed vocabulary: must be one of {', '.join(_OWN)}")
        lowest, highest = _OWN[name]
        if not (math.isfinite(value) and lowest <= value <= highest):
            raise ConfigError(f"`trim.{name}` {value!r}: must be from {lowest:g} to {highest:g}")
    return replace(TrimLimits(), **(overrides or {}), overridden=tuple(sorted(overrides or {})))  # type: ignore[arg-type]


@dataclass(frozen=True)
class TrimReport:
    """What was dropped, and what that did to the vectors."""

    corpus: str  # names of the files
    sha256: str
    texts: int  # rows of the corpus that are not blank
    min_count: int
    vocabulary_before: int
    vocabulary_after: int
    bytes_before: int  # of the weights, as fp32
    bytes_after: int
    figures: dict[str, float]  # by the names of TrimLimits
    unseen_unchanged: float  # share of corpus texts that would be cut into the same pieces were they left out of it
    cosine_min: float  # the lowest of those that cosine_mean is the mean of
    built_in_texts: int  # over which
    built_in_unchanged: float  # share of them cut into the same pieces
    graded_before: float  # Spearman x 100 on the shipped graded pairs
    graded_after: float
    limits: TrimLimits

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Return why it may not be published."""
        limits = self.limits.limits()
        cutting = {name: limits.pop(name) for name in _CUTTING}
        pieces = missed(Stage.TOKENIZER, self.figures, cutting, _AT_MOST, WHERE)
        return (*pieces, *missed(Stage.NUMBERS, self.figures, limits, _AT_MOST, WHERE))

    @property
    def passed(self) -> bool:
        return not self.problems

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints and mirrorkit.json records."""
        value = {**asdict(self), "limits": self.limits.limits(), "overridden": list(self.limits.overridden)}
        return {**value, **value.pop("figures"), "problems": plain(self.problems)}

    def lines(self) -> list[str]:
        """Return it in a few lines for people."""
        share, figures = 1 - self.bytes_after / self.bytes_before, self.figures
        return [
            f"vocabulary {self.vocabulary_before:,} → {self.vocabulary_after:,}, weights "
            f"{self.bytes_before / 1e6:.1f} → {self.bytes_after / 1e6:.1f} MB ({share:.0%} less)",
            f"{figures['unchanged']:.2%} of the {self.texts:,} texts of {self.corpus} are cut into the same pieces; "
            f"of texts like them that are not of the corpus {self.unseen_unchanged:.0%} can be expected to be",
            f"on {self.built_in_texts} other texts: mean cosine to the model as it was {figures['cosine_mean']:.4f}, "
            f"lowest {self.cosine_min:.4f}; {self.built_in_unchanged:.0%} are cut into the same pieces",
            f"graded pairs: {self.graded_before:.2f} → {self.graded_after:.2f} (Spearman × 100)",
        ]
