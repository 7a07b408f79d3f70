"""Where a bundle comes from: what its manifest records and its card tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mirrorkit.exporter.trim.gate import TrimReport
from mirrorkit.formats.plain import plain
from mirrorkit.model.outside import Outside


@dataclass(frozen=True)
class CalibrationRecord:
    """The texts that ranges were taken over and the graphs were verified on."""

    name: str  # of the file
    sha256: str  # of the file as stored
    texts: int


@dataclass(frozen=True)
class ExportOptions:
    """What was asked for."""

    precision: tuple[str, ...]
    opset: int
    optimize: bool
    static_dim: int | None = None  # where there is a static variant


@dataclass(frozen=True)
class Provenance:
    """What a bundle was made of, how, and by what."""

    model: str  # hub id, shipped name, or a local folder's own name
    calibration: CalibrationRecord
    options: ExportOptions
    versions: Mapping[str, str]
    training: Mapping[str, str]  # what the fine-tune tells of itself, by label; empty for any other model
    outside: Outside  # what came of the comparison with sentence-transformers
    trim: TrimReport | None = None  # where the vocabulary was trimmed
    truncate_dims: tuple[int, ...] = ()  # lengths that the fine-tune trained vectors to be cut to
    card: Mapping[str, Any] = field(default_factory=dict)  # licence, language and base of the original, by its card

    def as_dict(self) -> dict[str, Any]:
        """Return what mirrorkit.json records."""
        value: dict[str, Any] = {**plain(self), "outside": self.outside.as_dict()}
        del value["trim"], value["card"], value["truncate_dims"]
        return {**value, "trim": self.trim.as_dict()} if self.trim else value
