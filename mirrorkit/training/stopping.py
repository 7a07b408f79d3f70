"""Let a signal that asks to end wait until what is under way has been saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Stopping:
    """Whether a signal has asked to end, and what it would have done."""

    def __init__(self) -> None:
        self._asked: tuple[int, Any] | None = None

    def __bool__(self) -> bool:
        return self._asked is not None

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Keep the first signal in the block until `end`; a second one does at once what the first would have done.

        A signal that Python does not handle, as one that ends the process without a word, is left alone.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before: dict[int, Any] = {}

        def wait(number: int, frame: FrameType | None) -> None:
            if self._asked is not None:
                self._asked[1](number, frame)
            self._asked = number, before[number]

        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and callable(handler := signal.getsignal(number)):
                before[number] = handler
                signal.signal(number, wait)
        try:
            yield
        finally:
            for number, handler in before.items():
                if signal.getsignal(number) is wait:  # the handler itself may have changed it
                    signal.signal(number, handler)

    def end(self) -> None:
        """Do what the signal would have done; without one, what Ctrl-C does."""
        number, handler = self._asked or (int(signal.SIGINT), signal.default_int_handler)
        handler(number, None)
