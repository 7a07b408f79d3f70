"""Texts that are in memory already: lists, generators, data frames, data sets and tables of other libraries.

They are told by what they can do, so that none of these libraries need be installed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import chain, islice
from typing import Any

from mirrorkit.errors import ConfigError
from mirrorkit.text.reading import Reading, text_columns
from mirrorkit.text.rows import HEAD_ROWS
from mirrorkit.text.units import Record

_WHERE = "corpus"
_COUNTED = {2: "two", 3: "three"}


def memory_records(corpus: Iterable[Any], columns: Sequence[str] | None, width: int) -> Iterator[Record]:
    """Yield the strings of each row; None and NaN are empty.

    Rows may be strings, objects by the names of their columns (data sets), or tuples of `width` strings. Raises
    ConfigError where the column cannot be told, TypeError naming the row that is none of these.
    """
    if isinstance(corpus, (str, bytes, Set)):
        raise TypeError(f"the corpus is {type(corpus).__name__}, which has no rows; give a list of strings")
    if isinstance(corpus, Mapping):
        parts = ", ".join(repr(name) for name in list(corpus)[:4])
        raise TypeError(f"the corpus is {type(corpus).__name__} of {parts}; give one of them")
    names, rows = _named(corpus)
    try:
        found = iter(rows)
    except TypeError as err:
        raise TypeError(f"the corpus is {type(corpus).__name__}, which has no rows; give a list of strings") from err
    head = list(islice(found, HEAD_ROWS))
    if names is None and head and isinstance(head[0], Mapping):
        names = [str(name) for name in head[0]]
    places = _places(names, head, columns, width)
    for index, row in enumerate(chain(head, found)):
        yield _record(index, row, names, places, width)


def _named(corpus: Any) -> tuple[list[str] | None, Iterable[Any]]:
    """Return the names of the columns, None where there are none or the rows bear them, and the rows."""
    if hasattr(corpus, "itertuples"):  # pandas
        return [str(name) for name in corpus.columns], corpus.itertuples(index=False, name=None)
    if hasattr(corpus, "iter_rows"):  # polars
        return [str(name) for name in corpus.columns], corpus.iter_rows()
    if hasattr(corpus, "to_batches") and hasattr(corpus, "column_names"):  # arrow
        return list(corpus.column_names), _of_batches(corpus.to_batches())
    return None, corpus


def _of_batches(batches: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    for batch in batches:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _places(
    names: Sequence[str] | None, head: Sequence[Any], columns: Sequence[str] | None, width: int
) -> list[int] | None:
    """Return the places of the texts in a row of columns; None: the rows have none."""
    if names is None:
        if columns:
            raise ConfigError("`text_column` is for a corpus of columns; this one is of strings")
        return None
    cells = [[_cell(value) for value in (row.values() if isinstance(row, Mapping) else row)] for row in head]
    alike = [row for row in cells if len(row) == len(names)]
    return text_columns(Reading(tuple(columns) if columns else None), width, names, alike, len(names), _WHERE)


def _cell(value: object) -> str:
    return value if isinstance(value, str) else "" if _is_missing(value) else "0"


def _is_missing(value: object) -> bool:
    """Tell whether there is no value: None, NaN, or the NA of pandas."""
    return value is None or (isinstance(value, float) and math.isnan(value)) or type(value).__name__ == "NAType"


def _record(index: int, row: Any, names: Sequence[str] | None, places: Sequence[int] | None, width: int) -> Record:
    if places is not None and names is not None:
        found = [row.get(names[i]) if isinstance(row, Mapping) else row[i] for i in places]
    elif width == 1 or _is_missing(row):
        found = [row] * width
    elif isinstance(row, (tuple, list)) and len(row) == width:
        found = list(row)
    else:
        raise ConfigError(
            f"corpus[{index}] is {_told(row)}; with `pairs=True` a row is a tuple of {_COUNTED[width]} strings"
        )
    for value in found:
        if not isinstance(value, str) and not _is_missing(value):
            raise TypeError(f"corpus[{index}] is {_told(value)}, not str")
    return tuple(value if isinstance(value, str) else "" for value in found)


def _told(value: object) -> str:
    kind = type(value).__name__
    return f"a {kind} of {len(value)}" if isinstance(value, (tuple, list)) else kind
