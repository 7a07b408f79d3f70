"""Where shards lie: a folder of this machine or a path in an object store, with the same verbs for both.

The address of a store may hold a key: it goes to the library that opens the store and nowhere else. `shown` is the
address without it, which is what messages and records have.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from mirrorkit.errors import ConfigError, CorpusError, MirrorkitError, OutputError
from mirrorkit.foreign import reason
from mirrorkit.formats.files import is_within
from mirrorkit.paths import is_there, local_path, size_of
from mirrorkit.publish import publish_shared
from mirrorkit.publish.targets import told

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+)://")
SCRATCH = "_tmp"  # what is being written, in a local folder of shards


@dataclass(frozen=True)
class File:
    """A file below a place, and what tells whether it is still the same."""

    name: str  # below the place, with forward slashes
    size: int
    changed: str  # its entity tag where the store has one, else when it was changed


def is_remote(address: str) -> bool:
    """Tell whether an address names a store by its scheme, as `s3://` does; `file://` is this machine."""
    found = _SCHEME.match(address)
    return found is not None and found[1].lower() != "file"


def shown(address: str) -> str:
    """Return an address without the keys that may be in it."""
    if not is_remote(address):
        return address
    scheme, _, rest = address.partition("://")
    host, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


class Place(ABC):
    """A folder, or the beginning of the names in a store."""

    address: str  # opens it in another process; may hold keys
    shown: str

    @abstractmethod
    def below(self, name: str) -> Place:
        """Return the place of a folder inside."""

    @abstractmethod
    def is_folder(self, name: str) -> bool:
        """Tell whether `name` is a folder; in a store, whether names begin with it."""

    @abstractmethod
    def key(self) -> str:
        """Return what two places have in common that are the same, or the beginning of it where one is in the other."""

    @abstractmethod
    def find(self, name: str = "") -> File | None:
        """Return the file `name`; None where there is none."""

    @abstractmethod
    def files(self, below: str = "") -> Iterator[File]:
        """Yield the files of the folder `below`, and of those inside it; hidden ones and those with a `_` left out."""

    @abstractmethod
    def open(self, name: str) -> Any:
        """Return a file open for reading at any place, of Python or of Arrow."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """Return the content of a small file; None where there is none."""

    @abstractmethod
    def publish(self, name: str) -> Any:
        """Return a context with a file to write, which is there whole, under its name, when the context ends well."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file where it is there."""

    @abstractmethod
    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """Yield the path of a file of this machine with the content of `name`."""


class LocalPlace(Place):
    """A folder of this machine, or of a file system that it has mounted."""

    def __init__(self, folder: str | Path) -> None:
        self.shown = str(folder)
        self.folder = Path(os.path.abspath(local_path(folder)))  # noqa: PTH100  (without following links)
        self.address = str(self.folder)

    def below(self, name: str) -> LocalPlace:
        return LocalPlace(self._at(name))

    def is_folder(self, name: str) -> bool:
        return is_there(self._at(name)) and self._at(name).is_dir()

    def key(self) -> str:
        return f"{str(self.folder.resolve()).rstrip(os.sep)}/"

    def find(self, name: str = "") -> File | None:
        file = self._at(name)
        try:
            size = size_of(file)
        except FileNotFoundError:
            return None
        except OSError as err:
            raise CorpusError(f"{self._named(name)}: cannot be read ({err.strerror or err})") from err
        return File(name, size, str(file.stat().st_mtime_ns))

    def files(self, below: str = "") -> Iterator[File]:
        top = self._at(below)
        if not top.is_dir():
            return
        for where, folders, names in os.walk(top):
            folders[:] = sorted(folder for folder in folders if not is_hidden(folder))
            for name in sorted(name for name in names if not is_hidden(name)):
                inside = (Path(where) / name).relative_to(self.folder).as_posix()
                if not is_within(self.folder, inside):
                    raise CorpusError(f"{self._named(inside)}: is a link that leads out of {self.shown}")
                if found := self.find(inside):
                    yield found

    def open(self, name: str) -> BinaryIO:
        with self._reading(name):
            size_of(self._at(name))
            return self._at(name).open("rb")

    def read(self, name: str) -> bytes | None:
        with self._reading(name):
            try:
                size_of(self._at(name))
                return self._at(name).read_bytes()
            except FileNotFoundError:
                return None

    def publish(self, name: str) -> Any:
        if not is_within(self.folder, name):
            raise OutputError(f"{self._named(name)}: leads out of {self.shown} by a link")
        return publish_shared(self._at(name), self.folder / SCRATCH)

    def remove(self, name: str) -> None:
        with told(self._at(name)):
            self._at(name).unlink(missing_ok=True)

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        yield self._at(name)

    def _at(self, name: str) -> Path:
        return self.folder / name if name else self.folder

    def _named(self, name: str) -> str:
        return str(Path(self.shown) / name)

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as err:
            raise CorpusError(f"{self._named(name)}: cannot be read ({err.strerror or err})") from err


def without_scheme(address: str) -> str:
    """Return the path that an address of this machine says."""
    if not _SCHEME.match(address):
        return address
    parts = urlsplit(address)
    if parts.netloc not in ("", "localhost"):
        raise ConfigError(f"{address}: file:// is of this machine, so that three slashes begin the path")
    return unquote(parts.path)


def divided(address: str) -> tuple[str, str]:
    """Return the address of what all names of a file system or bucket lie in, and the name there of this one."""
    if not is_remote(address):
        path = os.path.abspath(local_path(without_scheme(address)))  # noqa: PTH100  (without following links)
        return os.sep, path.lstrip(os.sep)
    path, mark, query = address.partition("?")
    scheme, _, rest = path.partition("://")
    host, _, name = rest.partition("/")
    return f"{scheme}://{host}{mark}{query}", unquote(name).rstrip("/")


def is_inside(inner: Place, outer: Place) -> bool:
    """Tell whether a place is another one or lies in it."""
    return inner.key().startswith(outer.key())


def redacted(text: str, secrets: tuple[str, ...]) -> str:
    """Return `text` without the secrets, which libraries may repeat in what they complain of."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def failure(error: type[MirrorkitError], place: str, what: str, err: BaseException, secrets: tuple[str, ...]) -> Any:
    """Return `error`: what could not be done at a place, and why, in a line without secrets."""
    return error(f"{place}: {what} ({redacted(reason(err), secrets)})")


def is_hidden(name: str) -> bool:
    return name.startswith((".", "_"))
