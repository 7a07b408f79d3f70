"""LanceDB: a table in a folder. Each shard is one commit, so that it is there whole or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from mirrorkit.cluster.finished import SHARD, Finished, key_of
from mirrorkit.cluster.places import is_remote
from mirrorkit.cluster.records import MadeBy, ShardRecord
from mirrorkit.cluster.sinks.sink import Sink, check_name, rows_at_once
from mirrorkit.errors import ConfigError, OutputError
from mirrorkit.extras import require
from mirrorkit.formats.vectors_record import KEY
from mirrorkit.paths import local_path
from mirrorkit.publish.targets import check_links

_NUMBERS = 1 << 21  # in a batch


class Lance(Sink):
    """A table of a LanceDB on this machine; what made its vectors is in the metadata of its schema."""

    takes = ("float32", "float16", "ubinary")

    def __init__(self, address: str) -> None:
        path, slash, name = address.rpartition("/")
        self.shown = f"lancedb://{address}"
        if not slash or not path:
            raise ConfigError(f"to {self.shown!r}: must be lancedb://PATH/TABLE")
        if is_remote(path):
            raise ConfigError(f"to {self.shown!r}: PATH must be a folder of this machine")
        self._name = check_name(name, self.shown, "the table")
        self._folder = local_path(path)
        self._lancedb = require("lancedb", extra="lancedb")
        self._table: Any = None

    def found(self) -> MadeBy | None:
        with self.told():
            check_links(self._folder)
            if self._folder.exists() and not self._folder.is_dir():
                raise OutputError(f"{self.shown}: {self._folder} is not a folder")
            if not (self._folder / f"{self._name}.lance").exists():  # connecting would make the folder
                return None
            self._table = self._lancedb.connect(self._folder).open_table(self._name)
            return self.read_mark((self._table.schema.metadata or {}).get(KEY, b"").decode("utf-8", "replace"))

    def counts(self) -> Mapping[str, int]:
        found: Counter[str] = Counter()
        with self.told():
            for batch in self._table.search().select([SHARD]).to_batches():
                for each in batch.column(SHARD).value_counts():
                    found[each["values"].as_py()] += each["counts"].as_py()
        return found

    def begin(self, what: Finished, *, replace: bool) -> None:
        schema = what.loaded_schema.with_metadata({KEY: self.mark(what)})
        with self.told():
            base = self._lancedb.connect(self._folder)
            self._table = base.create_table(self._name, schema=schema, mode="overwrite" if replace else "create")

    def add(self, what: Finished, record: ShardRecord, *, again: bool) -> None:
        arrow = require("pyarrow", extra="parquet")
        batches = what.batches(record, rows_at_once(what, _NUMBERS))
        with self.told():
            if again:
                self._table.delete(f"{SHARD} = '{key_of(record).replace(chr(39), chr(39) * 2)}'")
            self._table.add(arrow.RecordBatchReader.from_batches(what.loaded_schema, batches))
