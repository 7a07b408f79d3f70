"""Terminal manners shared by all commands: logging, colour, progress, tables, JSON."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from mirrorkit.formats.plain import plain
from mirrorkit.terminal.streams import output_is_closed, tell

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress


class Color(str, Enum):
    """When to colour; `auto` is on a terminal, unless NO_COLOR is set."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


@dataclass
class Manners:
    """How the running command speaks."""

    verbosity: int = 0  # warnings; above 0 information, above 1 everything, below 0 errors alone and no progress
    color: Color = Color.AUTO


_manners = Manners()


def set_up(verbosity: int, color: Color, wording: Callable[[str], str]) -> None:
    """Choose how to speak from here on; log records go to stderr, worded by `wording`."""
    _manners.verbosity, _manners.color = verbosity, color
    level = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}.get(verbosity, logging.DEBUG)
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter(wording))
    logger = logging.getLogger("mirrorkit")
    logger.handlers[:] = [handler]
    logger.setLevel(level)


def only_errors() -> None:
    """Tell nothing but errors from here on, as --quiet does."""
    _manners.verbosity = -1
    logging.getLogger("mirrorkit").setLevel(logging.ERROR)


class _Formatter(logging.Formatter):
    def __init__(self, wording: Callable[[str], str]) -> None:
        super().__init__("%(levelname)s: %(message)s")
        self._wording = wording

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (the name is logging's)
        record.message = self._wording(record.message)
        return super().formatMessage(record)


def is_quiet() -> bool:
    """Return whether only errors are to be told."""
    return _manners.verbosity < 0


def say(line: str) -> None:
    """Tell an error or a refusal: one line on stderr."""
    tell(line)


def show(
    result: object,
    lines: Callable[[], Iterable[RenderableType]],
    *,
    as_json: bool = False,
    markup: bool = True,
    of_files: bool = False,
) -> None:
    """Print a result: as one JSON document, else as lines for people, else, with --quiet, not at all.

    Lines `of_files` only tell of what lies on the disk, so a user who has closed standard output does without them.
    """
    if as_json:
        print_json(result)
    elif not is_quiet() and not (of_files and output_is_closed()):
        made = list(lines())
        if not markup and all(isinstance(line, str) for line in made):  # rich takes as long to load as a text to encode
            print(*made, sep="\n")
        else:
            stdout().print(*made, sep="\n", soft_wrap=True, markup=markup)


def print_json(value: object) -> None:
    """Print one JSON document on stdout; NaN becomes null, which every reader takes."""
    print(json.dumps(plain(value), indent=2, ensure_ascii=False))


def stdout() -> Console:
    """Return a console for results."""
    return _console(stderr=False)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    if _manners.color is Color.NEVER:
        return Console(stderr=stderr, highlight=False, color_system=None)
    if _manners.color is Color.ALWAYS:
        return Console(stderr=stderr, highlight=False, force_terminal=True, no_color=False)
    return Console(stderr=stderr, highlight=False)


@contextmanager
def live_progress() -> Iterator[LiveProgress]:
    """Show a live bar on stderr for the block; nothing with --quiet or when stderr is not a terminal."""
    if is_quiet() or not sys.stderr.isatty():
        yield LiveProgress(None)  # to import what draws it is a tenth of a second that a short job would feel
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_console(stderr=True), transient=True) as bar:
        yield LiveProgress(bar)


class LiveProgress:
    """`mirrorkit.progress.Progress` as one rich progress bar, or as nothing where there is none."""

    def __init__(self, bar: Progress | None) -> None:
        self._bar = bar
        self._task = None if bar is None else bar.add_task("starting", total=None, figures="")

    def phase(self, name: str) -> None:
        """Begin a phase of unknown length."""
        if self._bar is not None and self._task is not None:
            self._bar.reset(self._task, description=name, total=None, figures="")

    def advance(self, done: int, total: int | None, figures: str = "") -> None:
        """Show how far the phase is."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total, figures=figures)
