"""Read strings from text, delimited text, JSON, parquet and arrow, one record at a time, and hash the bytes on the way.

What a file is, is told from its content; its name decides only where the content leaves it open.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.text.columns import TEXT, place_of
from mirrorkit.text.dialect import SAMPLE, Dialect, Sample, cells, misfit
from mirrorkit.text.opened import Hashed, Opened, kind_by_name, opened
from mirrorkit.text.packed import bytes_on_disk, refuse_bomb
from mirrorkit.text.reading import (
    DELIMITED,
    Reading,
    header_names,
    sample_rows,
    table_dialect,
    text_columns,
    told_columns,
)
from mirrorkit.text.rows import (
    HEAD_ROWS,
    LONGEST_DOCUMENT,
    LONGEST_LINE,
    as_object,
    begins_array,
    is_object,
    json_elements,
    json_values,
    lines_of,
    table_rows,
)
from mirrorkit.text.strings import shown_name
from mirrorkit.text.units import Record, Unit, plain_units

_JSON = (".json", ".jsonl", ".ndjson")
_MOST_FAULTS = 20  # that are remembered of a file


@dataclass
class TextSource:
    """A file being read; size and hash are of its bytes as stored, and are whole once the last record is out."""

    path: str  # "-" is standard input
    reading: Reading = field(default_factory=Reading)
    width: int = 1  # strings a record has: 1, or 2 or 3 in pairs mode
    unit: Unit = Unit.LINE  # of plain text: what a record is; other kinds have a record a row
    also: tuple[str, ...] = ()  # columns whose values, spelled as strings, follow those of a record
    label: str | None = None  # what messages call it; None: the file's name
    size: int = 0
    bad: int = 0  # rows that did not fit and were left out
    faults: list[str] = field(default_factory=list)  # what was wrong with the first of them
    layout: list[str] = field(default_factory=list)  # what was understood of it, for people
    skipped: tuple[str, ...] = ()  # a file has no parts that could be
    table: bool = False  # whether it is parquet or arrow, which are not read from front to end
    by_line: bool = False  # whether each row is a line of the file; known once rows are read, as `in_blocks` is
    in_blocks: bool = False  # whether each row is the lines up to a blank one
    _whole: int = 0  # bytes of the file, 0 where only reading tells
    _ahead: int = 0  # characters that were read to tell what the file is
    _passed: int = 0  # characters of the lines that were given out
    _digest: Any = field(default_factory=hashlib.sha256)

    @property
    def name(self) -> str:
        return self.label or ("standard input" if self.path == "-" else shown_name(Path(self.path).name))

    @property
    def sha256(self) -> str:
        return str(self._digest.hexdigest())

    @property
    def position(self) -> int:
        """Bytes as stored up to about the last row given out; 0 where that is not known."""
        return int(self.size * self._passed / max(self._passed, self._ahead, 1))

    def feed(self, chunk: bytes | memoryview) -> None:
        self._digest.update(chunk)
        self.size += len(chunk)

    def records(self) -> Iterator[Record]:
        """Yield the strings of each row, as they stand in the file. Raises CorpusError naming file and line."""
        self.layout.clear()
        try:
            with self.open() as raw:
                found = opened(raw, self.name, self.reading.encoding, lambda: max(self.size, self._whole))
                if found.table:
                    yield from self._table(found)
                    return
                if self._kind == ".parquet":
                    raise CorpusError(f"{self.path}: not a parquet file")
                self.layout += [found.packing] if found.packing else []
                self.layout += [found.encoding.upper()] if found.encoding != "utf-8" else []
                yield from self._text(found)
        except OSError as err:
            raise CorpusError(f"{self.path}: cannot be read ({err.strerror or err})") from err

    @property
    def _kind(self) -> str:
        return kind_by_name(self.path)

    @property
    def _longest(self) -> int:
        return LONGEST_LINE if self.unit is Unit.LINE else LONGEST_DOCUMENT

    def open(self) -> Hashed:
        """Return the file's bytes as they are stored, which are counted and hashed as they are read."""
        if self.path == "-":
            if sys.stdin is None:
                raise CorpusError("standard input is closed")
            self._whole = bytes_on_disk(sys.stdin.buffer)
            return Hashed(sys.stdin.buffer, self.feed, kept=True)
        if Path(self.path).is_dir():
            raise CorpusError(f"{self.path}: is a folder; give a file of one string a line")
        refuse_bomb(Path(self.path), self.name)
        raw = Path(self.path).open("rb")  # noqa: SIM115  (what is returned closes it)
        self._whole = bytes_on_disk(raw)
        return Hashed(raw, self.feed)

    def _text(self, found: Opened) -> Iterator[Record]:
        named_json = self._kind in _JSON
        head = found.head.decode("utf-8-sig", "ignore").lstrip()
        as_it_stands = self.reading.delimiter is not None
        spread = named_json and "\n" in head and head.startswith("{") and not is_object(head.partition("\n")[0])
        if not as_it_stands and (begins_array(head) or spread or (named_json and head.startswith("["))):
            yield from self._objects("JSON" if spread else "JSON array", json_elements(self.name, found.stream))
            return
        lines = lines_of(self.name, found.stream, self._longest)
        first, whole = _head(lines)
        sample = Sample(self.name, first, whole)
        lines = self._counted(chain(first, lines), sum(map(len, first)))
        if not as_it_stands and (named_json or is_object(sample.first)):
            yield from self._json_lines(lines, sure=named_json)
        elif dialect := self._dialect(sample):
            try:
                yield from self._delimited(dialect, lines, sample)
            except ConfigError as err:
                if self._kind in DELIMITED:
                    raise
                raise ConfigError(f"{err}; or `delimiter=none`, which reads every line as it stands") from err
        elif self.width > 1:
            raise CorpusError(f"{self.name}: holds no pairs; a pair is a||b, or two columns of a csv, tsv or jsonl")
        else:
            self._only_text()
            self.layout.append(f"plain text, a {self.unit} each")
            self.by_line, self.in_blocks = self.unit is Unit.LINE, self.unit is not Unit.LINE
            yield from (record * (1 + len(self.also)) for record in plain_units(self.name, lines, self.unit))

    def _counted(self, lines: Iterator[str], ahead: int) -> Iterator[str]:
        self._ahead, self._passed = ahead, 0
        for line in lines:
            self._passed += len(line)
            yield line

    def _dialect(self, sample: Sample) -> Dialect | None:
        plain = self.unit is not Unit.LINE and self._kind not in DELIMITED and self.reading == Reading()
        return None if plain else table_dialect(self.reading, sample, self._kind, self.width)

    def _delimited(self, dialect: Dialect, lines: Iterable[str], sample: Sample) -> Iterator[Record]:
        first = sample_rows(dialect, sample)
        columns = len(first[0]) if first else 0
        names = header_names(self.reading, first, dialect, self.name)
        places = text_columns(self.reading, self.width, names, first[1:] if names else first, columns, self.name)
        self.layout += [dialect.told(), *(["header"] if names else ["no header"] if columns else [])]
        self.layout.append(told_columns(names, places, columns))
        places += [place_of(name, names, columns, self.name) for name in self.also]
        to_pass = names is not None
        for line, row in cells(self.name, lines, dialect):
            if not any(cell.strip() for cell in row):
                yield ("",) * (self.width + len(self.also))
            elif to_pass:
                to_pass = False
            elif len(row) != columns:
                self._skip(misfit(self.name, line, len(row), columns, dialect))
            else:
                yield tuple(row[i] for i in places)

    def _json_lines(self, lines: Iterable[str], *, sure: bool) -> Iterator[Record]:
        self.by_line = not self.reading.skip_bad
        try:
            yield from self._objects("JSON lines", json_values(self.name, lines, self._skip))
        except CorpusError as err:
            if sure:
                raise
            raise CorpusError(f"{err}; the first line is, and `delimiter=none` reads all as they stand") from err

    def _objects(self, kind: str, values: Iterator[tuple[int, Any]]) -> Iterator[Record]:
        head = list(islice(values, HEAD_ROWS))
        keys: list[str] | None = None
        self.layout.append(kind)
        for number, value in chain(head, values):
            if value == "" or (isinstance(value, str) and self.width == 1):
                if value:  # else a blank line, or an empty string
                    self._only_text()
                yield (value, *("",) * (self.width - 1), *(value,) * len(self.also))
                continue
            try:
                row = as_object(self.name, number, value)
                where = f"{self.name}, line {number}"
                if keys is None:
                    keys = self._keys(row, head, where)
                texts = tuple(_string(row, key, where) for key in keys)
                yield texts + tuple(_spelled(_value(row, key, where)) for key in self.also)
            except CorpusError as err:
                self._skip(err)

    def _keys(self, row: dict[str, Any], head: Sequence[tuple[int, Any]], where: str) -> list[str]:
        """Return the keys of the texts, which the first object settles for all."""
        names = list(row)
        others = [[_shown(value.get(name)) for name in names] for _, value in head if isinstance(value, dict)]
        places = text_columns(self.reading, self.width, names, others, len(names), where, numbers=False)
        self.layout.append(
            f"key{'s' * (len(places) > 1)} {' and '.join(repr(names[i]) for i in places)} of {len(names)}"
        )
        return [names[i] for i in places]

    def _table(self, found: Opened) -> Iterator[Record]:
        assert found.table is not None
        if self.path == "-":
            raise ConfigError("parquet cannot be read from standard input")
        self.table = True
        while found.stream.read(1 << 20):  # it is read from its end, so the hash takes a pass of its own
            pass

        chosen: list[str] = []

        def pick(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[int]:
            shown = [[_shown(value) for value in row] for row in rows]
            places = text_columns(self.reading, self.width, names, shown, len(names), self.name)
            chosen[:] = [names[i] for i in places]
            self.layout[:] = [str(found.table), told_columns(names, places, len(names))]
            return places + [place_of(name, names, len(names), self.name) for name in self.also]

        for row in table_rows(self.path, found.table, pick):
            if not all(isinstance(value, (str, type(None))) for value in row[: self.width]):
                raise CorpusError(f"{self.name}: column {'/'.join(chosen)} is not of strings")
            yield tuple(value or "" for value in row[: self.width]) + tuple(map(_spelled, row[self.width :]))

    def _only_text(self) -> None:
        """Raise ConfigError where more is wanted of plain text than the text: its one column is called that."""
        for name in self.also:
            if name != TEXT:
                raise ConfigError(f"{self.name}: no column {name!r}, there is only the text")

    def _skip(self, err: CorpusError) -> None:
        """Count a row that does not fit, where the user lets them be; else raise what is wrong with it."""
        if not self.reading.skip_bad:
            raise err
        self.bad += 1
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(str(err))


def _head(lines: Iterator[str]) -> tuple[list[str], bool]:
    """Return the first lines, and whether these are all."""
    head: list[str] = []
    size = 0
    for line in lines:
        head.append(line)
        size += len(line) + 1
        if size >= SAMPLE:
            return head, False
    return head, True


def _shown(value: object) -> str:
    """Return a value as a cell of a table that is to be judged by its strings."""
    return value if isinstance(value, str) else "" if value is None else "0"


def _spelled(value: Any) -> Any:
    """Return any value but null as a string, a number as JSON spells it, so that a column has one type in all files."""
    return value if isinstance(value, (str, type(None))) else json.dumps(value, ensure_ascii=False, default=str)


def _value(row: dict[str, Any], key: str, where: str) -> Any:
    if key not in row:
        raise CorpusError(f"{where}: no column {key!r}, there are: {', '.join(row)}")
    return row[key]


def _string(row: dict[str, Any], key: str, where: str) -> str:
    value = _value(row, key, where)
    if not isinstance(value, (str, type(None))):
        raise CorpusError(f"{where}: {key} is {type(value).__name__}, not a string")
    return value or ""
