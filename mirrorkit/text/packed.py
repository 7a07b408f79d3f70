"""What gzip, bzip2, xz and zstd files unpack to, all through one check of how much that may be.

Members that follow one another are one stream; what is no member is an error, never the end.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from mirrorkit.errors import CorpusError
from mirrorkit.extras import require

UNSUSPICIOUS = 64 << 20  # bytes that any packed file may unpack to
SWELLING = 200  # times its size that a longer one may unpack to; deflate reaches 1,032, the others far more
XZ_MEMORY = 256 << 20  # bytes that a file may ask for, by what it says of itself; `xz -9` takes 65 MiB

_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
SUFFIXES = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd"}
_SMALL = 4 << 20  # packed bytes that are unpacked twice
_LONGEST_MAGIC = max(map(len, _PACKED))
_BLOCK = 512  # bytes, as POSIX has it, whatever the file system's own are
_CHUNK = 1 << 13  # bytes, small as what is left of it is copied for every member that ends in it


def packing_of(name: str) -> str | None:
    """Return how a file of this name should be packed."""
    return next((packing for suffix, packing in SUFFIXES.items() if name.lower().endswith(suffix)), None)


def packing_in(head: bytes) -> str | None:
    """Return how a file that begins with `head` is packed."""
    return next((packing for magic, packing in _PACKED.items() if head.startswith(magic)), None)


def bytes_on_disk(file: IO[bytes]) -> int:
    """Return the bytes that a file takes, holes left out as they cost whoever makes it nothing; 0 for a pipe."""
    try:
        found = os.fstat(file.fileno())
    except (OSError, ValueError):
        return 0
    return min(found.st_size, getattr(found, "st_blocks", sys.maxsize) * _BLOCK)


def refuse_bomb(file: Path, name: str) -> None:
    """Unpack a small file for nothing, so that one that swells is refused before work is done on what it holds.

    That is a second at most, where the texts of it are minutes. Raises CorpusError.
    """
    about = file.stat()
    if not stat.S_ISREG(about.st_mode) or about.st_size > _SMALL:  # a pipe can be opened once
        return
    with file.open("rb") as raw:
        if packing := packing_in(raw.peek(_LONGEST_MAGIC)):
            unpacked = Unpacked(raw, name, packing, lambda: about.st_size)
            while unpacked.read(1 << 20):
                pass


class Raw(io.RawIOBase):
    """A stream that is read from another one."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
        super().close()


class Unpacked(Raw):
    """What a packed stream unpacks to; refused where it swells as no text does, as is made to fill memory or disks.

    `stored` tells how many packed bytes there are: of the whole file, or where that is not known those read so far.
    """

    def __init__(self, stream: io.BufferedReader, name: str, packing: str, stored: Callable[[], int]) -> None:
        super().__init__(_unpacker(packing, stream))
        self._name, self._packing, self._stored, self._size = name, packing, stored, 0

    def readinto(self, buffer: Any) -> int:
        try:
            chunk = self._inner.read1(len(buffer))
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as err:
            if isinstance(err, OSError) and err.errno is not None:  # of the file itself
                raise
            raise CorpusError(f"{self._name}: not a complete {self._packing} file ({err})") from err
        buffer[: len(chunk)] = chunk
        self._size += len(chunk)
        if self._size > UNSUSPICIOUS and self._size > SWELLING * self._stored():
            raise CorpusError(
                f"{self._name}: unpacks to more than {SWELLING} times its size, which no text does; unpack it "
                "yourself if it is genuine"
            )
        return len(chunk)


def _unpacker(packing: str, stream: io.BufferedReader) -> Any:
    if packing == "gzip":
        return gzip.GzipFile(fileobj=stream)
    if packing == "bzip2":
        return _Members(stream, bz2.BZ2Decompressor)
    if packing == "xz":
        return _Members(stream, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY))
    arrow = require("pyarrow", extra="parquet")
    return _Zstd(arrow.CompressedInputStream(arrow.PythonFile(stream, mode="r"), "zstd"))


class _Members:
    """The members of a bzip2 or xz file; Python's own readers take whatever follows one for padding."""

    def __init__(self, stream: IO[bytes], new: Callable[[], Any]) -> None:
        self._stream, self._new = stream, new
        self._member = new()

    def read1(self, size: int) -> bytes:
        while True:
            given = b""
            if self._member.eof:
                given = self._next()
                if not given:
                    return b""
                self._member = self._new()
            elif self._member.needs_input:
                given = self._stream.read(_CHUNK)
                if not given:
                    raise EOFError("it ends too early")
            if part := self._member.decompress(given, size):
                return bytes(part)

    def _next(self) -> bytes:
        """Return the first bytes of the next member, which zeros may stand before; none at the end."""
        given = self._member.unused_data.lstrip(b"\0")
        while not given and (chunk := self._stream.read(_CHUNK)):
            given = chunk.lstrip(b"\0")
        return bytes(given)

    def close(self) -> None:
        self._stream.close()


class _Zstd:
    """Arrow's stream, with the one method that is needed of it here; zstd refuses windows above 128 MiB itself."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read1(self, size: int) -> bytes:
        return bytes(self._stream.read(size))

    def close(self) -> None:
        self._stream.close()
