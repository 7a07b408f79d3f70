"""How a file is to be read: what the user says, and what its first lines show where nothing is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.text.columns import TEXT, is_header, place_of, text_places
from mirrorkit.text.dialect import (
    BAR,
    BARS,
    COMMA,
    SEMICOLON,
    TAB,
    Dialect,
    Sample,
    as_delimiter,
    cells,
    find_dialect,
)
from mirrorkit.text.rows import HEAD_ROWS

DELIMITED: dict[str, tuple[str, ...]] = {  # by the end of a file's name: what may part its cells
    ".csv": (COMMA, SEMICOLON, TAB, BAR),
    ".tsv": (TAB, COMMA, SEMICOLON, BAR),
    ".tab": (TAB, COMMA, SEMICOLON, BAR),
}
_ELSEWHERE = (TAB, BARS, COMMA, SEMICOLON, BAR)  # of a file of another name that is to be a table
_CERTAIN = (TAB, BARS)  # make a table of one that need be none: texts do not hold them
_FEW = 3  # lines that may share a number of tabs by accident


@dataclass(frozen=True)
class Reading:
    """How a file is to be read, as far as the user says; None: as its content shows."""

    columns: tuple[str, ...] | None = None  # names, or 1-based numbers
    delimiter: str | None = None  # of the cells; `none`: a line is a text, whatever stands in it
    encoding: str | None = None
    header: bool | None = None  # whether the first line names the columns
    skip_bad: bool = False  # whether rows that do not fit are left out and counted

    def __post_init__(self) -> None:
        if self.delimiter is not None:
            as_delimiter(self.delimiter)


def table_dialect(reading: Reading, sample: Sample, kind: str, width: int) -> Dialect | None:
    """Return how the cells stand in a file that is a table by the end of its name, or by what is asked; else None.

    Raises CorpusError for rows that are no table, ConfigError where the delimiter cannot be told.
    """
    skip_bad = reading.skip_bad
    if reading.delimiter is not None:
        delimiter = as_delimiter(reading.delimiter)
        if delimiter is not None:
            return find_dialect(sample, [delimiter], table=True, asked=True, skip_bad=skip_bad)
        return Dialect(None) if kind in DELIMITED or reading.header or reading.columns else None
    if kind in DELIMITED:
        return find_dialect(sample, DELIMITED[kind], table=True, skip_bad=skip_bad)
    if width > 1:
        return find_dialect(sample, _CERTAIN, table=BARS in sample.first, skip_bad=skip_bad)
    if reading.columns or reading.header is not None:
        found = find_dialect(sample, _ELSEWHERE, table=False, skip_bad=skip_bad)
        if found is None and reading.columns:
            raise ConfigError(
                f"{sample.name}: plain text has no columns; `text_column` is for csv, tsv, json, jsonl, parquet, or "
                "give the `delimiter`"
            )
        return found or Dialect(None)
    enough = sum(bool(line.strip()) for line in sample.lines) >= _FEW
    return find_dialect(sample, _CERTAIN, table=False) if enough else None


def header_names(reading: Reading, rows: Sequence[Sequence[str]], dialect: Dialect, where: str) -> list[str] | None:
    """Return the names of the columns; None: there are none. Raises ConfigError where that cannot be told."""
    if not rows:
        return []
    header, wanted = reading.header, reading.columns or ()
    first = [cell.strip() for cell in rows[0]]
    if header is None:
        by_name = [name for name in wanted if not name.isdigit()]
        if by_name and set(by_name) <= set(first):
            header = True
        else:  # pairs as a||b are published without one
            header = False if dialect.delimiter == BARS else is_header(rows)
    if header is None:
        shown = ", ".join(repr(cell) for cell in first[:4])
        raise ConfigError(
            f"{where}: cannot tell whether the first line ({shown}) names the columns; give `header=True` or "
            "`header=False`"
        )
    return first if header else None


def text_columns(
    reading: Reading,
    width: int,
    names: Sequence[str] | None,
    rows: Sequence[Sequence[str]],
    columns: int,
    where: str,
    *,
    numbers: bool = True,
) -> list[int]:
    """Return the places of the columns that are asked for, else of those that hold the texts.

    `numbers`: they may be asked for by number. Raises ConfigError where they cannot be told.
    """
    if wanted := reading.columns:
        return [place_of(name, names, columns, where, numbers=numbers) for name in wanted]
    found = list(range(columns)) if columns == width else []
    if width == 1:
        found = text_places(names, rows, columns)
    if len(found) != width:
        if len(twice := [name for name in names or () if name.strip().lower() == TEXT]) > 1:
            place_of(twice[0], names, columns, where, numbers=numbers)  # says that there are several
        there = ", ".join(names) if names else f"columns 1 to {columns}" if columns else ""
        raise ConfigError(f"{where}: choose with `text_column` among {there or 'no columns'}")
    return found


def told_columns(names: Sequence[str] | None, places: Sequence[int], columns: int, what: str = "column") -> str:
    """Return in words which columns are read."""
    which = " and ".join(repr(names[i]) if names else str(i + 1) for i in places)
    return f"{what}{'s' * (len(places) > 1)} {which} of {columns}"


def sample_rows(dialect: Dialect, sample: Sample) -> list[list[str]]:
    """Return the first rows, of those that are as wide as most."""
    rows: list[list[str]] = []
    try:
        for _, row in cells(sample.name, sample.lines, dialect):
            if any(cell.strip() for cell in row):
                rows.append(row)
            if len(rows) > HEAD_ROWS:
                break
    except CorpusError:  # the sample may end inside a cell
        if sample.whole:
            raise
    width = Counter(map(len, rows)).most_common(1)[0][0] if rows else 0
    return [row for row in rows if len(row) == width]
