"""Run the application until a signal ends it: SIGTERM and SIGINT drain, SIGHUP reloads."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mirrorkit.serving.service import Service

# A thread that is ready to run its graph waits no longer for the one that reads and writes. Python's own 5 ms are as
# long as a graph takes.
SWITCH_SECONDS = 0.0005
BACKLOG = 2048  # connections that wait to be taken


def address_of(listening: socket.socket) -> str:
    """Return the URL of a server that listens there."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(service: Service, listening: socket.socket, started: Callable[[], None]) -> None:
    """Answer on an open socket until a signal ends it; what is under way then is answered first."""
    import uvicorn

    from mirrorkit.serving.app import make_app
    from mirrorkit.serving.protocol import connection_with

    settings = service.settings
    for name in ("uvicorn.error", "uvicorn.access", "uvicorn.asgi"):  # it would log what any client can provoke
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if settings.log_requests or settings.log_texts:
        logging.getLogger("mirrorkit.serving.requests").setLevel(logging.INFO)  # asked for, however quiet the rest is
    app: Any = make_app(service)
    if settings.otel:
        from mirrorkit.serving.tracing import traced

        app = traced(app)

    class Server(uvicorn.Server):  # type: ignore[misc]
        """uvicorn's server with our signals."""

        should_exit: bool

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            started()
            threading.Thread(target=service.warm_up, name="warm-up", daemon=True).start()

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            with _signals(self._stop, service.reload):
                yield

        def _stop(self) -> None:
            self.force_exit = self.should_exit  # who asks twice cannot wait
            service.stopping = self.should_exit = True

    limits = settings.limits
    config = uvicorn.Config(
        app,
        http=connection_with(limits),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # anybody could claim to be somebody else
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=int(max(1, limits.idle_timeout)),
        timeout_graceful_shutdown=int(max(1, limits.drain_timeout)),
    )
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        Server(config).run(sockets=[listening])
    finally:
        service.pool.stop()


@contextmanager
def _signals(stop: Callable[[], None], reload: Callable[[], None]) -> Iterator[None]:
    """Let signals stop or reload, in the block; a process of another thread has none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stopped(_: int, __: FrameType | None) -> None:
        stop()

    def hung_up(_: int, __: FrameType | None) -> None:
        threading.Thread(target=reload, name="reload", daemon=True).start()

    before = {number: signal.signal(number, stopped) for number in (signal.SIGINT, signal.SIGTERM)}
    if hasattr(signal, "SIGHUP"):
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, hung_up)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def line_of(service: Service, address: str) -> str:
    """Return what is served where, for people."""
    names = ", ".join(f"{served.name} ({served.variant})" for served in service.models)
    keys = "with a key" if service.keys else "without a key"
    page = "" if service.search is None else f", {service.search.passages:,} passages to search at {address}/"
    return f"serving {names} on {address}, {keys}{page}"
