"""From settings to a server that answers: what is checked before bundles are opened, and how many processes run."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace

from mirrorkit.errors import ConfigError, MirrorkitError
from mirrorkit.extras import require
from mirrorkit.machine.cores import default_threads
from mirrorkit.serving.keys import read_keys
from mirrorkit.serving.server import BACKLOG, address_of, line_of, serve
from mirrorkit.serving.settings import KEY_VARIABLE, Settings


def run(settings: Settings, tell: Callable[[str], None]) -> None:
    """Serve until a signal ends it; `tell` is given the line that says where, once requests are answered.

    Raises ConfigError and BundleError for what cannot be served.
    """
    need_packages()
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
        made.listen(BACKLOG)
    except OSError as err:
        made.close()
        raise ConfigError(
            f"port {settings.port}: {settings.host} cannot be listened on ({err.strerror or err})"
        ) from err
    made.setblocking(False)
    return made


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
