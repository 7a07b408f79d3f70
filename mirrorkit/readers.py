"""Read strings from text, CSV, JSON lines and parquet, one record at a time, and hash the bytes on the way."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.extras import require

LONGEST_LINE = 1 << 20  # bytes; a longer one is no string to embed but a file of another kind

Record = tuple[str, ...]  # the asked-for columns of one row


@dataclass
class Source:
    """A file being read; size and hash are of its bytes as stored, and are whole once the last record is out."""

    path: str  # "-" is standard input
    columns: Sequence[str] | None  # names, or 1-based numbers; None: the only column, or `text`
    width: int  # strings a record has: 1, or 2 in pairs mode
    size: int = 0
    _digest: Any = field(default_factory=hashlib.sha256)

    @property
    def name(self) -> str:
        return "standard input" if self.path == "-" else Path(self.path).name

    @property
    def sha256(self) -> str:
        return str(self._digest.hexdigest())

    def feed(self, chunk: bytes | memoryview) -> None:
        self._digest.update(chunk)
        self.size += len(chunk)

    def records(self) -> Iterator[Record]:
        """Yield the strings of each row, as they stand in the file. Raises CorpusError naming file and line."""
        suffixes = [s.lower() for s in Path(self.path).suffixes]
        packed = suffixes[-1:] == [".gz"]
        kind = next(iter((suffixes[:-1] if packed else suffixes)[-1:]), ".txt")
        try:
            if kind == ".parquet":
                yield from self._parquet()
                return
            with self._open() as raw:
                stream = gzip.GzipFile(fileobj=raw) if packed else raw
                yield from self._text(kind, _lines(self.name, io.BufferedReader(stream)))  # type: ignore[type-var]
        except (gzip.BadGzipFile, zlib.error, EOFError) as err:
            raise CorpusError(f"{self.path}: not a whole gzip file ({err})") from err
        except OSError as err:
            raise CorpusError(f"{self.path}: cannot be read ({err.strerror or err})") from err

    def _open(self) -> _Hashed:
        if self.path == "-":
            return _Hashed(sys.stdin.buffer, self)
        if Path(self.path).is_dir():
            raise CorpusError(f"{self.path}: is a folder; give a file of one string a line")
        return _Hashed(Path(self.path).open("rb"), self)

    def _text(self, kind: str, lines: Iterator[str]) -> Iterator[Record]:
        if kind in (".csv", ".tsv"):
            yield from self._delimited("," if kind == ".csv" else "\t", lines)
        elif kind in (".jsonl", ".ndjson"):
            yield from self._json_lines(lines)
        elif self.columns:
            raise ConfigError(f"{self.name}: plain text has no columns; --text-column is for csv, tsv, jsonl, parquet")
        elif self.width == 2:
            yield from self._bars(lines)
        else:
            yield from ((line,) for line in lines)

    def _bars(self, lines: Iterator[str]) -> Iterator[Record]:
        for number, line in enumerate(lines, 1):
            parts = line.split("||")
            if len(parts) != 2 and line.strip():
                raise CorpusError(f"{self.name}, line {number}: a pair is 'a||b', this line has {len(parts)} parts")
            yield (parts[0], parts[1]) if len(parts) == 2 else ("", "")

    def _delimited(self, delimiter: str, lines: Iterator[str]) -> Iterator[Record]:
        csv.field_size_limit(LONGEST_LINE)
        # Tab-separated text is rarely quoted, and a lone quotation mark would swallow the lines up to the next one.
        quoting: Literal[0, 3] = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
        rows = csv.reader((line + "\n" for line in lines), delimiter=delimiter, quoting=quoting, strict=True)
        try:
            if self.columns and all(c.isdigit() for c in self.columns):  # by number: there is no header
                picked = [int(c) - 1 for c in self.columns]
            else:
                picked = self._pick(next(rows, []), self.name)
            for row in rows:
                if row and (max(picked) >= len(row) or min(picked) < 0):
                    raise CorpusError(
                        f"{self.name}, line {rows.line_num}: has {len(row)} columns, wanted {max(picked) + 1}"
                    )
                yield tuple(row[i] for i in picked) if row else ("",) * self.width
        except csv.Error as err:
            raise CorpusError(f"{self.name}, line {rows.line_num}: {err}") from err

    def _pick(self, header: Sequence[str], where: str) -> list[int]:
        wanted = self.columns
        if not wanted:
            if len(header) == self.width:
                wanted = header
            elif self.width == 1 and "text" in header:
                wanted = ["text"]
            else:
                raise ConfigError(f"{where}: choose with --text-column among {', '.join(header) or 'no columns'}")
        absent = [c for c in wanted if c not in header]
        if absent:
            raise ConfigError(f"{where}: no column {absent[0]!r}, there are: {', '.join(header)}")
        return [list(header).index(c) for c in wanted]

    def _json_lines(self, lines: Iterator[str]) -> Iterator[Record]:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                yield ("",) * self.width
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as err:  # numbers too long and brackets too deep are no JSONDecodeError
                reason = err.msg if isinstance(err, json.JSONDecodeError) else err
                raise CorpusError(f"{self.name}, line {number}: not JSON ({reason})") from err
            if isinstance(row, str) and self.width == 1:
                yield (row,)
                continue
            if not isinstance(row, dict):
                raise CorpusError(f"{self.name}, line {number}: expected an object, found {type(row).__name__}")
            keys = [list(row)[i] for i in self._pick(list(row), f"{self.name}, line {number}")]
            self.columns = keys  # what the first row settles holds for all of them
            values = [row[key] for key in keys]
            for key, value in zip(keys, values, strict=True):
                if not isinstance(value, (str, type(None))):
                    raise CorpusError(f"{self.name}, line {number}: {key} is {type(value).__name__}, not a string")
            yield tuple(value or "" for value in values)

    def _parquet(self) -> Iterator[Record]:
        parquet = require("pyarrow.parquet", extra="parquet")
        arrow = require("pyarrow", extra="parquet")
        if self.path == "-":
            raise ConfigError("parquet cannot be read from standard input")
        with self._open() as raw:
            while raw.read(1 << 20):  # parquet is read from its end, so the hash takes a pass of its own
                pass
        try:
            table = parquet.ParquetFile(self.path)
            names = [table.schema_arrow.names[i] for i in self._pick(table.schema_arrow.names, self.name)]
            for batch in table.iter_batches(batch_size=4096, columns=names):
                columns = [batch.column(name).to_pylist() for name in names]
                for row in zip(*columns, strict=True):
                    if not all(isinstance(value, (str, type(None))) for value in row):
                        raise CorpusError(f"{self.name}: column {'/'.join(names)} is not of strings")
                    yield tuple(value or "" for value in row)
        except arrow.ArrowInvalid as err:
            raise CorpusError(f"{self.path}: not a parquet file ({err})") from err


class _Hashed(io.RawIOBase):
    """A binary stream whose bytes pass through the source's hash."""

    def __init__(self, raw: BinaryIO, source: Source) -> None:
        self._raw = raw
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._raw.read(len(buffer))
        buffer[: len(chunk)] = chunk
        self._source.feed(chunk)
        return len(chunk)

    def close(self) -> None:
        if self._raw is not sys.stdin.buffer:
            self._raw.close()
        super().close()


def _lines(name: str, stream: io.BufferedReader) -> Iterator[str]:
    """Yield lines without their ends, split at newlines alone; refuse what is not UTF-8 text."""
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise CorpusError(f"{name}, line {number}: longer than {LONGEST_LINE} bytes; expected one string a line")
        if number == 1 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise CorpusError(f"{name}: is UTF-16; convert it with: iconv -f utf-16 -t utf-8")
        if b"\0" in line:
            raise CorpusError(f"{name}, line {number}: holds a zero byte, so this is a binary file, not text")
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as err:
            byte = line[err.start]
            raise CorpusError(
                f"{name}, line {number}: byte 0x{byte:02x} is not UTF-8; if the file is Latin-1, convert it with: "
                "iconv -f latin1 -t utf-8"
            ) from err
        yield text.rstrip("\r\n")
