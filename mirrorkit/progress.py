"""How long work tells how far it is: one protocol, and the form of it that only logs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

_SHOWN_EVERY, _LOGGED_EVERY = 0.25, 5.0  # seconds between two reports, and between two lines of the log


class Progress(Protocol):
    """Told what is going on; the terminal shows it as a bar. Whatever has these two methods will do.

    >>> from mirrorkit import evaluate
    >>> class Printed:
    ...     def phase(self, name):
    ...         print(name)
    ...
    ...     def advance(self, done, total, figures=""):
    ...         print(f"{done} of {total}")
    >>> found = evaluate("tiny", sts="sts", tasks=["sts12"], progress=Printed())
    70 of 70
    """

    def phase(self, name: str) -> None:
        """Begin a phase; how long it takes is not known yet."""

    def advance(self, done: int, total: int | None, figures: str = "") -> None:
        """Tell that `done` of `total` units of the phase are done; `figures` is what else is worth showing."""


class Silent:
    """Shows nothing: phases are logged as information, the rest for debugging."""

    def phase(self, name: str) -> None:
        """Log the name."""
        log.info("%s", name)

    def advance(self, done: int, total: int | None, figures: str = "") -> None:
        """Log how far it is."""
        log.debug("%d of %s %s", done, "?" if total is None else total, figures)


class Timed:
    """Hands all on to another, and logs of each phase how long it took, as information."""

    def __init__(self, inner: Progress) -> None:
        self._inner = inner
        self._name = ""
        self._wall, self._busy = 0.0, 0.0

    def phase(self, name: str) -> None:
        """End the phase before and begin this one."""
        self.end()
        self._name, self._wall, self._busy = name, time.perf_counter(), time.process_time()
        self._inner.phase(name)

    def advance(self, done: int, total: int | None, figures: str = "") -> None:
        """Hand it on."""
        self._inner.advance(done, total, figures)

    def end(self) -> None:
        """Log how long the last phase took."""
        if self._name:
            wall, busy = time.perf_counter() - self._wall, time.process_time() - self._busy
            log.info("%s: %.1f s, %.1f s of them the processor's", self._name, wall, busy)
        self._name = ""


def counted(
    items: Iterable[T], progress: Progress, what: str, size: Callable[[T], int], step: int = 1 << 20
) -> Iterator[T]:
    """Yield the items and tell now and then how many there were; of long work a line is logged every five seconds.

    The clock is looked at whenever the items since then have this `size` together.
    """
    count = waiting = 0
    shown = logged = time.perf_counter()
    for count, item in enumerate(items, 1):
        yield item
        waiting += size(item)
        if waiting < step:
            continue
        waiting, now = 0, time.perf_counter()
        if now - shown >= _SHOWN_EVERY:
            shown = now
            progress.advance(count, None, f"{count:,} {what}")
        if now - logged >= _LOGGED_EVERY:
            logged = now
            log.info("%s %s so far", f"{count:,}", what)
