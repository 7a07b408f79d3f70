"""The job of one shard: a function of the shard and of what is asked, whole or not at all, that may be run again.

Whoever calls it, a loop, a job array or an engine, need only call it for each shard until none is missing.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mirrorkit.cluster.addresses import place_of
from mirrorkit.cluster.places import File, Place
from mirrorkit.cluster.records import MadeBy, Shard, ShardRecord, as_json, from_json
from mirrorkit.cluster.rows import Block, Rows
from mirrorkit.errors import BundleError, ConfigError, CorpusError, MirrorkitError, OutputError
from mirrorkit.extras import require
from mirrorkit.foreign import reason
from mirrorkit.formats.vectors_record import KEY
from mirrorkit.runtime.encoder import CHUNK, Encoder
from mirrorkit.runtime.files.parts import of_few_values
from mirrorkit.runtime.files.recording import record_of
from mirrorkit.runtime.output import DTYPES, Array, check_output_type, width_of
from mirrorkit.runtime.tensorrt.options import Tensorrt
from mirrorkit.text.reading import Reading

log = logging.getLogger(__name__)

EMBEDDING = "embedding"  # column of the vectors
_MOST_FAULTS = 20  # that are kept on record of a shard


@dataclass(frozen=True)
class Job:
    """All that is asked for every shard alike; small, and can be sent to another process."""

    bundle: str
    variant: str = "auto"
    device: str | None = None
    threads: int | None = None
    tensorrt: Tensorrt | None = None
    engine: str = "onnxruntime"
    precision: str | None = None
    revision: str | None = None
    expect: str | None = None
    text_column: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    header: bool | None = None
    id_column: str | None = None
    keep: tuple[str, ...] = ()
    prompt: str | None = None
    prompt_name: str | None = None
    normalize: bool | None = None
    truncate_dim: int | None = None
    output_type: str = "float32"
    batch_tokens: int | None = None
    long: str = "cut"  # what becomes of texts of more tokens than the model takes
    skip: bool = False  # whether rows and files that cannot be used are left out and named

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns of the input that are written. Raises ConfigError for one that is named twice."""
        names = (*((self.id_column,) if self.id_column else ()), *self.keep)
        if len(set(names)) < len(names) or EMBEDDING in names:
            raise ConfigError(f"keep {','.join(names)!r}: must name each column once, and none {EMBEDDING!r}")
        return names

    def reading(self) -> Reading:
        """Return how the files are read."""
        columns = (self.text_column,) if self.text_column else None
        return Reading(columns, self.delimiter, self.encoding, self.header, skip_bad=self.skip)


@dataclass(frozen=True)
class Opened:
    """A job's encoder, and what is to be told of it."""

    encoder: Encoder
    made_by: MadeBy
    options: dict[str, Any]  # of each call
    record: str  # what made the vectors, for the metadata of their files


@dataclass(frozen=True)
class Task:
    """One shard to encode; small, and can be sent to another process."""

    job: Job
    source: str  # address of the place of all inputs
    out: str  # address of the folder of shards
    shard: Shard
    made_by: str  # what the encoder must be: a node may have another bundle at that path
    again: bool = False  # whether to encode it though it is done


@functools.lru_cache(maxsize=1)
def opened(job: Job) -> Opened:
    """Return the encoder of a job, opened once in a process. Raises as `Encoder` and `Encoder.encode` do."""
    check_output_type(job.output_type)
    encoder = Encoder(
        job.bundle,
        job.variant,
        job.device,
        job.threads,
        tensorrt=job.tensorrt,
        revision=job.revision,
        engine=job.engine,
        precision=job.precision,
        expect=job.expect,
        long=job.long,
    )
    asked: dict[str, Any] = {
        "prompt": encoder.usage.prompt(job.prompt, job.prompt_name),
        "normalize": job.normalize,
        "truncate_dim": job.truncate_dim,
        "output_type": job.output_type,
    }
    options = {**asked, "batch_tokens": job.batch_tokens}
    encoder.encode(["one", "two"], **options)  # says at once what of it cannot be
    record = record_of(encoder, **asked)
    made_by = MadeBy(
        fingerprint=encoder.fingerprint,
        variant=encoder.variant,
        dim=min(encoder.dim, job.truncate_dim or encoder.dim),
        max_length=encoder.max_length,
        **options,
        id_column=job.id_column,
        keep=job.keep,
        text_column=job.text_column,
        delimiter=job.delimiter,
        encoding=job.encoding,
        header=job.header,
        versions=record.versions,
    )
    return Opened(encoder, made_by, options, record.text())


def rows_of(job: Job, root: Place, shard: Shard) -> Rows:
    """Return the rows of a shard."""
    return Rows(root, shard, job.reading(), job.columns)


def done_already(out: Place, shard: Shard, made_by: str) -> ShardRecord | None:
    """Return the record of a shard that is done: of this input, by this encoder, with its file in place."""
    raw = out.read(shard.record)
    if raw is None:
        return None
    try:
        record: ShardRecord = from_json(ShardRecord, raw, f"{out.shown}/{shard.record}")
    except CorpusError as err:
        log.warning("%s; the shard is encoded anew", err)
        return None
    there = out.find(shard.name) if record.shard == shard and record.made_by == made_by and not record.error else None
    return record if there and there.size == record.bytes else None


def encode_shard(task: Task) -> ShardRecord:
    """Encode one shard and return its record, which is written last: without it nothing counts as done.

    Two workers at one shard write the same file, one after the other. Raises CorpusError where the input cannot be
    read, unless such are skipped; OutputError where the result cannot be written; BundleError for another encoder.
    """
    started = time.perf_counter()
    job, shard = task.job, task.shard
    with_encoder = opened(job)
    if with_encoder.made_by.digest != task.made_by:
        raise BundleError(f"{job.bundle}: is another bundle on this machine than where the job was begun")
    root, out = place_of(task.source), place_of(task.out)
    if not task.again and (record := done_already(out, shard, task.made_by)):
        return record
    try:
        record = _recorded(task, with_encoder, root, out)
        record = replace(record, seconds=round(time.perf_counter() - started, 3))
        with out.publish(shard.record) as file:
            file.write(as_json(record))
        return record
    except OutputError:
        # Another worker may have done it meanwhile, finished the folder and cleared it up.
        with suppress(MirrorkitError):
            if record_of_other := done_already(out, shard, task.made_by):
                return record_of_other
        raise


def _recorded(task: Task, with_encoder: Opened, root: Place, out: Place) -> ShardRecord:
    """Write the vectors of a shard, or find out why there are none, and return its record."""
    try:
        return _written(task, with_encoder, root, out)
    except (CorpusError, ConfigError) as err:
        if not task.job.skip:
            raise
        out.remove(task.shard.name)
        return ShardRecord(task.shard, task.made_by, error=str(err))


def _written(task: Task, with_encoder: Opened, root: Place, out: Place) -> ShardRecord:
    """Write the vectors of a shard and return its record; nothing is there under its name after an error."""
    arrow = require("pyarrow", extra="parquet")
    parquet = require("pyarrow.parquet", extra="parquet")
    shard, made_by = task.shard, with_encoder.made_by
    rows = rows_of(task.job, root, shard)
    schema = _schema(rows, made_by).with_metadata({KEY: with_encoder.record})
    seen = count = 0
    _check_unchanged(root, shard)
    with out.publish(shard.name) as file:
        with _arrows_errors(f"{out.shown}/{shard.name}", arrow), _writer(file, schema, parquet) as writer:
            for block in rows.blocks(CHUNK):
                kept, vectors = _encoded(block, with_encoder, seen, rows)
                seen += len(block.texts)
                count += len(kept.texts)
                if kept.texts:
                    writer.write_table(_table(kept, vectors, schema, arrow))
        _check_unchanged(root, shard)  # half of one content and half of another
        size = file.seek(0, 2)
        digest = _sha256(file)
    faults = tuple(rows.faults[:_MOST_FAULTS])
    return ShardRecord(shard, task.made_by, count, rows.skipped, faults, size, digest)


def _writer(file: Any, schema: Any, parquet: Any) -> Any:
    return parquet.ParquetWriter(file, schema, use_dictionary=of_few_values(schema))


def _schema(rows: Rows, made_by: MadeBy) -> Any:
    arrow = require("pyarrow", extra="parquet")
    width = width_of(made_by.dim, made_by.output_type)
    numbers = arrow.from_numpy_dtype(np.dtype(DTYPES[made_by.output_type]))
    kept = list(zip(rows.kept, rows.types(), strict=True))
    return arrow.schema([*kept, (EMBEDDING, arrow.list_(numbers, width))])


def _table(block: Block, vectors: Array, schema: Any, arrow: Any) -> Any:
    embedding = schema.field(EMBEDDING).type
    column = arrow.FixedSizeListArray.from_arrays(arrow.array(vectors.reshape(-1)), embedding.list_size)
    return arrow.Table.from_arrays([*block.kept.columns, column], schema=schema)


def _encoded(block: Block, with_encoder: Opened, first: int, rows: Rows) -> tuple[Block, Array]:
    """Return the block and its vectors, without rows that have none where such are skipped."""

    def encode(texts: list[str]) -> Array:
        (_, vectors) = next(with_encoder.encoder.blocks(texts, chunk=CHUNK, first=first, **with_encoder.options))
        return vectors

    try:
        return block, encode(block.texts)
    except BundleError:
        if not rows.reading.skip_bad:
            raise
    bad = _without_vectors(block.texts, encode)
    for place in bad:
        named = f", {rows.kept[0]} {block.kept.column(0)[place]}" if rows.kept else ""
        rows.faults.append(f"{rows.named}: row {first + place + 1}{named}: its vector holds NaN or infinity")
    rows.skipped += len(bad)
    left = block.without(bad)
    return left, encode(left.texts) if left.texts else np.empty((0, 0))


def _without_vectors(texts: list[str], encode: Any) -> list[int]:
    """Return the rows that an encoder has no vector for, found by halves: there are few of them or it is broken."""
    try:
        encode(texts)
    except BundleError:
        if len(texts) == 1:
            return [0]
        half = len(texts) // 2
        late = _without_vectors(texts[half:], encode)
        return [*_without_vectors(texts[:half], encode), *(half + place for place in late)]
    return []


@contextmanager
def _arrows_errors(what: str, arrow: Any) -> Iterator[None]:
    try:
        yield
    except arrow.ArrowException as err:
        raise OutputError(f"{what}: cannot be written by pyarrow ({reason(err)})") from err


def _check_unchanged(root: Place, shard: Shard) -> None:
    """Raise CorpusError where the input is no longer what was planned."""
    there = root.find(shard.source)
    if there != File(shard.source, shard.size, shard.changed):
        raise CorpusError(f"{root.shown}/{shard.source}: has changed since this job began; run it again")


def _sha256(file: Any) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
