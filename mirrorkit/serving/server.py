"""Run the application until a signal ends it: SIGTERM and SIGINT drain, SIGHUP reloads."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING, Any

from mirrorkit.errors import ConfigError, MirrorkitError
from mirrorkit.extras import require
from mirrorkit.machine.cores import default_threads
from mirrorkit.serving.settings import KEY_VARIABLE, Settings

if TYPE_CHECKING:
    from mirrorkit.serving.service import Service

log = logging.getLogger(__name__)

_BACKLOG = 2048


def need_packages() -> None:
    """Raise MissingExtraError for a package of the extra that is missing."""
    require("starlette", extra="serve")
    require("uvicorn", extra="serve")
    require("httptools", extra="serve")
    require("orjson", extra="serve")
    require("prometheus_client", extra="serve")


def check_reach(settings: Settings, *, has_keys: bool) -> None:
    """Raise ConfigError for a server that others than this machine could use without a key."""
    if has_keys or settings.on_loopback or settings.without_key:
        return
    raise ConfigError(
        f"host {settings.host!r}: others than this machine could use the server without a key; give `key_file` or "
        f"{KEY_VARIABLE}, or say `without_key=True`"
    )


def listen(settings: Settings) -> socket.socket:
    """Return a socket that listens; raises ConfigError for an address that cannot be had."""
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as err:
        raise ConfigError(f"host {settings.host!r}: no such address ({getattr(err, 'strerror', None) or err})") from err
    family, kind, protocol, _, address = found[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(_BACKLOG)
    except OSError as err:
        made.close()
        raise ConfigError(
            f"port {settings.port}: {settings.host} cannot be listened on ({err.strerror or err})"
        ) from err
    made.setblocking(False)
    return made


def address_of(listening: socket.socket) -> str:
    """Return the URL of a server that listens there."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def make_room_for(connections: int) -> None:
    """Let this process have as many files open as it may, and at least so many connections.

    Raises ConfigError where the system allows fewer.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    wanted = connections + 256  # weights, logs, libraries
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise ConfigError(
                f"max_connections {connections}: must be at most {max(1, hard - 256)}, as this process may have {hard} "
                "files open (ulimit -Hn)"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


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
        should_exit: bool

        """uvicorn's server with our signals."""

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
        backlog=_BACKLOG,
        timeout_keep_alive=int(max(1, limits.idle_timeout)),
        timeout_graceful_shutdown=int(max(1, limits.drain_timeout)),
    )
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


def run(settings: Settings, tell: Callable[[str], None]) -> None:
    """Serve until a signal ends it; `tell` is given the line that says where, once requests are answered.

    Raises ConfigError and BundleError for what cannot be served.
    """
    need_packages()
    from mirrorkit.serving.keys import read_keys

    if settings.otel:
        from mirrorkit.serving.tracing import check_tracing

        check_tracing()
    cores = settings.threads or default_threads()
    if settings.workers > 1 and settings.threads is None:
        cores = max(1, cores // settings.workers)
    settings = replace(settings, threads=cores)
    check_reach(settings, has_keys=bool(read_keys(settings)))
    make_room_for(settings.limits.max_connections)
    listening = listen(settings)
    if settings.workers > 1:
        from mirrorkit.serving.workers import run_workers

        run_workers(settings, listening, tell)
        return
    from mirrorkit.serving.service import Service

    try:
        service = Service(settings)
    except MirrorkitError:
        listening.close()
        raise
    serve(service, listening, lambda: tell(line_of(service, address_of(listening))))


def line_of(service: Service, address: str) -> str:
    """Return what is served where, for people."""
    names = ", ".join(f"{served.name} ({served.variant})" for served in service.models)
    keys = "with a key" if service.keys else "without a key"
    return f"serving {names} on {address}, {keys}"
