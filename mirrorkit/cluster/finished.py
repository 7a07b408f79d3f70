"""A finished folder of shards as what is loaded elsewhere: its rows with their ids, in batches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from mirrorkit.cluster.folder import Folder
from mirrorkit.cluster.job import EMBEDDING
from mirrorkit.cluster.places import LocalPlace
from mirrorkit.cluster.records import MANIFEST, SUCCESS, MadeBy, Manifest, ShardRecord, from_json
from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.extras import require
from mirrorkit.foreign import foreign
from mirrorkit.formats.files import is_within
from mirrorkit.formats.usage import SIMILARITIES
from mirrorkit.formats.vectors_record import KEY

ID = "id"  # column of the ids where the shards have none
SHARD = "_shard"  # column that says which shard a row is of: what is missing of it can be told, and taken back
_AT_A_TIME = 16  # files that are read and hashed


@dataclass(frozen=True)
class Finished:
    """A folder that has its manifest and `_SUCCESS`."""

    folder: Folder
    manifest: Manifest
    schema: Any  # of a shard, by Arrow
    similarity: str  # one of SIMILARITIES

    @property
    def made_by(self) -> MadeBy:
        return self.manifest.made_by

    @property
    def id_column(self) -> str:
        return self.made_by.id_column or ID

    @property
    def width(self) -> int:
        """Return the numbers in a vector, or its bytes where it is of bits."""
        return int(self.schema.field(EMBEDDING).type.list_size)

    @property
    def loaded_schema(self) -> Any:
        """Return the columns that go into a store: id, those kept, the vector, the shard."""
        arrow = require("pyarrow", extra="parquet")
        fields = [field.remove_metadata() for field in self.schema]
        generated = [] if self.made_by.id_column else [arrow.field(ID, arrow.string())]
        return arrow.schema([*generated, *fields, arrow.field(SHARD, arrow.string())])

    def check(self, records: Sequence[ShardRecord]) -> None:
        """Raise CorpusError where a shard is not what was written, or has other columns than the rest."""
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            for record, why in zip(records, pool.map(self._damage, records), strict=True):
                if why:
                    raise CorpusError(f"{self._named(record.shard.name)}: {why}")

    def batches(self, record: ShardRecord, rows: int) -> Iterator[Any]:
        """Yield the rows of a shard as they are loaded, so many at once."""
        arrow = require("pyarrow", extra="parquet")
        parquet = require("pyarrow.parquet", extra="parquet")
        schema, name, seen = self.loaded_schema, record.shard.name, 0
        with foreign(CorpusError, self._named(name)), self.folder.out.open(name) as file:
            for batch in parquet.ParquetFile(file).iter_batches(batch_size=rows):
                places = range(seen, seen + batch.num_rows)
                seen += batch.num_rows
                ids = [] if self.made_by.id_column else [arrow.array([f"{name}#{i}" for i in places])]
                shard = arrow.array([key_of(record)] * batch.num_rows, arrow.string())
                yield arrow.RecordBatch.from_arrays([*ids, *batch.columns, shard], schema=schema)

    def _damage(self, record: ShardRecord) -> str:
        if why := self.folder.damage(record):
            return f"{why}; encode it anew and finish the folder"
        parquet = require("pyarrow.parquet", extra="parquet")
        with self.folder.out.open(record.shard.name) as file:
            found = parquet.ParquetFile(file)
            if not found.schema_arrow.equals(self.schema):
                return "its columns have other types than those of other shards"
            if self.made_by.id_column:
                groups = (found.metadata.row_group(i) for i in range(found.metadata.num_row_groups))
                counts = [group.column(0).statistics for group in groups]
                if any(each is not None and each.null_count for each in counts):
                    return f"some rows have no {self.made_by.id_column!r}"
        return ""

    def _named(self, name: str) -> str:
        return f"{self.folder.out.shown.rstrip('/')}/{name}"


def key_of(record: ShardRecord) -> str:
    """Return what a row in a store says of its shard: the name, and the content by the beginning of its SHA-256."""
    return f"{record.shard.name}@{record.sha256[:12]}"


def finished(folder: Folder) -> Finished:
    """Return what is in a finished folder. Raises CorpusError where it is not finished or its manifest is wrong."""
    where = folder.out.shown.rstrip("/")
    raw = folder.out.read(MANIFEST)
    if raw is None or folder.out.find(SUCCESS) is None:
        raise CorpusError(
            f"{where}: is no finished folder of shards, as {MANIFEST if raw is None else SUCCESS} is not there"
        )
    manifest: Manifest = from_json(Manifest, raw, f"{where}/{MANIFEST}")
    digest = manifest.made_by.digest
    for record in manifest.shards:
        _check_name(folder, record.shard.name)
        if record.error or record.made_by != digest or len(record.sha256) != 64:
            raise CorpusError(f"{where}/{MANIFEST}: {record.shard.name} is not a finished shard of it")
    if not manifest.shards or sum(record.rows for record in manifest.shards) != manifest.rows:
        raise CorpusError(f"{where}/{MANIFEST}: its counts do not fit")
    schema = _schema(folder, manifest)
    return Finished(folder, manifest, schema, _similarity(schema, f"{where}/{manifest.shards[0].shard.name}"))


def _check_name(folder: Folder, name: str) -> None:
    """Raise CorpusError for a name that leads out of the folder, where a manifest has no say in what is read."""
    out = folder.out
    inside = is_within(out.folder, name) if isinstance(out, LocalPlace) else bool(name) and not name.startswith("/")
    if not inside or ".." in PurePosixPath(name).parts:
        raise CorpusError(f"{out.shown}/{MANIFEST}: names {name!r}, which is not in the folder")


def _schema(folder: Folder, manifest: Manifest) -> Any:
    parquet = require("pyarrow.parquet", extra="parquet")
    name, made_by = manifest.shards[0].shard.name, manifest.made_by
    with foreign(CorpusError, f"{folder.out.shown}/{name}"), folder.out.open(name) as file:
        schema = parquet.ParquetFile(file).schema_arrow
    columns = [*([made_by.id_column] if made_by.id_column else []), *made_by.keep, EMBEDDING]
    if schema.names != columns or not hasattr(schema.field(EMBEDDING).type, "list_size"):
        raise CorpusError(f"{folder.out.shown}/{name}: has the columns {', '.join(schema.names)}, not those on record")
    if SHARD in columns or (not made_by.id_column and ID in columns):
        taken = SHARD if SHARD in columns else ID
        raise ConfigError(
            f"{folder.out.shown}: has a column {taken!r}, a name that is needed; encode it under another one"
        )
    return schema


def _similarity(schema: Any, where: str) -> str:
    try:
        found = json.loads((schema.metadata or {})[KEY])["similarity"]
    except (KeyError, TypeError, ValueError, RecursionError) as err:
        raise CorpusError(f"{where}: its metadata does not say what made these vectors") from err
    if found not in SIMILARITIES:
        raise CorpusError(f"{where}: similarity {found!r} must be one of {', '.join(SIMILARITIES)}")
    return str(found)
