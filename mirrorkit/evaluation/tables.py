"""Rows of delimited text with the line each stands on, so that a bad one can be named."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mirrorkit.errors import CorpusError

TAB, COMMA, SEMICOLON, SPACE, BARS = "\t", ",", ";", " ", "||"
_CALLED = {TAB: "tab", COMMA: "comma", SEMICOLON: "semicolon", SPACE: "space", BARS: "||"}


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


def read_table(file: Path, delimiters: Sequence[str]) -> Table:
    """Read UTF-8 rows; the delimiter is the first of `delimiters` that stands in the first row, else the last one.

    In a file called .csv it is the comma, or the semicolon where the first row has no comma. Cells between commas or
    semicolons may be quoted; elsewhere quotation marks are part of the text. Raises CorpusError for a file that
    cannot be read and for broken quoting.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        raise CorpusError(f"{file}: cannot be read ({err})") from err
    lines = [line.rstrip("\r") for line in text.split("\n")]  # splitlines would cut at U+2028 as well
    if file.suffix.lower() == ".csv":
        delimiters = (COMMA, SEMICOLON, COMMA)
    first = next((line for line in lines if line.strip()), "")
    delimiter = next((d for d in delimiters if d in first), delimiters[-1])
    return Table(file, delimiter, list(_rows(file, lines, delimiter)))


def is_number(cell: str) -> bool:
    """Return whether a cell can be read as a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _rows(file: Path, lines: list[str], delimiter: str) -> Iterator[Row]:
    if delimiter in (COMMA, SEMICOLON):
        yield from _quoted(file, lines, delimiter)
        return
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield Row(number, re.split("[ \t]+", line.strip()) if delimiter == SPACE else line.split(delimiter))


def _quoted(file: Path, lines: list[str], delimiter: str) -> Iterator[Row]:
    reader = csv.reader((line + "\n" for line in lines), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield Row(reader.line_num, cells)
    except csv.Error as err:
        raise CorpusError(f"{file}, line {reader.line_num}: {err}") from err
