"""Object stores: s3:// and gs:// by Arrow's own clients, az://, hf:// and the others by fsspec's."""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from mirrorkit.cluster.places import File, Place, failure, is_hidden, redacted, shown
from mirrorkit.errors import ConfigError, CorpusError, MirrorkitError, MissingExtraError, OutputError
from mirrorkit.extras import require
from mirrorkit.foreign import reason
from mirrorkit.publish.targets import told

_SECRET_NAMES = ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "HF_TOKEN", "AZURE_STORAGE_KEY")
_CONNECT, _REQUEST = 10.0, 120.0  # seconds
_ATTEMPTS = 4  # of each request, with growing pauses, some seconds in all
_GIVE_UP = "retry_limit_seconds=30"  # of Google's client, which would try for a quarter of an hour
_SHORTEST_SECRET = 4  # characters; hiding shorter ones would hide words
_TAGS = ("ETag", "etag", "blob_id", "last_modified", "LastModified", "mtime", "created")  # what fsspec's stores call it
_S3_OPTIONS = ("region", "endpoint_override", "scheme", "anonymous")


class StorePlace(Place):
    """The beginning of the names in an object store."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.shown = shown(address)
        if not self.shown.endswith("://"):
            self.shown = self.shown.rstrip("/")
        self._secrets = _secrets(address)
        self._fs_module = require("pyarrow.fs", extra="parquet")
        try:
            self._fs, self._path = self._opened(address)
        except MirrorkitError:
            raise
        except Exception as err:
            raise failure(ConfigError, self.shown, "cannot be opened", err, self._secrets) from None

    def below(self, name: str) -> StorePlace:
        if not name:
            return self
        inner = copy.copy(self)
        path, mark, query = self.address.partition("?")
        inner.address = f"{path.rstrip('/')}/{quote(name)}{mark}{query}"
        inner.shown, inner._path = f"{self.shown}/{name}", self._at(name)
        return inner

    def is_folder(self, name: str) -> bool:
        return self.find(name) is None

    def key(self) -> str:
        return f"{self.shown}/"

    def find(self, name: str = "") -> File | None:
        with self._told(CorpusError, name, "cannot be read"):
            about = self._fs.get_file_info(self._at(name))
            return self._found(about) if about.type == self._fs_module.FileType.File else None

    def files(self, below: str = "") -> Iterator[File]:
        selector = self._fs_module.FileSelector(self._at(below), allow_not_found=True, recursive=True)
        with self._told(CorpusError, below, "cannot be listed"):
            found = self._fs.get_file_info(selector)
        if not found:
            self._check_bucket()
        for about in sorted(found, key=lambda about: str(about.path)):
            if about.type != self._fs_module.FileType.File:
                continue
            parts = about.path[len(self._at(below)) :].strip("/").split("/")
            if not any(map(is_hidden, parts)):
                yield self._found(about)

    def _check_bucket(self) -> None:
        """Raise CorpusError where there is no such bucket, which a listing of nothing does not tell."""
        bucket = self._path.partition("/")[0]
        if not bucket or hasattr(self._fs, "handler"):
            return
        with self._told(CorpusError, "", "cannot be looked for"):
            if self._fs.get_file_info(bucket).type == self._fs_module.FileType.NotFound:
                raise CorpusError(f"{self.shown}: there is no bucket {bucket!r}")

    def open(self, name: str) -> Any:
        with self._told(CorpusError, name, "cannot be read"):
            return self._fs.open_input_file(self._at(name))

    def read(self, name: str) -> bytes | None:
        with self._told(CorpusError, name, "cannot be read"):
            try:
                with self._fs.open_input_file(self._at(name)) as file:
                    return bytes(file.read())
            except FileNotFoundError:
                return None

    @contextmanager
    def publish(self, name: str) -> Iterator[Any]:
        """Yield a file of this machine, whose content goes to the store in one request, or in one upload of parts.

        The store shows nothing before the request, or the last of an upload, has succeeded.
        """
        with told(Path(tempfile.gettempdir())), tempfile.TemporaryFile() as file:
            yield file
            file.seek(0)
            with self._told(OutputError, name, "cannot be written"):
                whole = file.read()
                # One write: a stream that is closed after half of the content would publish that half.
                stream = self._fs.open_output_stream(self._at(name))
                stream.write(whole)
                stream.close()

    def remove(self, name: str) -> None:
        with self._told(OutputError, name, "cannot be removed"):
            if self.find(name):
                self._fs.delete_file(self._at(name))

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """Yield a copy, for readers that know files of this machine alone."""
        with tempfile.TemporaryDirectory(prefix="mirrorkit-") as folder:
            own = Path(folder) / Path(name).name
            with (
                self._told(CorpusError, name, "cannot be read"),
                self._fs.open_input_stream(self._at(name), compression=None) as stream,
                own.open("wb") as out,
            ):
                while block := stream.read(1 << 22):
                    out.write(block)
            yield own

    def _opened(self, address: str) -> tuple[Any, str]:
        parts = urlsplit(address)
        if not parts.hostname and not parts.netloc:
            raise ConfigError(f"{self.shown}: names no bucket")
        if parts.scheme in ("s3", "s3a"):
            return self._s3(parts), _path(parts)
        if parts.scheme in ("gs", "gcs"):
            limit = "" if "retry_limit_seconds" in parts.query else f"{'&' if parts.query else '?'}{_GIVE_UP}"
            fs, path = self._fs_module.FileSystem.from_uri(address + limit)
            return fs, path.rstrip("/")
        return self._by_fsspec(address, parts.scheme)

    def _s3(self, parts: Any) -> Any:
        """Return Arrow's client of S3, which knows of keys in the environment, in ~/.aws and of the machine's own."""
        asked = dict(parse_qsl(parts.query))
        if unknown := set(asked) - set(_S3_OPTIONS):
            raise ConfigError(f"{self.shown}: there is no option {min(unknown)!r}, only {', '.join(_S3_OPTIONS)}")
        options: dict[str, Any] = {name: value for name, value in asked.items() if name != "anonymous"}
        if asked.get("anonymous", "").lower() in ("1", "true"):
            options["anonymous"] = True
        if parts.username:
            options["access_key"], options["secret_key"] = unquote(parts.username), unquote(parts.password or "")
        endpoint = options.get("endpoint_override") or os.environ.get("AWS_ENDPOINT_URL")
        named = options.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if not named and not endpoint:
            options["region"] = self._fs_module.resolve_s3_region(parts.hostname)
        options["connect_timeout"], options["request_timeout"] = _CONNECT, _REQUEST
        options["retry_strategy"] = self._fs_module.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS)
        try:
            return self._fs_module.S3FileSystem(**options, allow_delayed_open=True)  # a small file in one request
        except TypeError:  # of a release that does not know of it
            return self._fs_module.S3FileSystem(**options)

    def _by_fsspec(self, address: str, scheme: str) -> tuple[Any, str]:
        fsspec = require("fsspec", extra="stores")
        try:
            fs, path = fsspec.core.url_to_fs(address)
        except ImportError as err:
            needed = redacted(reason(err), self._secrets)
            raise MissingExtraError(f"{self.shown}: {scheme}:// needs another package ({needed})") from None
        except ValueError as err:
            raise ConfigError(f"{self.shown}: {redacted(reason(err), self._secrets)}") from None
        return self._fs_module.PyFileSystem(self._fs_module.FSSpecHandler(fs)), path.rstrip("/")

    def _found(self, about: Any) -> File:
        name = about.path[len(self._path) :].strip("/")
        handler = getattr(self._fs, "handler", None)
        if handler is None:
            return File(name, about.size, str(about.mtime_ns))
        known = handler.fs.info(about.path)
        return File(name, about.size, str(next((known[tag] for tag in _TAGS if known.get(tag)), "")))

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}" if name else self._path

    def _named(self, name: str) -> str:
        return f"{self.shown}/{name}" if name else self.shown

    @contextmanager
    def _told(self, error: type[MirrorkitError], name: str, what: str) -> Iterator[None]:
        try:
            yield
        except MirrorkitError:
            raise
        except Exception as err:  # Arrow has OSError for all, fsspec's stores have their own
            raise failure(error, self._named(name), what, err, self._secrets) from None


def _path(parts: Any) -> str:
    return f"{parts.hostname}{unquote(parts.path)}".rstrip("/")


def _secrets(address: str) -> tuple[str, ...]:
    """Return what must not be in any message: the keys in an address, spelled either way, and in the environment."""
    parts = urlsplit(address)
    login = parts.netloc.rpartition("@")[0]
    found = [address, login, *login.split(":"), *(value for _, value in parse_qsl(parts.query) if "key" in _.lower())]
    found += [unquote(part) for part in found]
    found += [os.environ.get(name, "") for name in _SECRET_NAMES]
    return tuple(secret for secret in found if len(secret) >= _SHORTEST_SECRET)
