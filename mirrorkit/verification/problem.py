"""What a check found wrong: where, what was measured, what would have been allowed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum


class Stage(str, Enum):
    """The check that failed, in the order in which they are made."""

    MANIFEST = "manifest"  # mirrorkit.json can be read and is complete
    FILES = "files"  # every file is the one that was verified
    MAKE = "make"  # the graph could be made at all
    GRAPH = "graph"  # onnx.checker, shape inference, operators
    CONTRACT = "contract"  # names, types and axes of inputs and outputs
    NUMBERS = "numbers"  # vectors against the reference
    INVARIANCE = "invariance"  # the same vector whatever else is in the batch, however it is padded
    DETERMINISM = "determinism"  # the same bits twice
    TOKENIZER = "tokenizer"  # text becomes the ids that it did at export
    CONSUMERS = "consumers"  # what other libraries read from the folder

    def __str__(self) -> str:
        return self.value


class Severity(str, Enum):
    ERROR = "error"  # broken, or silently wrong vectors
    WARNING = "warning"  # right only with the right settings
    NOTE = "note"  # worth knowing

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Problem:
    """One finding. `measured` and `allowed` are None where there is nothing to compare."""

    stage: Stage
    what: str
    measured: float | str | None = None
    allowed: float | str | None = None
    where: str = ""  # variant, file or consumer
    severity: Severity = Severity.ERROR

    def line(self) -> str:
        """Return it as one line for people."""
        text = f"{self.where + ': ' if self.where else ''}{self.what}"
        if self.measured is not None:
            text += f": {_shown(self.measured)}"
        if self.allowed is not None:
            text += f" (allowed: {_shown(self.allowed)})"
        return text


def missed(
    stage: Stage, figures: Mapping[str, float], limits: Mapping[str, float], at_most: Collection[str], where: str = ""
) -> Iterator[Problem]:
    """Yield a problem for each figure beyond its limit, which is at least what it says but for those of `at_most`."""
    for name, limit in limits.items():
        measured, bound = figures[name], "at most" if name in at_most else "at least"
        if not (measured <= limit if name in at_most else measured >= limit):  # NaN keeps none
            yield Problem(stage, name, measured, f"{bound} {limit:g}", where)


def errors(problems: list[Problem] | tuple[Problem, ...]) -> list[Problem]:
    """Return those that make a bundle unfit."""
    return [problem for problem in problems if problem.severity is Severity.ERROR]


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"
