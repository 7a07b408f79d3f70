"""A Progress that remembers what it was told."""

from __future__ import annotations

from collections.abc import Callable


class Told:
    """Remembers `advance`, and calls `react` with the same."""

    def __init__(self, react: Callable[[int, int | None], object] = lambda done, total: None) -> None:
        self.seen: list[tuple[int, int | None]] = []
        self._react = react

    def phase(self, name: str) -> None:
        assert name

    def advance(self, done: int, total: int | None, figures: str = "") -> None:
        assert isinstance(figures, str)
        self.seen.append((done, total))
        self._react(done, total)
