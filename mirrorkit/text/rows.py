"""Lines, cells and JSON values of the files that hold text, each with its number, so that a bad one can be named.

Every reader of text goes through here: a corpus to train on, pairs to score on, documents to search.
"""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mirrorkit.errors import CorpusError
from mirrorkit.extras import require
from mirrorkit.text.opened import PARQUET

LONGEST_LINE = 1 << 20  # bytes; a longer one means a file of another kind
LONGEST_DOCUMENT = 1 << 26  # bytes; more is no document but a dump of many
HEAD_ROWS = 200  # of a table, to choose the column by
_BATCH = 4096  # rows
_READ = 1 << 14  # bytes of lines that are taken at once; fewer where a pipe has no more
_ARRAY = re.compile(r"\s*\[\s*(?=[{\"])")
_SPACE = re.compile(r"[ \t\r\n]*")
_CHUNK = 1 << 20  # characters of JSON that are read at a time


def lines_of(name: str, stream: io.BufferedReader, longest: int = LONGEST_LINE) -> Iterator[str]:
    """Yield lines without their ends, split at newlines alone; raises CorpusError for what is not UTF-8 text.

    What has come in is looked at as one block, and line by line only where it is not plain text throughout.
    """
    number, parts, size = 0, list[bytes](), 0
    while True:
        chunk = stream.read1(_READ)
        end = chunk.rfind(b"\n") + 1
        if chunk and not end and size + len(chunk) <= longest:  # a long line, of which more is to come
            parts.append(chunk)
            size += len(chunk)
            continue
        block = b"".join([*parts, chunk[:end] if end else chunk])
        parts, size = [chunk[end:]], len(chunk) - end
        if not end:
            parts, size = [], 0
        if block:
            lines = _plain_lines(block, longest, first=not number)
            yield from _checked_lines(name, number, block, longest) if lines is None else lines
            number += block.count(b"\n")
        if not chunk:
            return


def _plain_lines(block: bytes, longest: int, *, first: bool) -> list[str] | None:
    """Return the lines of a block that ends with one; None where something is wrong with it, or may be."""
    if b"\0" in block or len(block) > longest:
        return None
    try:
        text = block.decode("utf-8-sig" if first else "utf-8")
    except UnicodeDecodeError:
        return None
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.rstrip("\r") for line in lines] if "\r" in text else lines


def _checked_lines(name: str, before: int, block: bytes, longest: int) -> Iterator[str]:
    """Yield the lines of a block, `before` which there were others; raises CorpusError for the first that is wrong."""
    for number, line in enumerate(io.BytesIO(block), before + 1):
        if len(line) > longest:
            raise CorpusError(f"{name}, line {number}: longer than {longest} bytes; expected one string a line")
        if b"\0" in line:
            raise CorpusError(
                f"{name}, line {number}: holds a zero byte, so this is a binary file, not text; UTF-16 without a byte "
                "order mark needs `encoding=utf-16-le`"
            )
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as err:
            byte = line[err.start]
            raise CorpusError(
                f"{name}, line {number}: byte 0x{byte:02x} is not UTF-8; say which encoding it is, such as "
                "`encoding=cp1252`"
            ) from err
        yield text.rstrip("\r\n")


def json_values(
    name: str, lines: Iterable[str], bad: Callable[[CorpusError], None] | None = None
) -> Iterator[tuple[int, Any]]:
    """Yield (line, value), an empty text for a blank line.

    Raises CorpusError for a line that is not JSON, or hands it to `bad`.
    """
    for number, line in enumerate(lines, 1):
        try:
            value = json.loads(line) if line.strip() else ""
        except (ValueError, RecursionError) as err:  # numbers too long and brackets too deep, too
            reason = err.msg if isinstance(err, json.JSONDecodeError) else err
            fault = CorpusError(f"{name}, line {number}: not JSON ({reason})")
            if bad is None:
                raise fault from err
            bad(fault)
            continue
        yield number, value


def is_object(line: str) -> bool:
    """Tell whether a line is a JSON object."""
    try:
        return line.lstrip().startswith("{") and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def begins_array(text: str) -> bool:
    """Tell whether a text begins with a JSON array of strings or objects; its end need not be there."""
    start = _ARRAY.match(text)
    if not start:
        return False
    try:
        _, end = json.JSONDecoder().raw_decode(text, start.end())
    except (ValueError, RecursionError):
        return False
    rest = text[end:].lstrip()
    return rest.startswith(",") or rest.rstrip() in ("", "]")


def as_object(name: str, line: int, value: object) -> dict[str, Any]:
    """Return the value of a line, which must be an object."""
    if not isinstance(value, dict):
        raise CorpusError(f"{name}, line {line}: expected an object, found {type(value).__name__}")
    return value


def json_elements(name: str, stream: io.BufferedReader) -> Iterator[tuple[int, Any]]:
    """Yield (line, value) of the elements of one array, or of values that span lines, holding one of them at a time.

    Raises CorpusError for what is not JSON.
    """
    values = _Values(name, stream)
    array = values.next_is("[")
    if array:
        values.skip()
    while not values.ended() and not (array and values.next_is("]")):
        yield values.line, values.value()
        if array and not values.ended() and not values.next_is("]"):
            if not values.next_is(","):
                raise values.fault("no comma after an element of the array")
            values.skip()
    if array:
        if values.ended():
            raise values.fault("the array does not end")
        values.skip()
        if not values.ended():
            raise values.fault("more follows behind the end of the array")


class _Values:
    """JSON values one after another in a stream."""

    def __init__(self, name: str, stream: io.BufferedReader) -> None:
        self._name = name
        self._stream = codecs.getreader("utf-8-sig")(stream)
        self._text, self._at, self._more = "", 0, True
        self._decoder = json.JSONDecoder()
        self.line = 1

    def fault(self, what: object) -> CorpusError:
        return CorpusError(f"{self._name}, line {self.line}: not JSON ({what})")

    def ended(self) -> bool:
        """Pass over white space; tell whether that was all."""
        while True:
            if self._at < len(self._text) and self._text[self._at] > " ":
                return False
            begin = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
            self._pass(begin)
            if self._at < len(self._text):
                return False
            if not self._fill():
                return True

    def next_is(self, character: str) -> bool:
        return not self.ended() and self._text[self._at] == character

    def skip(self) -> None:
        self._at += 1

    def value(self) -> Any:
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as err:
                if len(self._text) - self._at < LONGEST_DOCUMENT and self._fill():
                    continue
                raise self.fault(err.msg if isinstance(err, json.JSONDecodeError) else err) from err
            if end == len(self._text) and self._fill():  # a number could go on
                continue
            self._pass(end)
            return value

    def _pass(self, end: int) -> None:
        self.line += self._text.count("\n", self._at, end)
        self._at = end

    def _fill(self) -> bool:
        """Drop what was read, read at least as much again as is held; tell whether there was more."""
        held = self._text[self._at :]
        try:
            chunk = self._stream.read(max(_CHUNK, len(held))) if self._more else ""
        except UnicodeDecodeError as err:
            byte = err.object[err.start]
            raise CorpusError(f"{self._name}: byte 0x{byte:02x} is not UTF-8; say which `encoding` it is") from err
        self._more = bool(chunk)
        self._text, self._at = held + chunk, 0
        return self._more


Pick = Callable[[Sequence[str], Sequence[Sequence[Any]]], list[int]]  # names and first rows to places


def table_rows(file: str | Path, kind: str, pick: Pick) -> Iterator[tuple[Any, ...]]:
    """Yield the values of each row of a parquet or arrow file, in the columns that `pick` chooses.

    Raises CorpusError for another file.
    """
    arrow = require("pyarrow", extra="parquet")
    try:
        yield from _parquet(file, pick) if kind == PARQUET else _arrow(file, pick)
    except (OSError, arrow.ArrowInvalid) as err:
        raise CorpusError(f"{file}: not a {kind} file ({err})") from err


def _parquet(file: str | Path, pick: Pick) -> Iterator[tuple[Any, ...]]:
    table = require("pyarrow.parquet", extra="parquet").ParquetFile(file)
    # Arrow waits for ever for threads of its own that there is no memory to start.
    batches_of = partial(table.iter_batches, use_threads=False)
    names = table.schema_arrow.names
    head = next(batches_of(batch_size=HEAD_ROWS), None)
    places = pick(names, list(zip(*(column.to_pylist() for column in head.columns), strict=True)) if head else [])
    chosen = [names[i] for i in places]
    if len({name for name in names if name in chosen}) == sum(name in chosen for name in names):
        for batch in batches_of(batch_size=_BATCH, columns=chosen):
            yield from zip(*(batch.column(name).to_pylist() for name in chosen), strict=True)
        return
    for batch in batches_of(batch_size=_BATCH):  # of columns with one name all are read
        yield from zip(*(batch.column(i).to_pylist() for i in places), strict=True)


def _arrow(file: str | Path, pick: Pick) -> Iterator[tuple[Any, ...]]:
    arrow, ipc = require("pyarrow", extra="parquet"), require("pyarrow.ipc", extra="parquet")
    source = arrow.memory_map(str(file))
    batches: Iterable[Any]
    if source.read(6) == b"ARROW1":
        reader = ipc.open_file(source)
        batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
    else:
        source.seek(0)
        batches = reader = ipc.open_stream(source)
    places: list[int] | None = None
    for batch in batches:
        if places is None:
            head = batch.slice(0, HEAD_ROWS)
            places = pick(reader.schema.names, list(zip(*(column.to_pylist() for column in head.columns), strict=True)))
        for part in (batch.slice(start, _BATCH) for start in range(0, len(batch), _BATCH)):
            yield from zip(*(part.column(i).to_pylist() for i in places), strict=True)
    if places is None:
        pick(reader.schema.names, [])
