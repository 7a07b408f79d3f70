"""What an export returns: the bundle and, for every variant that was tried, what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mirrorkit.errors import ExportError
from mirrorkit.exporter.provenance import Provenance
from mirrorkit.exporter.static.gate import StaticReport
from mirrorkit.formats.fields import Ranges
from mirrorkit.formats.plain import plain
from mirrorkit.verification.problem import Problem
from mirrorkit.verification.proof import Verification


@dataclass(frozen=True)
class VariantResult:
    """One variant: published, or why not."""

    name: str
    file: str  # relative to the bundle
    bytes: int  # of the graph's own file; a fused graph's weights lie in its source's
    verification: Verification | None  # None: the graph could not be made
    problems: tuple[Problem, ...]  # why it is not published
    seconds: float  # to make and verify it
    static: StaticReport | None = None  # of the static variant: how it does beside its encoder
    scalar_ranges: Ranges | None = None  # of its components, where its vectors are its own

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
            **({"static": self.static.as_dict()} if self.static else {}),
            "seconds": self.seconds,
            "problems": plain(self.problems),
        }


@dataclass(frozen=True)
class ExportResult:
    """The bundle, and its variants by name in the order in which they were made.

    Of each variant there are `published`, `problems`, `bytes`, `seconds` and what verification measured.

    >>> from mirrorkit import export
    >>> result = export("model", "bundle-of-result", precision=["fp32"], optimize=False)
    >>> fp32 = result.variants["fp32"]
    >>> fp32.published, fp32.file, fp32.verification.figures["cosine_min"] > 0.9999
    (True, 'onnx/model.onnx', True)
    """

    bundle: Path
    about: Provenance
    variants: dict[str, VariantResult]
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all that was asked for is published."""
        return not self.problems

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Return why something is not published."""
        of_trim = self.about.trim.problems if self.about.trim else ()
        return (*of_trim, *(problem for variant in self.variants.values() for problem in variant.problems))

    @property
    def published(self) -> bool:
        """Whether there is a bundle at all."""
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
            "model": self.about.model,
            "calibration": plain(self.about.calibration),
            "seconds": self.seconds,
            "outside": self.about.outside.as_dict(),
            "notes": list(self.notes),
            "trim": self.about.trim.as_dict() if self.about.trim else None,
        }


class NothingPublishedError(ExportError):
    """No variant may be published; `result` tells what was measured of each."""

    def __init__(self, message: str, result: ExportResult) -> None:
        super().__init__(message)
        self.result = result
