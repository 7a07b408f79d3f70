"""Which line names the columns of a table, and which of its columns holds the texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from mirrorkit.errors import ConfigError

TEXT = "text"  # the column that is taken where there is one of that name

# Both are compiled by their first use, as a file without columns needs neither.
# What columns are called; a number or a letter may follow: sentence1, word 2, sent0, text_a.
_NAMED = (
    r"(?:"
    r"texts?|sentences?|sents?|s|documents?|docs?|passage|paragraph|body|content|abstract|summary|title|headline|subject|"
    r"names?|string|phrase|term|words?|mention|reviews?|comments?|message|tweet|post|description|utterance|questions?|"
    r"query|queries|answers?|premise|hypothesis|anchor|positive|pos|negative|neg|hard_neg|hard_negative|source|target|src|"
    r"tgt|left|right|l|r|first|second|one|two|a|b|x|y|ids?|idx|index|key|uid|guid|qid|docid|row|labels?|class|category|"
    r"categories|topic|intent|tags?|rating|stars|scores?|similarity|gold_label|split|date|time|year|lang|language|url|"
    r"author|user|genre|file|filename|cuis?|synonyms?|concept"
    r")(?:[ _.-]?(?:id|text|name|\d{1,3}|[ab]))?"
)
_SENTENCE_END = r"[.!?…。！？।؟][\"'”’»)]*$"
_MOST_WORDS, _MOST_LETTERS = 3, 40  # of a name
_TEXT_WORDS, _TEXT_LETTERS = 3, 12  # that the middle one of a column of texts has at the least
_DISTINCT = 0.5  # share of a column of texts that is

Row = Sequence[str]


def is_header(rows: Sequence[Row]) -> bool | None:
    """Tell whether the first row names the columns; None: it cannot be told."""
    first, body = [cell.strip() for cell in rows[0]], rows[1:]
    if any(map(is_number, first)) or not all(map(_could_name, first)):
        return False
    if all(re.fullmatch(_NAMED, cell, re.IGNORECASE) for cell in first if cell):
        return True
    columns = [*zip(first, zip(*body, strict=True), strict=True)] if body and len(set(first)) == len(first) else []
    if any(_is_of_numbers(column) for _, column in columns):
        return True
    if any(cell in column for cell, column in columns):
        return False  # a label that comes again
    longer = (_is_of_texts(column) and _middle(map(len, column)) >= 3 * len(cell) for cell, column in columns)
    return True if all(first) and any(longer) else None


def text_places(names: Sequence[str] | None, rows: Sequence[Row], columns: int) -> list[int]:
    """Return the columns that may hold the texts: the one called `text`, else those that look like it."""
    if columns == 1:
        return [0]
    called = [i for i, name in enumerate(names or ()) if name.strip().lower() == TEXT]
    return called or [i for i in range(columns) if _is_of_texts([row[i] for row in rows])]


def place_of(wanted: str, names: Sequence[str] | None, columns: int, where: str, *, numbers: bool = True) -> int:
    """Return the place of a column that the user names, or numbers from 1; raises ConfigError where there is none."""
    if numbers and wanted.isascii() and wanted.isdigit() and wanted not in (names or ()):
        if not 1 <= int(wanted) <= columns:
            raise ConfigError(f"{where}: no column {wanted}, there are {columns}")
        return int(wanted) - 1
    if names is None:
        raise ConfigError(f"{where}: has no header, so `text_column` must be a number from 1 to {columns}")
    places = [i for i, name in enumerate(names) if name == wanted] or [
        i for i, name in enumerate(names) if name.strip().lower() == wanted.lower()
    ]
    if not places:
        raise ConfigError(f"{where}: no column {wanted!r}, there are: {', '.join(names)}")
    if len(places) > 1:
        what = f"give `text_column` as a number from 1 to {columns}" if numbers else "rename all but one"
        raise ConfigError(f"{where}: {len(places)} columns are called {names[places[0]]!r}; {what}")
    return places[0]


def is_number(cell: str) -> bool:
    """Return whether a cell can be read as a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return cell.strip().lower() not in ("nan", "inf", "infinity")


def _could_name(cell: str) -> bool:
    words = len(cell.split())
    return words <= _MOST_WORDS and len(cell) <= _MOST_LETTERS and not re.search(_SENTENCE_END, cell)


def _is_of_numbers(column: Row) -> bool:
    full = [cell for cell in column if cell.strip()]
    return len(full) > 1 and all(map(is_number, full))


def _is_of_texts(column: Row) -> bool:
    """Tell whether a column is of phrases or longer, mostly different from one another."""
    full = [cell.strip() for cell in column if cell and cell.strip()]
    if not full or len(set(full)) < _DISTINCT * len(full):
        return False
    words = _middle(len(cell.split()) for cell in full)
    return _middle(map(len, full)) >= _TEXT_LETTERS and (words >= _TEXT_WORDS or _is_dense(full))


def _middle(lengths: Iterable[int]) -> float:
    import statistics  # which brings fractions and decimal numbers along

    return statistics.median(lengths)


def _is_dense(cells: Sequence[str]) -> bool:
    """Tell whether the cells are written without blanks between the words, so that letters alone tell their length."""
    return sum(cell.isascii() for cell in cells) * 2 < len(cells)
