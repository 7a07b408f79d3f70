"""Rows of the files that are scored on, each with the line it stands on, so that a bad one can be named."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.paths import local_path
from mirrorkit.text.dialect import BARS, COMMA, SEMICOLON, TAB, Sample, best_dialect, cells, find_dialect
from mirrorkit.text.file_rows import file_lines, file_values, read_parquet
from mirrorkit.text.opened import kind_by_name
from mirrorkit.text.rows import as_object

_JSON = (".jsonl", ".ndjson", ".json")
FORMATS = (*_JSON, ".csv", ".tsv", ".parquet")  # of `read_rows`, each also packed

SPACE = " "
_CALLED = {TAB: "tab", COMMA: "comma", SEMICOLON: "semicolon", SPACE: "space", BARS: "||"}


_ALL_BUT_FEW = 0.9  # share of lines


@dataclass(frozen=True)
class Row:
    line: int  # 1-based; of a quoted cell that spans lines, the last one
    cells: list[str]


@dataclass(frozen=True)
class Table:
    """The rows of a file; blank lines are left out."""

    file: Path
    delimiter: str
    rows: list[Row]

    def fault(self, row: Row, what: str) -> CorpusError:
        """Return the error that names the row."""
        return CorpusError(f"{self.file}, line {row.line}: {what}")

    def check_width(self, row: Row, width: int) -> None:
        """Raise CorpusError unless the row has `width` columns."""
        if len(row.cells) != width:
            kind = _CALLED[self.delimiter]
            raise self.fault(row, f"has {len(row.cells)} {kind}-separated columns, wanted {width}")

    def text(self, row: Row, column: int, what: str) -> str:
        """Return a cell that must not be blank."""
        cell = row.cells[column].strip()
        if not cell:
            raise self.fault(row, f"the {what} is blank")
        return cell

    def number(self, row: Row, column: int) -> float:
        """Return a cell that must be a finite number."""
        cell = row.cells[column]
        try:
            score = float(cell)
        except ValueError as err:
            raise self.fault(row, f"the score {cell!r} is not a number") from err
        if not math.isfinite(score):
            raise self.fault(row, f"the score {cell!r} is not finite")
        return score


def read_table(file: str | Path, delimiters: Sequence[str], what: str = "") -> Table:
    """Read rows; the delimiter is the first of `delimiters` that stands in the first row, else the last one.

    In a file called .csv it is what parts all rows alike, or the comma. Cells between commas or semicolons may be
    quoted, and between tabs where it shows that they are; a lone quotation mark there is part of the text. Raises
    CorpusError for a file that cannot be read and for broken quoting; `what` the file should be is for the message
    where there is none.
    """
    path = local_path(file)
    if what and not path.is_file():
        raise CorpusError(f"{file}: no such {what}")
    lines = list(file_lines(path))
    sample = Sample(str(path), lines, whole=True)
    if kind_by_name(path) == ".csv":
        delimiters = _by_commas(sample)
    delimiter = next((d for d in delimiters if d in sample.first), delimiters[-1])
    rows: Iterable[tuple[int, list[str]]]
    if delimiter == SPACE:
        rows = ((number, re.split("[ \t]+", line.strip())) for number, line in enumerate(lines, 1))
    else:
        rows = cells(str(path), lines, best_dialect(sample, delimiter))
    return Table(path, delimiter, [Row(line, cells) for line, cells in rows if any(cell.strip() for cell in cells)])


def _by_commas(sample: Sample) -> tuple[str, ...]:
    """Return the delimiter of a .csv: a tab too, between which some are published."""
    if sample.share(TAB) > _ALL_BUT_FEW:
        return (TAB,)
    try:
        found = find_dialect(sample, (COMMA, SEMICOLON, TAB), table=False)
    except ConfigError:  # several part all rows alike
        found = None
    return (found.delimiter,) if found and found.delimiter else (COMMA, SEMICOLON, COMMA)


def read_rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line, or in parquet row; column -> text) of a file of one of FORMATS, told by its name.

    CSV and TSV begin with the names of their columns. A value that is missing is an empty text, one that is no string
    is left out. Raises CorpusError naming file and line for what cannot be read.
    """
    rows: Iterable[tuple[int, Mapping[str, Any]]]
    if kind_by_name(file) == ".parquet":
        rows = enumerate(read_parquet(file), 1)
    else:
        rows = json_lines(file) if kind_by_name(file) in _JSON else _named(read_table(file, (TAB,)))
    for line, row in rows:
        yield line, {key: value or "" for key, value in row.items() if isinstance(value, (str, type(None)))}


def json_lines(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line, object) of JSON lines or an array, blank lines left out; raises CorpusError naming file and line."""
    return ((line, as_object(str(file), line, value)) for line, value in file_values(file) if value != "")


def is_number(cell: str) -> bool:
    """Return whether a cell can be read as a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _named(table: Table) -> Iterator[tuple[int, Mapping[str, str]]]:
    header, *rows = table.rows or [Row(0, [])]
    names = [cell.strip() for cell in header.cells]
    for row in rows:
        table.check_width(row, len(names))
        yield row.line, dict(zip(names, row.cells, strict=True))
