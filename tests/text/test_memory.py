"""Texts that other libraries hold in memory, told by what these can do: the stand-ins can do no more."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from mirrorkit.errors import ConfigError
from mirrorkit.training.corpus import load_corpus

TEXTS = [f"a text of some words, number {i}" for i in range(9)]
ROWS: list[dict[str, Any]] = [{"id": i, "text": text, "more": None} for i, text in enumerate(TEXTS)]


class Na:
    """The missing value of pandas, which cannot be compared."""

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")

    def __eq__(self, other: object) -> Any:
        return self

    __hash__ = None  # type: ignore[assignment]


Na.__name__ = "NAType"


class Pandas:
    def __init__(self, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        self.columns, self._rows = names, rows

    def itertuples(self, *, index: bool, name: str | None) -> Iterator[tuple[Any, ...]]:
        assert not index
        assert name is None
        return (tuple(row) for row in self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)  # as a data frame does


class Polars:
    def __init__(self, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        self.columns, self._rows = names, rows

    def iter_rows(self) -> Iterator[tuple[Any, ...]]:
        return (tuple(row) for row in self._rows)


class Streamed:
    """An IterableDataset: rows by name, no length."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._rows)


def table(kind: Any) -> Any:
    return kind(["id", "text", "n"], [[i, text, 1.5] for i, text in enumerate(TEXTS)])


@pytest.mark.parametrize("kind", [Pandas, Polars])
def test_a_data_frame(kind: Any) -> None:
    corpus = load_corpus(table(kind))
    assert (corpus.texts, corpus.understood) == (TEXTS, "strings in memory: from memory, 9 rows")
    assert load_corpus(table(kind), text_column="2").texts == TEXTS
    with pytest.raises(ConfigError, match=r"^corpus: no column 'no', there are: id, text, n$"):
        load_corpus(table(kind), text_column="no")
    with pytest.raises(TypeError, match=r"^corpus\[0\] is int, not str$"):
        load_corpus(table(kind), text_column="id")
    pairs = kind(["a", "b"], [["one", "two"], [None, "x"], ["three", "four"]])
    corpus = load_corpus(pairs, pairs=True)
    assert (corpus.texts, corpus.partners, corpus.blank) == (["one", "three"], ["two", "four"], 1)
    with pytest.raises(ConfigError, match=r"^corpus: choose with `text_column` among a, b$"):
        load_corpus(pairs)


def test_a_data_set_and_a_stream_of_one() -> None:
    assert load_corpus(Streamed(ROWS)).texts == TEXTS
    assert load_corpus(ROWS).texts == TEXTS
    assert load_corpus(row for row in ROWS).texts == TEXTS
    assert load_corpus(Streamed(ROWS), limit=3).rows == 9
    arrow = pytest.importorskip("pyarrow", reason="needs the parquet extra")
    assert load_corpus(arrow.table({"n": list(range(9)), "text": TEXTS})).texts == TEXTS
    with pytest.raises(TypeError, match=r"^the corpus is dict of 'train', 'test'; give one of them$"):
        load_corpus({"train": ROWS, "test": ROWS})


def test_missing_values_are_counted() -> None:
    corpus = load_corpus(["one", None, math.nan, Na(), "two", ""])
    assert (corpus.texts, corpus.rows, corpus.blank) == (["one", "two"], 6, 4)
    assert corpus.understood == "strings in memory: from memory, 6 rows, 4 empty"


def test_pairs() -> None:
    corpus = load_corpus([("one", "two"), ["three", "four"], None, ("half", None)], pairs=True)
    assert (corpus.texts, corpus.partners, corpus.blank) == (["one", "three"], ["two", "four"], 2)
    with pytest.raises(ConfigError, match=r"^corpus\[1\] is a tuple of 3; with `pairs=True` a row is a tuple of two"):
        load_corpus([("a", "b"), ("a", "b", "c")], pairs=True)


@pytest.mark.parametrize("wrong", [{"a", "b"}, b"bytes", 7])
def test_what_has_no_rows_is_named(wrong: Any) -> None:
    with pytest.raises(TypeError, match=rf"^the corpus is {type(wrong).__name__}, which has no rows; give a list"):
        load_corpus(wrong)
    with pytest.raises(ConfigError, match="`text_column` is for a corpus of columns; this one is of strings"):
        load_corpus(["a", "b"], text_column="text")
