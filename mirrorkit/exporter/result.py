"""What an export returns: the bundle and, for every variant that was tried, what was measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mirrorkit.errors import ExportError
from mirrorkit.exporter.trim_gate import TrimReport
from mirrorkit.verification.problem import Problem
from mirrorkit.verification.verify import Verification


@dataclass(frozen=True)
class VariantResult:
    """One variant: published, or why not."""

    name: str
    file: str  # relative to the bundle
    bytes: int  # of the graph's own file; a fused graph's weights lie in its source's
    verification: Verification | None  # None: the graph could not be made
    problems: tuple[Problem, ...]  # why it is not published
    seconds: float  # to make and verify it

    @property
    def published(self) -> bool:
        return not self.problems

    def as_dict(self) -> dict[str, object]:
        measured = self.verification.report() if self.verification else {}
        return {
            "file": self.file,
            "bytes": self.bytes,
            "published": self.published,
            **measured,
            "seconds": self.seconds,
            "problems": [problem.as_dict() for problem in self.problems],
        }


@dataclass(frozen=True)
class ExportResult:
    """The bundle, and its variants by name in the order in which they were made."""

    bundle: Path
    model: str
    variants: dict[str, VariantResult]
    calibration: dict[str, object]  # name, sha256 and number of texts
    seconds: float
    notes: tuple[str, ...] = field(default=())
    trim: TrimReport | None = None  # where the vocabulary was trimmed

    @property
    def ok(self) -> bool:
        """Whether all that was asked for is published."""
        return not self.problems

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Return why something is not published."""
        of_trim = self.trim.problems if self.trim else ()
        return (*of_trim, *(problem for variant in self.variants.values() for problem in variant.problems))

    @property
    def published(self) -> bool:
        return any(variant.published for variant in self.variants.values())

    @property
    def bytes(self) -> int:
        """Of the whole bundle."""
        return sum(file.stat().st_size for file in self.bundle.rglob("*") if file.is_file())

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return {
            "bundle": str(self.bundle) if self.published else None,
            "variants": {name: variant.as_dict() for name, variant in self.variants.items()},
            "model": self.model,
            "calibration": self.calibration,
            "seconds": self.seconds,
            "notes": list(self.notes),
            "trim": self.trim.as_dict() if self.trim else None,
        }


class NothingPublishedError(ExportError):
    """No variant may be published; `result` tells what was measured of each."""

    def __init__(self, message: str, result: ExportResult) -> None:
        super().__init__(message)
        self.result = result
