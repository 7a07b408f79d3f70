"""A progress that remembers what it was told."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Told:
    phases: list[str] = field(default_factory=list)
    steps: list[tuple[int, int | None, str]] = field(default_factory=list)

    def phase(self, name: str) -> None:
        self.phases.append(name)

    def advance(self, done: int, total: int | None, figures: str = "") -> None:
        self.steps.append((done, total, figures))
