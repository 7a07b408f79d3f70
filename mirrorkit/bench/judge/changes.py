"""One figure in two results: how far apart, and whether that is more than noise."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from mirrorkit.bench.judge.figures import Figure
from mirrorkit.bench.result import Interval

# A rate is a time turned round, and the grid's p90 and p99 go with its p50.
_REPEATED = re.compile(r"_per_second$|^speed\.grid\..*(?<!\.p50)$")
TASKS = "quality.tasks."  # before the name of a retrieval, search or labelled set
HEADLINES = ("quality.sts_average", "quality.cosine_mean", "speed.ratio", "speed.single_ratio", "file_bytes")


class Verdict(str, Enum):
    """What a change is worth."""

    BEYOND = "beyond noise"  # the 95 % intervals have no value in common
    WITHIN = "within noise"
    REAL = "exact"  # the same texts through another graph: chance has no part in the figure
    UNKNOWN = "noise unknown"  # the figure has no interval
    INCOMPARABLE = "not comparable"  # another machine, other threads, versions, texts, or another baseline

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Change:
    """One figure of one subject that is not the same in both results."""

    subject: str
    figure: str  # its path in the JSON document, e.g. "speed.ragged.p50"
    a: float
    b: float
    verdict: Verdict
    better: bool | None  # None where it cannot be told from noise, or is neither better nor worse
    unit: str = ""
    scale: float = 1.0  # from the figure to the unit
    as_share: bool = False

    @property
    def shown(self) -> bool:
        """Return whether a short report has it: what counts and is not told by another figure, and the main ones."""
        counts = self.verdict in (Verdict.BEYOND, Verdict.REAL) and not _REPEATED.search(self.figure)
        return counts or self.figure in HEADLINES

    def text(self, value: float) -> str:
        """Return one of the two values with its unit."""
        return f"{value * self.scale:.6g}{f' {self.unit}' if self.unit else ''}"

    def difference(self) -> str:
        """Return the change, as a share where that says more."""
        if self.as_share and self.a:
            return f"{self.b / self.a - 1:+.1%}"
        return f"{(self.b - self.a) * self.scale:+.3g}"

    def verdict_text(self) -> str:
        """Return the verdict, with the direction where it counts."""
        return str(self.verdict) if self.better is None else f"{'better' if self.better else 'worse'}, {self.verdict}"


@dataclass(frozen=True)
class Judge:
    """What two results have in common, and so which of their figures may be held against one another."""

    timings: bool  # same machine, threads and versions
    quality: bool  # same texts
    tasks: tuple[str, ...]  # the retrieval, search and labelled sets that both have, with the same texts
    baseline: bool

    def change(self, subject: str, path: str, a: Figure, b: Figure) -> Change | None:
        """Return how the figure changed; None where it is the same."""
        if abs(b.value - a.value) <= a.resolution:
            return None
        verdict = self._verdict(path, a, b)
        counts = verdict in (Verdict.BEYOND, Verdict.REAL) and a.lower_is_better is not None
        better = (b.value < a.value) == a.lower_is_better if counts else None
        return Change(subject, path, a.value, b.value, verdict, better, a.unit, a.scale, a.as_share)

    def _verdict(self, path: str, a: Figure, b: Figure) -> Verdict:
        if not self._comparable(path) or (a.relative_to_baseline and not self.baseline):
            return Verdict.INCOMPARABLE
        if not a.chance and (a.interval is None or b.interval is None):
            return Verdict.REAL
        if a.interval is None or b.interval is None or (not a.chance and not self.baseline):
            return Verdict.UNKNOWN
        return Verdict.WITHIN if _overlap(a.interval, b.interval) else Verdict.BEYOND

    def _comparable(self, path: str) -> bool:
        if path.startswith(TASKS):
            return path.removeprefix(TASKS) in self.tasks
        return {"speed": self.timings, "quality": self.quality}.get(path.partition(".")[0], True)


def _overlap(a: Interval, b: Interval) -> bool:
    return a.low <= b.high and b.low <= a.high
