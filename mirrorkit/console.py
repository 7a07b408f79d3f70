"""Terminal manners shared by all commands: one-line errors, logging, progress, tables, JSON."""

from __future__ import annotations

import functools
import json
import logging
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import typer

from mirrorkit.errors import MirrorkitError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from mirrorkit.training.loop import Step

P = ParamSpec("P")
T = TypeVar("T")

EXIT_FAILED = 1  # a gate or a check did not pass
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130  # what a shell reports for Ctrl-C


def one_line_errors(command: Callable[P, T]) -> Callable[P, T]:
    """Turn a MirrorkitError into one line on stderr and exit code 2, and Ctrl-C into one line and 130."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except MirrorkitError as err:
            _say(f"mirrorkit: {' '.join(str(err).split())}")
            raise typer.Exit(EXIT_BAD_INPUT) from err
        except KeyboardInterrupt as err:
            _say("mirrorkit: interrupted, nothing was written")
            raise typer.Exit(EXIT_INTERRUPTED) from err

    return wrapped


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def set_up_logging(verbosity: int) -> None:
    """Log to stderr: warnings by default, information with 0 < verbosity, everything above 1, errors alone below 0."""
    level = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}.get(verbosity, logging.DEBUG)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logger = logging.getLogger("mirrorkit")
    logger.handlers[:] = [handler]
    logger.setLevel(level)


def print_json(value: object) -> None:
    """Print one JSON document on stdout; not-a-number becomes null, which every reader takes."""
    print(json.dumps(finite(value), indent=2, ensure_ascii=False))


def finite(value: Any) -> Any:
    """Return JSON values with null for every figure that is not a number."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def stdout() -> Console:
    """Return a console for results."""
    from rich.console import Console

    return Console(highlight=False)


@contextmanager
def live_progress(quiet: bool) -> Iterator[LiveProgress]:
    """Show a live bar on stderr for the block; nothing when `quiet` or when stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        yield LiveProgress(bar)


class LiveProgress:
    """Phases, training steps and encoded texts as one rich progress bar."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("starting", total=None, figures="")

    def phase(self, name: str) -> None:
        """Begin a phase of unknown length."""
        self._bar.reset(self._task, description=name, total=None, figures="")

    def step(self, step: Step) -> None:
        """Show a training step: loss, speed, time left."""
        figures = f"loss {step.loss:.3f} · {step.pairs_per_second:.0f} pairs/s"
        self._bar.update(self._task, completed=step.done, total=step.total, figures=figures)

    def texts(self, done: int, total: int | None) -> None:
        """Show how many texts are encoded."""
        self._bar.update(self._task, description="encoding", completed=done, total=total)
