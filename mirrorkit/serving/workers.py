"""Several processes on one port: each opens the bundles and answers; this one starts, ends and replaces them.

The system hands every connection to one that is free. Files that ONNX Runtime maps into memory, such as the weights of
a fused graph, are there once for all of them.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

from mirrorkit.errors import MirrorkitError
from mirrorkit.serving.metrics import MULTIPROCESS, forget
from mirrorkit.serving.settings import Settings

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

log = logging.getLogger(__name__)

_SOON = 5.0  # seconds after its start in which a process that ends was never well
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds before another process starts in its place
_LOOK = 1.0  # seconds between looks at the processes, unless one of them ends


def run_workers(settings: Settings, listening: socket.socket, tell: Callable[[str], None]) -> None:
    """Serve with so many processes until a signal ends them; raises MirrorkitError where they cannot start."""
    with tempfile.TemporaryDirectory(prefix="mirrorkit-metrics-") as folder:
        os.environ[MULTIPROCESS] = folder  # what they count is put together from here
        try:
            _Workers(settings, listening, tell).run()
        finally:
            del os.environ[MULTIPROCESS]
            listening.close()


@dataclass
class _Worker:
    process: SpawnProcess
    line: Connection  # what it says of its start
    began: float


class _Workers:
    def __init__(self, settings: Settings, listening: socket.socket, tell: Callable[[str], None]) -> None:
        self._settings, self._listening, self._tell = settings, listening, tell
        self._spawn = multiprocessing.get_context("spawn")  # sessions and threads do not outlive a fork
        self._running: list[_Worker] = []
        self._due: list[float] = []  # when to start those that stand in for others
        self._pause = _SHORTEST_PAUSE
        self._stopping = False
        self._changed = threading.Event()

    def run(self) -> None:
        handlers = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        if hasattr(signal, "SIGHUP"):
            handlers[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._reload)
        try:
            for _ in range(self._settings.workers):
                self._start()
            told = [_told(worker) for worker in self._running]
            self._tell(f"{told[0]}, by {len(told)} processes")
            while not self._stopping:
                self._changed.wait(_LOOK)
                self._replace()
        finally:
            self._end()
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _start(self) -> None:
        here, there = self._spawn.Pipe(duplex=False)
        level = logging.getLogger("mirrorkit").level
        arguments = (self._settings, self._listening, there, level)
        process = self._spawn.Process(target=_work, args=arguments, name="mirrorkit-serve")
        process.start()
        there.close()
        self._running.append(_Worker(process, here, time.monotonic()))

    def _replace(self) -> None:
        """Start another process for each that has ended; the sooner they end, the longer it waits."""
        now = time.monotonic()
        for worker in [worker for worker in self._running if not worker.process.is_alive()]:
            if self._stopping:
                return
            self._running.remove(worker)
            well = now - worker.began > _SOON
            self._pause = _SHORTEST_PAUSE if well else min(_LONGEST_PAUSE, 2 * self._pause)
            log.error(
                "a process of the server ended with %s%s; another starts in %g s",
                worker.process.exitcode,
                _complaint(worker),
                self._pause,
            )
            worker.line.close()
            forget(worker.process.pid)
            self._due.append(now + self._pause)
        for due in [due for due in self._due if due <= now]:
            self._due.remove(due)
            self._start()

    def _stop(self, _: int, __: FrameType | None) -> None:
        self._stopping = True
        self._signal(signal.SIGTERM)
        self._changed.set()

    def _reload(self, number: int, _: FrameType | None) -> None:
        self._signal(signal.Signals(number))

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._running:
            if worker.process.pid is not None and worker.process.is_alive():
                os.kill(worker.process.pid, number)

    def _end(self) -> None:
        """Wait for the processes to drain, and no longer than they were told to take."""
        if not self._stopping:
            self._signal(signal.SIGTERM)
        until = time.monotonic() + self._settings.limits.drain_timeout + 5
        for worker in self._running:
            worker.process.join(max(0.1, until - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


def _told(worker: _Worker) -> str:
    """Return the line of a process that has started; raises MirrorkitError for one that cannot."""
    try:
        fine, told = worker.line.recv()
    except (EOFError, OSError) as err:
        raise MirrorkitError("a process of the server ended as it began") from err
    if not fine:
        raise MirrorkitError(told)
    return str(told)


def _complaint(worker: _Worker) -> str:
    """Return why a process could not start, if it has said so."""
    try:
        fine, told = worker.line.recv() if worker.line.poll() else (True, "")
    except (EOFError, OSError):
        return ""
    return "" if fine else f" ({told})"


def _work(settings: Settings, listening: socket.socket, line: Connection, level: int) -> None:
    """Serve, in a process of its own, for as long as the one that started it is there."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.CRITICAL)
    logging.getLogger("mirrorkit").setLevel(level)
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until the server has handlers of its own
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of them; the parent passes it on
    from mirrorkit.serving.server import address_of, line_of, serve
    from mirrorkit.serving.service import Service

    try:
        service = Service(settings)
    except MirrorkitError as err:
        line.send((False, str(err)))
        sys.exit(2)
    threading.Thread(target=_end_with_parent, args=(stopped,), name="parent", daemon=True).start()

    def started() -> None:
        with suppress(OSError):  # whoever started it may have ended by now
            line.send((True, line_of(service, address_of(listening))))

    serve(service, listening, started)
    stopped.set()


def _end_with_parent(stopped: threading.Event) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        if not stopped.is_set():
            os.kill(os.getpid(), signal.SIGTERM)
