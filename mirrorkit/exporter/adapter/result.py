"""What attaching an adapter returns: the bundle and, for every variant, what was measured."""

from __future__ import annotations

from dataclasses import dataclass

from mirrorkit.exporter.result import VariantResult
from mirrorkit.verification.problem import Problem


@dataclass(frozen=True)
class AttachResult:
    """A bundle as it was written, and its variants: published, or why not.

    >>> from mirrorkit import AttachResult
    >>> AttachResult("adapted", "1f3a0c55", 384, variants={}, left_out=("static",), seconds=0.5).lines()
    ['static is left out: no graph gives its vectors', 'wrote nothing']
    """

    bundle: str
    adapter: str  # fingerprint of the map and the encoder that it takes the vectors of
    dim: int
    variants: dict[str, VariantResult]
    left_out: tuple[str, ...]  # variants that no graph can be made of
    seconds: float

    @property
    def published(self) -> bool:
        """Whether there is a bundle at all."""
        return any(variant.published for variant in self.variants.values())

    @property
    def ok(self) -> bool:
        """Whether all that was asked for is published."""
        return self.published and all(variant.published for variant in self.variants.values())

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Return why something is not published."""
        return tuple(problem for variant in self.variants.values() for problem in variant.problems)

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return {
            "bundle": self.bundle if self.published else None,
            "adapter": self.adapter,
            "dim": self.dim,
            "variants": {name: variant.as_dict() for name, variant in self.variants.items()},
            "left_out": list(self.left_out),
            "seconds": self.seconds,
        }

    def lines(self) -> list[str]:
        """Return what a person wants to read of it."""
        told = [f"{name} is left out: no graph gives its vectors" for name in self.left_out]
        for name, variant in self.variants.items():
            if variant.published and variant.verification:
                figures = variant.verification.figures
                told.append(
                    f"{name}: lowest cosine {figures['cosine_min']:.6f}, changed by company {figures['invariance']:.0e}"
                )
        told += [f"not published: {problem.line()}" for problem in self.problems]
        how = f"{self.dim} dimensions, adapter {self.adapter[:12]}, in {self.seconds:.1f} s"
        return [*told, f"wrote {self.bundle}: {how}" if self.published else "wrote nothing"]
