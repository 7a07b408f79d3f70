"""How the cells of a file stand in its lines: found over a sample of it, and held to in every row."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.text.rows import LONGEST_DOCUMENT

TAB, COMMA, SEMICOLON, BAR, BARS = "\t", ",", ";", "|", "||"
SAMPLE = 1 << 19  # characters of a file that its dialect is found in
NONE = "none"  # what a user says for a file without columns

_NAMES = {"tab": TAB, "\\t": TAB, "comma": COMMA, "semicolon": SEMICOLON, "bar": BAR, NONE: None}
_TOLD = {TAB: "tab", SEMICOLON: "';'", COMMA: "','", BAR: "'|'", BARS: "'||'"}
_QUOTED = 0.9  # share of lines with a cell that a quotation mark opens, from which on it is no part of the texts
_SOME = 0.01  # share that stands for: a few cells begin with the mark
_SPOILT = 0.2  # share of rows that may be skipped where the user lets bad ones be


@dataclass(frozen=True)
class Dialect:
    delimiter: str | None  # None: a line is one cell
    quote: str | None = None
    spaced: bool = False  # a space stands behind each delimiter

    def told(self) -> str:
        """Return what a user wants to know of it."""
        if self.delimiter is None:
            return "no delimiter"
        quoted = f", quoted by {self.quote}" if self.quote == "'" else ""
        return f"delimiter {told(self.delimiter)}{quoted}"


def told(delimiter: str) -> str:
    """Return what a delimiter is called."""
    return _TOLD.get(delimiter, repr(delimiter))


def as_delimiter(value: str) -> str | None:
    """Return the delimiter of that name; raises ConfigError for what cannot be one."""
    if value.lower() in _NAMES:
        return _NAMES[value.lower()]
    if value != BARS and (len(value) != 1 or value.isalnum() or value in "\"'\r\n"):
        raise ConfigError(f"delimiter {value!r}: must be one character, ||, tab, or none for a file without columns")
    return value


def cells(name: str, lines: Iterable[str], dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells), no cells for an empty line; of a quoted cell that spans lines the number is the last one.

    Raises CorpusError for broken quoting.
    """
    delimiter, quote = dialect.delimiter, dialect.quote
    if delimiter is None:
        yield from ((number, [line] if line else []) for number, line in enumerate(lines, 1))
        return
    if quote is None or len(delimiter) > 1:
        yield from ((number, line.split(delimiter) if line else []) for number, line in enumerate(lines, 1))
        return
    csv.field_size_limit(LONGEST_DOCUMENT)
    ended = (line + "\n" for line in lines)
    reader = csv.reader(ended, delimiter=delimiter, quotechar=quote, strict=True, skipinitialspace=dialect.spaced)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as err:
        raise CorpusError(
            f"{name}, line {reader.line_num}: a quoted cell is not closed as it should be ({err})"
        ) from err


@dataclass(frozen=True)
class Sample:
    """The first lines of a file."""

    name: str
    lines: Sequence[str]
    whole: bool  # these are all

    @cached_property
    def first(self) -> str:
        return next((line for line in self.lines if line.strip()), "")

    def share(self, delimiter: str) -> float:
        """Return the share of lines that hold the delimiter."""
        full = [line for line in self.lines if line.strip()]
        return sum(delimiter in line for line in full) / max(1, len(full))


@dataclass(frozen=True)
class _Fit:
    """What a dialect makes of a sample."""

    dialect: Dialect
    width: int  # of most rows
    rows: list[tuple[int, list[str]]]
    fault: CorpusError | None  # the first row that does not fit
    spoilt: int = 0
    sure: bool = False  # that its marks enclose cells: nearly all lines have some

    def is_good(self, skip_bad: bool) -> bool:
        """Tell whether every row fits, or enough do where the user lets bad ones be."""
        return self.fault is None or (skip_bad and 0 < self.spoilt <= _SPOILT * len(self.rows))


def find_dialect(
    sample: Sample, delimiters: Sequence[str], *, table: bool, asked: bool = False, skip_bad: bool = False
) -> Dialect | None:
    """Return the one dialect that cuts every line into as many cells; None: there is none, and it need be no `table`.

    `asked`: the one delimiter is the user's word. Raises CorpusError naming the first row that does not fit,
    ConfigError where several delimiters fit.
    """
    tried = [_best(sample, delimiter) for delimiter in delimiters if asked or delimiter in sample.first]
    fits = [fit for fit in tried if fit.width > 1 and fit.is_good(skip_bad)]
    fits = [fit for fit in fits if fit.sure] or fits
    if delimiters[0] == TAB:  # of a .csv, a tab is no likelier than a comma
        for certain in (TAB, BARS):  # neither stands in texts
            fits = [fit for fit in fits if fit.dialect.delimiter == certain] or fits
    if len(fits) > 1:
        first, second = (told(str(fit.dialect.delimiter)) for fit in fits[:2])
        raise ConfigError(
            f"{sample.name}: both {first} and {second} split every line equally well; give one as `delimiter`"
        )
    if fits:
        return fits[0].dialect
    if not table:
        return None
    likely = [fit for fit in tried if fit.fault and (asked or sample.share(str(fit.dialect.delimiter)) >= 0.5)]
    if not likely:
        single = _best(sample, delimiters[0])
        if single.is_good(skip_bad):
            return single.dialect
        likely = [single]
    fault = max(likely, key=lambda fit: sample.share(str(fit.dialect.delimiter))).fault
    assert fault is not None
    raise fault


def best_dialect(sample: Sample, delimiter: str) -> Dialect:
    """Return how the cells between this delimiter are quoted, whether or not every row is as wide."""
    return _best(sample, delimiter).dialect


def _best(sample: Sample, delimiter: str) -> _Fit:
    """Return how the delimiter fits the sample best: with quotation marks, or as it is.

    Between tabs, marks are part of the texts unless something shows that they are not; elsewhere double ones enclose
    cells. Where both readings fit and give other rows, the fit has a fault that says so.
    """
    base = _tried(sample, Dialect(delimiter, None if delimiter in (TAB, BARS) else '"'))
    if len(delimiter) > 1:
        return base
    spaced = any(f"{delimiter} {quote}" in line for line in sample.lines for quote in "\"'")
    surely: _Fit | None = None
    unsure: str | None = None
    for mark in "\"'":
        share = _opened(sample, delimiter, mark)
        fit = _tried(sample, Dialect(delimiter, mark, spaced)) if share else base
        if share >= _QUOTED:
            if fit.fault is None:
                return replace(fit, sure=True)
            surely = surely or fit
        elif fit.fault is None and fit.dialect.quote != base.dialect.quote:
            if base.fault or _has_doubled(sample, delimiter, mark):
                return fit
            unsure = mark if (fit.width, len(fit.rows)) != (base.width, len(base.rows)) else unsure
    if unsure and not surely:
        fault = CorpusError(
            f"{sample.name}: the marks {unsure} may enclose cells or be part of the texts, which makes other rows; "
            "quote every cell, or give `delimiter=none` if every line is one text"
        )
        return replace(base, fault=fault)
    return surely or base


def _tried(sample: Sample, dialect: Dialect) -> _Fit:
    rows: list[tuple[int, list[str]]] = []
    fault: CorpusError | None = None
    try:
        rows += (row for row in cells(sample.name, sample.lines, dialect) if any(cell.strip() for cell in row[1]))
    except CorpusError as err:
        fault = err if sample.whole or "unexpected end" not in str(err) else None
    if dialect.quote and not sample.whole:
        rows = rows[:-1]  # it may have been cut
    counts = Counter(len(row) for _, row in rows)
    width = counts.most_common(1)[0][0] if counts else 0
    if fault is None and (odd := next(((line, row) for line, row in rows if len(row) != width), None)):
        fault = misfit(sample.name, odd[0], len(odd[1]), width, dialect)
    spoilt = sum(count for cells_, count in counts.items() if cells_ != width)
    return _Fit(dialect, width, rows, fault, spoilt)


def misfit(name: str, line: int, found: int, wanted: int, dialect: Dialect) -> CorpusError:
    """Return the error for a row with another number of cells than the others have."""
    between = f" between {told(dialect.delimiter)}" if dialect.delimiter else ""
    return CorpusError(
        f"{name}, line {line}: has {found} column{'s' * (found != 1)}{between}, wanted {wanted}; give another "
        "`delimiter`, or `delimiter=none` if every line is one text"
    )


def _opened(sample: Sample, delimiter: str, mark: str) -> float:
    """Return the share of lines with a cell that this mark opens; between tabs, closes as well."""
    between = re.escape(delimiter)
    # Texts that begin with a quotation are common between tabs, and cells that are quoted are not.
    closed = rf"[^{between}]*{mark}(?:{between}|$)" if delimiter == TAB else ""
    opening = re.compile(rf"(?:^|{between}) ?{mark}{closed}")
    lines = [line for line in sample.lines if line.strip()]
    share = sum(opening.search(line) is not None for line in lines[1:]) / max(1, len(lines) - 1)
    begun = any(line.lstrip().startswith(mark) or f"{delimiter}{mark}" in line for line in lines)
    return max(share, _SOME if begun else 0.0)


def _has_doubled(sample: Sample, delimiter: str, mark: str) -> bool:
    """Tell whether a cell that this mark encloses has a doubled one inside, as writers of quoted cells make it."""
    between = re.escape(delimiter)
    doubled = re.compile(
        rf"(?:^|{between}){mark}[^{mark}]*{mark}{mark}(?:[^{mark}]|{mark}{mark})*{mark}(?:{between}|$)"
    )
    return any(doubled.search(line) for line in sample.lines)
