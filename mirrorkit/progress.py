"""How long work tells how far it is: one protocol, and the form of it that only logs."""

from __future__ import annotations

import logging
from typing import Protocol

log = logging.getLogger(__name__)


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
