"""A progress bar for whoever asks for one; rich is loaded only then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mirrorkit.progress import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress


@contextmanager
def bar() -> Iterator[Progress]:
    """Show a bar on stderr for the block."""
    from rich.console import Console
    from rich.progress import Progress as RichProgress

    with RichProgress(console=Console(stderr=True), transient=True) as shown:
        yield _Bar(shown)


class _Bar:
    def __init__(self, shown: RichProgress) -> None:
        self._shown = shown
        self._task = shown.add_task("encoding", total=None)

    def phase(self, name: str) -> None:
        self._shown.reset(self._task, description=name, total=None)

    def advance(self, done: int, total: int | None, figures: str = "") -> None:  # noqa: ARG002
        self._shown.update(self._task, completed=done, total=total)
