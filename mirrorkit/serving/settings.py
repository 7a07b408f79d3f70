"""What a server is told: which bundles, where it listens, who may ask, and how much of everything there may be."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from mirrorkit.errors import ConfigError
from mirrorkit.paths import local_path

KEY_VARIABLE = "MIRRORKIT_API_KEY"
# What a client can write into a request and a person into a URL; a colon parts it from the variant.
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,94}[A-Za-z0-9])?")

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True)
class Limits:
    """How much there may be of what clients bring. What goes beyond is refused, and the server goes on."""

    max_body_mb: float = 8.0  # MB of a request's body
    max_texts: int = 10_000  # in a request
    max_chars: int = 1 << 20  # of a text
    max_tokens: int = 1_000_000  # of all texts of a request
    max_queue: int = 20_000  # texts of all requests that are waiting
    max_held_mb: float = 512.0  # MB of bodies and vectors of all requests that are not answered yet
    max_connections: int = 1000
    request_timeout: float = 60.0  # seconds from the request's first line to the answer's last byte
    header_timeout: float = 10.0  # seconds for the head of a request
    idle_timeout: float = 30.0  # seconds that a connection may lie idle
    drain_timeout: float = 30.0  # seconds for what is under way when the server is told to stop

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if not 0 < value < float("inf"):
                raise ConfigError(f"{one.name} {value}: must be above 0 and finite")

    @property
    def body_bytes(self) -> int:
        return int(self.max_body_mb * 1e6)

    @property
    def held_bytes(self) -> int:
        return int(self.max_held_mb * 1e6)


@dataclass(frozen=True)
class Named:
    """A bundle and what clients call it."""

    name: str
    folder: str  # or a hub id


@dataclass(frozen=True)
class Settings:
    """How to serve; `check` looks at what goes together."""

    bundles: tuple[Named, ...]
    variants: tuple[str, ...] = ("auto",)  # that are open, the default first
    device: str | None = None
    threads: int | None = None  # None: the physical cores
    host: str = "127.0.0.1"
    port: int = 8080  # 0: any that is free
    workers: int = 1  # processes
    key_file: str | None = None
    without_key: bool = False  # whether others than this machine may come without a key
    truncate: bool = False  # whether a text that is too long is cut where the request does not say
    log_requests: bool = False
    log_texts: bool = False
    otel: bool = False  # whether to trace, by OpenTelemetry
    search: tuple[str, ...] = ()  # files and folders that the search page looks in, by the first bundle
    before: Named | None = None  # what it finds by another bundle stands beside
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port {self.port}: must be from 0, for any that is free, to 65535")
        if not 1 <= self.workers <= 256:
            raise ConfigError(f"workers {self.workers}: must be from 1 to 256")
        if self.threads is not None and self.threads < 1:
            raise ConfigError(f"threads {self.threads}: must be at least 1")
        if self.before is not None and not self.search:
            raise ConfigError("`before` is another bundle to search with; say what is searched: `search`")
        if self.search and self.workers > 1:
            raise ConfigError("`search`: is for a server of one process; leave `workers` out")

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def named_bundles(given: Sequence[str]) -> tuple[Named, ...]:
    """Return the bundles of `NAME=FOLDER` or a folder, whose own name it is called by; raises ConfigError."""
    if not given:
        raise ConfigError("no bundle to serve; give at least one")
    found: dict[str, Named] = {}
    for one in given:
        name, folder = _parted(one)
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"{one}: {name!r} cannot be the name of a model; use letters, digits, and . _ / - between them, as in "
                "my-model=FOLDER"
            )
        if name in found:
            raise ConfigError(
                f"two bundles are called {name}: {found[name].folder} and {folder}; name one of them: "
                f"another-name={folder}"
            )
        found[name] = Named(name, folder)
    return tuple(found.values())


def _parted(given: str) -> tuple[str, str]:
    name, equals, folder = given.partition("=")
    if equals and not local_path(given).exists():  # a folder may have the character in its name
        return name, folder
    place = local_path(given)
    if place.is_dir():
        return Path(place.resolve()).name, given
    # A hub id is its own name. What is neither is told when it is opened.
    return given if _HUB_ID.fullmatch(given) else place.name, given
