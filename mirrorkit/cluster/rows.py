"""The rows of a shard, block by block: the texts, and the columns that are kept, as Arrow has them.

A parquet file's columns keep their types. What comes from csv, tsv and JSON is a string, so that a column has one type
in all shards, whoever reads them: no worker sees more than its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from mirrorkit.cluster.places import Place
from mirrorkit.cluster.plan import PARQUET
from mirrorkit.cluster.records import Shard
from mirrorkit.errors import CorpusError
from mirrorkit.extras import require
from mirrorkit.foreign import foreign
from mirrorkit.text.columns import place_of
from mirrorkit.text.opened import kind_by_name
from mirrorkit.text.readers import TextSource
from mirrorkit.text.reading import Reading, text_columns
from mirrorkit.text.rows import HEAD_ROWS
from mirrorkit.text.strings import replace_surrogates


@dataclass(frozen=True)
class Block:
    """Rows that follow one another."""

    texts: list[str]
    kept: Any  # an Arrow table of the columns that are kept

    def without(self, places: Iterable[int]) -> Block:
        """Return the block without these rows."""
        gone = set(places)
        left = [i for i in range(len(self.texts)) if i not in gone]
        return Block([self.texts[i] for i in left], self.kept.take(left) if self.kept.num_columns else self.kept)


@dataclass
class Rows:
    """The rows of a shard; what was left out is counted and named while they are read."""

    root: Place
    shard: Shard
    reading: Reading
    kept: tuple[str, ...]  # names of columns
    skipped: int = 0
    faults: list[str] = field(default_factory=list)

    def types(self) -> list[Any]:
        """Return the Arrow type of each column that is kept. Raises as `blocks` does."""
        arrow = require("pyarrow", extra="parquet")
        if not self._is_parquet:
            return [arrow.string()] * len(self.kept)
        with foreign(CorpusError, f"{self.named}: cannot be read"), self._table() as table:
            names = table.schema_arrow.names
            return [table.schema_arrow.field(place_of(name, names, len(names), self.named)).type for name in self.kept]

    def blocks(self, size: int) -> Iterator[Block]:
        """Yield the rows, `size` at a time. Raises CorpusError where they cannot be read, ConfigError for columns."""
        yield from self._parquet(size) if self._is_parquet else self._text(size)

    @property
    def _is_parquet(self) -> bool:
        return kind_by_name(self.shard.source) == PARQUET

    @property
    def named(self) -> str:
        """Return what messages call the file."""
        return f"{self.root.shown.rstrip('/')}/{self.shard.source}"

    def _text(self, size: int) -> Iterator[Block]:
        arrow = require("pyarrow", extra="parquet")
        with self.root.local(self.shard.source) as file:
            source = TextSource(str(file), self.reading, also=self.kept, label=self.named)
            records = source.records()
            while rows := list(islice(records, size)):
                texts, *kept = zip(*rows, strict=True)
                columns = [arrow.array(map(_encodable, column), arrow.string()) for column in kept]
                yield Block(list(texts), arrow.table(columns, names=list(self.kept)))
            self.skipped += source.bad
            self.faults += source.faults

    def _parquet(self, size: int) -> Iterator[Block]:
        with foreign(CorpusError, f"{self.named}: cannot be read"), self._table() as table:
            text, kept = self._columns(table)
            batches = table.iter_batches(
                batch_size=size,
                row_groups=None if self.shard.groups is None else list(self.shard.groups),
                columns=list(dict.fromkeys([text, *kept])),
                use_threads=False,  # arrow waits for ever for threads that there is no memory to start
            )
            yield from _even((self._block(batch, text, kept) for batch in batches), size)

    @contextmanager
    def _table(self) -> Iterator[Any]:
        parquet = require("pyarrow.parquet", extra="parquet")
        with self.root.open(self.shard.source) as file, parquet.ParquetFile(file) as table:
            yield table

    def _columns(self, table: Any) -> tuple[str, list[str]]:
        """Return the column of the texts and those that are kept."""
        names = table.schema_arrow.names
        if len(set(names)) < len(names):
            raise CorpusError(f"{self.named}: two of its columns have one name")
        head = next(table.iter_batches(batch_size=HEAD_ROWS, use_threads=False), None)
        rows = list(zip(*(map(_shown, column.to_pylist()) for column in head.columns), strict=True)) if head else []
        (place,) = text_columns(self.reading, 1, names, rows, len(names), self.named)
        return names[place], [names[place_of(name, names, len(names), self.named)] for name in self.kept]

    def _block(self, batch: Any, text: str, kept: Sequence[str]) -> Block:
        texts = batch.column(text).to_pylist()
        if not all(isinstance(value, (str, type(None))) for value in texts):
            raise CorpusError(f"{self.named}: column {text} is not of strings")
        arrow = require("pyarrow", extra="parquet")
        columns = arrow.table([batch.column(name) for name in kept], names=list(self.kept))
        return Block([value or "" for value in texts], columns)


def _even(blocks: Iterator[Block], size: int) -> Iterator[Block]:
    """Yield the rows in blocks of `size`, wherever the file's own pages end: vectors depend on it in the last bit."""
    arrow = require("pyarrow", extra="parquet")
    texts: list[str] = []
    kept: list[Any] = []
    for block in blocks:
        texts += block.texts
        kept.append(block.kept)
        while len(texts) >= size:
            whole = arrow.concat_tables(kept)
            yield Block(texts[:size], whole.slice(0, size))
            texts, kept = texts[size:], [whole.slice(size)]
    if texts:
        yield Block(texts, arrow.concat_tables(kept))


def _encodable(value: str | None) -> str | None:
    return value and replace_surrogates(value)


def _shown(value: object) -> str:
    """Return a value as a cell of a table that is to be judged by its strings."""
    return value if isinstance(value, str) else "" if value is None else "0"
