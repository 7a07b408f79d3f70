"""A progress bar for who asks for one; rich is loaded only then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr for the block; call its value with the number of texts just done."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("encoding", total=total)
        yield lambda done: progress.advance(task, done)
