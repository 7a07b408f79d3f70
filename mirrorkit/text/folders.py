"""A folder of text files, read as if it were one file; what is no text is skipped, counted and named."""

from __future__ import annotations

import codecs
import hashlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.paths import size_of
from mirrorkit.text.dialect import NONE
from mirrorkit.text.opened import HEAD, why_no_lines, why_no_text
from mirrorkit.text.readers import TextSource
from mirrorkit.text.reading import Reading
from mirrorkit.text.rows import LONGEST_DOCUMENT, LONGEST_LINE
from mirrorkit.text.strings import shown_name
from mirrorkit.text.units import Record, Unit

log = logging.getLogger(__name__)

SUFFIXES = (".txt", ".md")  # of the files that are read
_CHUNK = LONGEST_LINE  # bytes of a file that are looked at at once
_NAMED = 5  # skipped files that are named in one line


@dataclass
class Folder:
    """The text files of a folder and of those inside it, in the order of their paths; looks like one `TextSource`."""

    path: str
    unit: Unit
    width: int = 1
    reading: Reading = field(default_factory=Reading)
    size: int = 0
    bad: int = 0  # rows that were left out: of plain text there are none
    read: int = 0  # files
    skipped: list[str] = field(default_factory=list)  # paths inside the folder, each with the reason
    _digest: Any = field(default_factory=hashlib.sha256)

    @property
    def name(self) -> str:
        return shown_name(Path(self.path).resolve().name)

    @property
    def layout(self) -> list[str]:
        """Return what was understood of it, for people."""
        return [f"{self.read:,} text file{'s' * (self.read != 1)}, a {self.unit} each"]

    @property
    def sha256(self) -> str:
        return str(self._digest.hexdigest())

    def records(self) -> Iterator[Record]:
        """Yield the strings of every .txt and .md file; what is no text is skipped, counted and named.

        Raises CorpusError for a folder without a file of text.
        """
        for source in self.sources():
            yield from source.records()

    def sources(self) -> Iterator[TextSource]:
        """Yield the files one after another, each to be read to its end before the next; see `records`."""
        for file in self._files():
            name = str(file.relative_to(self.path))
            if reason := _why_not(file, self.reading.encoding, self.unit):
                self.skipped.append(f"{shown_name(name)} ({reason})")
                continue
            reading = Reading(delimiter=NONE, encoding=self.reading.encoding)
            source = TextSource(str(file), reading, unit=self.unit, label=shown_name(f"{self.name}/{name}"))
            yield source
            self.size += source.size
            self._digest.update(source.sha256.encode())
            self.read += 1
        more = f" and {len(self.skipped) - _NAMED:,} more" if len(self.skipped) > _NAMED else ""
        count = f"{len(self.skipped):,} file{'s' * (len(self.skipped) != 1)}"
        told = f"{count} skipped: {', '.join(self.skipped[:_NAMED])}{more}"
        if not self.read:
            why = f"; {told}" if self.skipped else ""
            raise CorpusError(f"{self.path}: no readable {' or '.join(SUFFIXES)} file in this folder{why}")
        if self.skipped:
            log.warning("%s: %s", self.name, told)

    def _files(self) -> Iterator[Path]:
        for where, folders, names in os.walk(self.path, onerror=self._unread):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield from (Path(where, name) for name in sorted(names) if not name.startswith("."))

    def _unread(self, err: OSError) -> None:
        """Name a folder that cannot be looked into."""
        name = os.path.relpath(os.fsdecode(err.filename), self.path)
        self.skipped.append(f"{shown_name(name)} ({err.strerror or 'cannot be read'})")


def _why_not(file: Path, encoding: str | None, unit: Unit) -> str | None:
    """Return why a file cannot be read as text, None where it can; in memory that does not grow with it."""
    if file.suffix.lower() not in SUFFIXES:
        return "neither " + " nor ".join(SUFFIXES)
    try:
        size_of(file)
        decoder = codecs.getincrementaldecoder(encoding or "utf-8")()
        lengths = _Lengths(unit)
        head = None
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                if b"\0" in chunk:
                    return "binary"
                if why := lengths.why_too_long(chunk, decoder.decode(chunk)):
                    return why
                head = chunk[:HEAD] if head is None else head
        decoder.decode(b"", final=True)
        return why_no_text(head or b"") or why_no_lines(head or b"")
    except UnicodeDecodeError:
        return f"not {encoding or 'UTF-8'}"
    except LookupError as err:
        raise ConfigError(f"encoding {encoding!r}: must be one that Python knows, such as cp1252") from err
    except OSError as err:
        return err.strerror or "cannot be read"


class _Lengths:
    """Tells of a file, chunk by chunk, whether it has a line or is a document that no reader takes."""

    def __init__(self, unit: Unit) -> None:
        self._longest = LONGEST_LINE if unit is Unit.LINE else LONGEST_DOCUMENT  # bytes of a line
        self._whole = unit is Unit.DOCUMENT
        self._line = self._text = 0

    def why_too_long(self, chunk: bytes, text: str) -> str | None:
        """Return what is too long, after this chunk of the file, which as a text is `text`; None: nothing so far."""
        end = chunk.find(b"\n") + 1
        line = self._line + (end or len(chunk))  # a line inside the chunk is shorter than the chunk
        self._line = len(chunk) - chunk.rfind(b"\n") - 1 if end else line
        self._text += len(text) - text.count("\r")
        if self._whole and self._text > LONGEST_DOCUMENT:
            return f"a document of more than {LONGEST_DOCUMENT >> 20} MB"
        if max(line, self._line) > self._longest:
            return f"a line of more than {self._longest >> 20} MB"
        return None
