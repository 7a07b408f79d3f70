"""From a finished folder of shards into a store: what is missing there, and a count at the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mirrorkit.cluster.addresses import place_of
from mirrorkit.cluster.finished import Finished, finished, key_of
from mirrorkit.cluster.folder import Folder
from mirrorkit.cluster.records import MadeBy, ShardRecord
from mirrorkit.cluster.sinks.addresses import sink_of
from mirrorkit.cluster.sinks.sink import Sink
from mirrorkit.errors import OutputError
from mirrorkit.progress import Progress, Silent

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadResult:
    """What a store holds after `load_shards`, counted there.

    >>> from mirrorkit import encode_shards, load_shards
    >>> shards = encode_shards("bundle", "texts/*.jsonl", "vectors", id_column="id")
    >>> result = load_shards("vectors", "faiss:texts.faiss")
    >>> result.to, result.shards, result.rows, result.fingerprint == shards.fingerprint
    ('faiss:texts.faiss', 3, 480, True)
    """

    to: str  # without passwords
    variant: str
    fingerprint: str  # of the encoder, see `Encoder.fingerprint`
    dim: int
    shards: int
    rows: int  # in the store
    loaded: int  # rows that this run loaded
    seconds: float

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return what a person wants to read of it."""
        now = f"{self.loaded:,} of them now" if self.loaded else "all there already"
        return [
            f"{self.to}: {self.rows:,} rows of {self.shards:,} shards, {now}",
            f"{self.dim} dimensions, {self.variant}, encoder {self.fingerprint[:12]}",
        ]


def load_shards(
    folder: str | Path, to: str, *, overwrite: bool = False, progress: Progress | None = None
) -> LoadResult:
    """Load a finished folder of shards, as `encode_shards` leaves it, into a vector store.

    `to` is `lancedb://PATH/TABLE`, `faiss:FILE`, `qdrant:PATH#COLLECTION` (embedded) or `qdrant:URL#COLLECTION`, or
    `postgresql://…#TABLE` (with pgvector). The columns are those of the shards: ids, the columns kept, `embedding`; and
    `_shard`, which says what a row is of. Without an id column `id` is the name of the shard, `#` and the row in it
    from 0. Qdrant and PostgreSQL need ids that occur once. Rows are read and sent in batches of some megabytes; faiss
    has all vectors in memory and writes `FILE` and `FILE.rows.parquet`, row i of which is vector i.

    Only what is missing is loaded, a shard at a time: a second run adds nothing, one after a stopped run goes on, and
    one after the folder has grown adds the new shards. What made the vectors is kept in the store. Vectors made
    otherwise, or of shards that are no longer in the folder, are refused unless `overwrite`, which loads all anew;
    what something else wrote is never replaced. At the end the rows of each shard are counted in the store.

    Raises CorpusError where the folder is not finished or a shard is damaged, ConfigError for an address, type of
    vectors or column that cannot be, OutputError where the store cannot be reached or holds something else,
    MissingExtraError without the library of the store.

    >>> from mirrorkit import encode_shards, load_shards
    >>> encode_shards("bundle", "texts/*.jsonl", "vectors", id_column="id").complete
    True
    >>> load_shards("vectors", "faiss:texts.faiss").loaded
    480
    >>> load_shards("vectors", "faiss:texts.faiss").loaded
    0
    """
    started = time.perf_counter()
    sink = sink_of(to)
    what = finished(Folder(place_of(folder)))
    sink.check(what)
    try:
        loaded = _load(what, sink, overwrite=overwrite, progress=progress or Silent())
    finally:
        sink.close()
    made_by = what.made_by
    return LoadResult(
        to=sink.shown,
        variant=made_by.variant,
        fingerprint=made_by.fingerprint,
        dim=made_by.dim,
        shards=len(what.manifest.shards),
        rows=what.manifest.rows,
        loaded=loaded,
        seconds=time.perf_counter() - started,
    )


def _load(what: Finished, sink: Sink, *, overwrite: bool, progress: Progress) -> int:
    """Load what is missing, once all is checked, and count; returns how many rows were loaded."""
    there = sink.found()
    if there is not None and not overwrite:
        _check_same(there, what, sink)
    counts = sink.counts() if there is not None and not overwrite else {}
    _check_surplus(counts, what, sink)
    shards = what.manifest.shards
    todo = [record for record in shards if counts.get(key_of(record), 0) != record.rows]
    if there is not None and not todo and not overwrite:
        return 0
    anew = there is None or overwrite or sink.whole
    if anew:
        todo, counts = list(shards), {}
    progress.phase("checking shards")
    what.check(todo)
    if anew:
        sink.begin(what, replace=there is not None)
    loaded = _add(todo, counts, what, sink, progress)
    sink.finish(what)
    _check_counts(what, sink)
    return loaded


def _add(todo: Sequence[ShardRecord], counts: Mapping[str, int], what: Finished, sink: Sink, progress: Progress) -> int:
    loaded = 0
    progress.phase("loading shards")
    try:
        for number, record in enumerate(todo, 1):
            sink.add(what, record, again=bool(counts.get(key_of(record))))
            loaded += record.rows
            progress.advance(number, len(todo), f"{loaded:,} rows")
    except BaseException:
        if loaded and not sink.whole:
            log.warning("%s: what has been loaded is kept; the same call goes on", sink.shown)
        raise
    return loaded


def _check_same(there: MadeBy, what: Finished, sink: Sink) -> None:
    if there.digest != what.made_by.digest:
        raise OutputError(
            f"{sink.shown}: its vectors have {there.differs(what.made_by)}; vectors of two kinds must not be mixed, so "
            "give another name or `overwrite=True`"
        )


def _check_surplus(counts: Mapping[str, int], what: Finished, sink: Sink) -> None:
    """Raise OutputError where rows are there of shards that the folder does not have, or no longer so."""
    if surplus := sorted(set(counts) - {key_of(record) for record in what.manifest.shards}):
        raise OutputError(
            f"{sink.shown}: holds rows of {len(surplus)} shards that are not in the folder, or were others, such as "
            f"{surplus[0].rpartition('@')[0]}; give another name or `overwrite=True`"
        )


def _check_counts(what: Finished, sink: Sink) -> None:
    """Raise OutputError unless every row is in the store once, and the store says what made them."""
    there, counts = sink.found(), sink.counts()
    if there is None or there.digest != what.made_by.digest:
        raise OutputError(f"{sink.shown}: something else has written to it meanwhile")
    _check_surplus(counts, what, sink)
    for record in what.manifest.shards:
        if (count := counts.get(key_of(record), 0)) != record.rows:
            raise OutputError(
                f"{sink.shown}: holds {count:,} rows of {record.shard.name}, which has {record.rows:,}: ids occur more "
                "than once, or something else writes to it"
            )
