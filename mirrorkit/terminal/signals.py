"""Let SIGTERM and SIGHUP end a command as Ctrl-C does: what it was writing is cleaned up, nothing hangs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_STOPPING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP


class StoppedError(KeyboardInterrupt):
    """A signal asked the process to end; whatever cleans up after Ctrl-C cleans up after this as well."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)

    @property
    def exit_code(self) -> int:
        """Return what a shell reports for a process that a signal ended."""
        return 128 + self.signal

    def __str__(self) -> str:
        return "interrupted" if self.signal is signal.SIGINT else f"stopped by {self.signal.name}"


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise StoppedError in the block, once, for a signal that asks to end. One that is ignored stays so (nohup)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: FrameType | None) -> None:
        for other in before:
            signal.signal(other, signal.SIG_IGN)  # impatience must not cut the cleaning up short
        raise StoppedError(number)

    before = {}
    for number in _STOPPING:
        handler = signal.getsignal(number)
        if handler in (signal.SIG_DFL, signal.default_int_handler):
            before[number] = handler
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
