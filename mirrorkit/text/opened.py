"""The bytes of a file as UTF-8: unpacked and decoded as they themselves say, in memory that does not grow with them."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.text.packed import SUFFIXES, Raw, Unpacked, packing_in, packing_of

HEAD = 1 << 16  # bytes that tell what a file is

# Longest first: the mark of UTF-32 begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
PARQUET, ARROW = "parquet", "arrow"
_TABLES = {b"PAR1": PARQUET, b"ARROW1": ARROW, b"\xff\xff\xff\xff": ARROW}
_NO_TEXT = {
    b"PK\x03\x04": "a ZIP archive, as .xlsx, .docx and .zip are; unpack it, or save the sheet as CSV UTF-8",
    b"\xd0\xcf\x11\xe0": "an old Office document (.xls, .doc); save the sheet as CSV UTF-8",
    b"%PDF-": "a PDF; extract its text first",
    b"SQLite format 3\0": "an SQLite database; export the table as CSV",
    b"\x89HDF\r\n": "an HDF5 file; save the texts as parquet or CSV",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive; unpack it",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"\x80\x04\x95": "a pickle, which is never loaded; save the texts as parquet or CSV",
}


@dataclass(frozen=True)
class Opened:
    """A file whose first bytes have been looked at."""

    stream: io.BufferedReader  # UTF-8, unless it is a table
    head: bytes  # its first bytes, without taking them from the stream
    table: str | None = None  # PARQUET or ARROW: of no text, the stream being as stored
    packing: str | None = None
    encoding: str = "utf-8"  # that it was stored in


def kind_by_name(path: str | Path) -> str:
    """Return the last part of a name, in lower case and with its dot, that says nothing of packing."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes if suffix.lower() not in SUFFIXES]
    return suffixes[-1] if suffixes else ""


def opened(raw: io.RawIOBase, name: str, encoding: str | None, stored: Callable[[], int]) -> Opened:
    """Look at the first bytes of `raw`; `stored` tells how many bytes it has, as far as is known.

    Raises CorpusError for what is no text, ConfigError for an encoding that is not known or not that of the file.
    """
    head, stream = _peeked(raw)
    packing = packing_in(head)
    if packing is None and (wanted := packing_of(name)):
        raise CorpusError(f"{name}: not a complete {wanted} file (its first bytes are of another kind)")
    if packing:
        head, stream = _peeked(Unpacked(stream, name, packing, stored))
        if any(head.startswith(magic) for magic in _TABLES):
            raise CorpusError(f"{name}: a packed table cannot be read; unpack it first")
    if table := next((kind for magic, kind in _TABLES.items() if head.startswith(magic)), None):
        return Opened(stream, head, table)
    if why := why_no_text(head):
        raise CorpusError(f"{name}: {why}")
    known = _encoding(name, head, encoding)
    if known != "utf-8":
        head, stream = _peeked(_Recoded(stream, name, known))
    if why := why_no_lines(head):
        raise CorpusError(f"{name}: {why}")
    return Opened(stream, head, None, packing, known)


def why_no_text(head: bytes) -> str | None:
    """Return what a file that begins with `head` is in the place of text, if that can be told."""
    why = next((what for magic, what in _NO_TEXT.items() if head.startswith(magic)), None)
    return why and f"is {why}"


def why_no_lines(head: bytes) -> str | None:
    """Return why UTF-8 text that begins with `head` cannot be read line by line; None where it can."""
    if b"\r" in head and b"\n" not in head and len(head) > head.index(b"\r") + 1:
        return "its lines end in carriage returns alone; convert it with: tr '\\r' '\\n'"
    return None


def _encoding(name: str, head: bytes, asked: str | None) -> str:
    """Return the name of the encoding: what a byte order mark says, else what was asked for, else UTF-8."""
    if asked is not None:
        try:
            b"a".decode(asked, "ignore")  # which some that are no encodings of text refuse
            known = codecs.lookup(asked).name
        except (LookupError, ValueError) as err:
            raise ConfigError(
                f"encoding {asked!r}: must be one that Python knows, such as cp1252 or shift_jis"
            ) from err
    marked = next((kind for mark, kind in _MARKS.items() if head.startswith(mark)), None)
    if asked is None:
        return marked or "utf-8"
    if marked and not known.startswith(marked):
        raise ConfigError(f"encoding {asked!r}: {name} begins with the byte order mark of {marked.upper()}")
    if not marked and known != "utf-8" and not known.startswith("utf-") and _is_utf8(head):
        raise ConfigError(f"encoding {asked!r}: {name} is UTF-8, as its letters beyond ASCII show; give none")
    return marked or known


def _is_utf8(head: bytes) -> bool:
    """Tell whether there is a letter of several bytes, and all are valid; in other encodings that is no accident."""
    if head.isascii() or any(mark in head for mark in (b"\x1b", b"\0")):
        return False
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _peeked(raw: io.RawIOBase | io.BufferedReader) -> tuple[bytes, io.BufferedReader]:
    """Return the first bytes, and a stream that begins with them."""
    parts: list[bytes] = []
    while (left := HEAD - sum(map(len, parts))) > 0 and (part := raw.read(left)):
        parts.append(part)
    head = b"".join(parts)
    return head, io.BufferedReader(_Joined(head, raw))


class Hashed(io.RawIOBase):
    """A binary stream all of whose bytes are told to `feed`; closes it unless it is to be `kept`."""

    def __init__(self, raw: IO[bytes], feed: Callable[[memoryview], None], *, kept: bool = False) -> None:
        self._raw, self._feed, self._kept = raw, feed, kept

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._raw.read(len(buffer))
        buffer[: len(chunk)] = chunk
        self._feed(memoryview(chunk))
        return len(chunk)

    def close(self) -> None:
        if not self._kept:
            self._raw.close()
        super().close()


class _Joined(Raw):
    """Bytes that were read already, and the rest of their stream."""

    def __init__(self, head: bytes, rest: IO[bytes] | io.RawIOBase | io.BufferedReader) -> None:
        super().__init__(rest)
        self._head = memoryview(head)

    def readinto(self, buffer: Any) -> int:
        chunk = self._head[: len(buffer)] if self._head else self._inner.read(len(buffer))
        if self._head:
            self._head = self._head[len(chunk) :]
        buffer[: len(chunk)] = chunk
        return len(chunk)


class _Recoded(Raw):
    """Text of another encoding as UTF-8."""

    def __init__(self, inner: io.BufferedReader, name: str, encoding: str) -> None:
        super().__init__(inner)
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._name, self._encoding = name, encoding
        self._ready = b""
        self._lines = 1

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            chunk = self._inner.read(len(buffer))
            try:
                text = self._decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as err:
                line = self._lines + str(err.object[: err.start], self._encoding, "ignore").count("\n")
                raise CorpusError(
                    f"{self._name}, line {line}: byte 0x{err.object[err.start]:02x} is not {self._encoding}; "
                    "give the `encoding` that the whole file is in"
                ) from err
            self._lines += text.count("\n")
            self._ready = text.encode("utf-8", "surrogatepass")
            if not chunk:
                break
        part, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)
