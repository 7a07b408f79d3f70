"""faiss: an exact index in a file, and beside it the other columns; vector i of the one is row i of the other."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mirrorkit.cluster.finished import SHARD, Finished
from mirrorkit.cluster.job import EMBEDDING
from mirrorkit.cluster.records import MadeBy, ShardRecord
from mirrorkit.cluster.sinks.sink import Sink, rows_at_once, vectors_of
from mirrorkit.errors import ConfigError, OutputError
from mirrorkit.extras import require
from mirrorkit.formats.files import sha256_of
from mirrorkit.formats.vectors_record import KEY
from mirrorkit.paths import local_path, size_of
from mirrorkit.publish import check_file_target, check_space, publish_file
from mirrorkit.publish.targets import told

_NUMBERS = 1 << 21  # in a batch
_BESIDE = ".rows.parquet"
_UNIT = 1e-3  # how far a length may be from 1 that float16 has rounded
_METRICS = {"cosine": "INNER_PRODUCT", "dot": "INNER_PRODUCT", "euclidean": "L2", "manhattan": "L1"}


class FaissFile(Sink):
    """A file of faiss. It is written whole at the end; faiss itself has all vectors in memory."""

    takes = ("float32", "float16", "ubinary")
    whole = True

    def __init__(self, path: str) -> None:
        self.shown = f"faiss:{path}"
        self._faiss = require("faiss", extra="search")
        self._file = local_path(path)
        if path.endswith("/") or not self._file.name:
            raise ConfigError(f"to {self.shown!r}: must be faiss:FILE")
        self._rows = self._file.with_name(self._file.name + _BESIDE)
        self._index: Any = None
        self._replace = False

    def found(self) -> MadeBy | None:
        for file in (self._file, self._rows):
            check_file_target(file, overwrite=True)
        made_by = self._made_by() if self._rows.exists() else None  # alone it is what a killed run has left
        if not self._file.exists():
            return None
        if made_by is None:
            raise self._of_others(self._file)
        return made_by

    def counts(self) -> Mapping[str, int]:
        parquet = require("pyarrow.parquet", extra="parquet")
        found: Counter[str] = Counter()
        with self.told():
            for batch in parquet.ParquetFile(self._rows).iter_batches(columns=[SHARD]):
                for each in batch.column(0).value_counts():
                    found[each["values"].as_py()] += each["counts"].as_py()
        return found

    def begin(self, what: Finished, *, replace: bool) -> None:
        faiss, self._replace = self._faiss, replace
        check_space(self._file, what.manifest.bytes)
        if what.made_by.output_type == "ubinary":
            self._index = faiss.IndexBinaryFlat(8 * what.width)
        else:
            self._index = faiss.IndexFlat(what.width, getattr(faiss, f"METRIC_{_METRICS[what.similarity]}"))

    def add(self, what: Finished, record: ShardRecord, *, again: bool) -> None:  # noqa: ARG002  (it is always begun anew)
        with self.told():
            for batch in what.batches(record, rows_at_once(what, _NUMBERS)):
                vectors = vectors_of(batch, what.width)
                if what.made_by.output_type != "ubinary":
                    vectors = vectors.astype(np.float32)
                    if what.similarity == "cosine":
                        vectors = _of_unit_length(vectors)
                self._index.add(vectors)

    def finish(self, what: Finished) -> None:
        """Write both files; the index comes last, and is not there while the rows are of another one."""
        faiss = self._faiss
        write = faiss.write_index_binary if what.made_by.output_type == "ubinary" else faiss.write_index
        with publish_file(self._file, overwrite=False) as file:
            with self.told():
                write(self._index, faiss.PyCallbackIOWriter(file.write))
            file.flush()
            digest = sha256_of(Path(file.name))
            if self._replace:
                with told(self._file):
                    self._file.unlink(missing_ok=True)
            self._write_rows(what, digest)

    def _write_rows(self, what: Finished, digest: str) -> None:
        parquet = require("pyarrow.parquet", extra="parquet")
        arrow = require("pyarrow", extra="parquet")
        about = json.dumps({"index_sha256": digest, "made_by": self.mark(what)})
        schema = arrow.schema([field for field in what.loaded_schema if field.name != EMBEDDING], {KEY: about})
        with (
            publish_file(self._rows, overwrite=True) as file,
            self.told(),
            parquet.ParquetWriter(file, schema) as writer,
        ):
            for record in what.manifest.shards:
                for batch in what.batches(record, rows_at_once(what, _NUMBERS)):
                    columns = batch.drop_columns([EMBEDDING]).columns
                    writer.write_batch(arrow.RecordBatch.from_arrays(columns, schema=schema))

    def _made_by(self) -> MadeBy:
        """Return what the rows say. Raises OutputError where they are not ours, or of another index."""
        parquet = require("pyarrow.parquet", extra="parquet")
        try:
            size_of(self._rows)
            about = json.loads((parquet.read_schema(self._rows).metadata or {})[KEY])
            digest, mark = about["index_sha256"], about["made_by"]
            if self._file.exists() and sha256_of(self._file) != digest:
                raise OutputError(f"{self.shown}: is not the index that {self._rows.name} was written for; remove both")
            made_by = self.read_mark(mark)
        except OutputError:
            raise
        except Exception as err:  # of Arrow, of JSON, of the disk
            raise self._of_others(self._rows) from err
        return made_by

    def _of_others(self, file: Path) -> OutputError:
        return OutputError(f"{self.shown}: {file} is there, and mirrorkit did not write it; give another name")


def _of_unit_length(vectors: Any) -> Any:
    """Return the vectors with a length of one, of which the inner product is the cosine; those that have it as is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where((np.abs(lengths - 1) > _UNIT) & (lengths > 0), vectors / np.maximum(lengths, 1e-30), vectors)
