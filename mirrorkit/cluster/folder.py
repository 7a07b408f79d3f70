"""The folder of shards as a whole: what made it, how far it is, and its manifest once it is complete."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mirrorkit.cluster.places import SCRATCH, LocalPlace, Place
from mirrorkit.cluster.records import (
    MADE_BY,
    MANIFEST,
    SHARDS,
    SUCCESS,
    MadeBy,
    Manifest,
    Shard,
    ShardRecord,
    as_json,
    from_json,
)
from mirrorkit.errors import CorpusError, OutputError
from mirrorkit.extras import require
from mirrorkit.foreign import foreign
from mirrorkit.publish import sweep
from mirrorkit.publish.targets import check_links, told

log = logging.getLogger(__name__)

_AT_A_TIME = 16  # small files that are read, or large ones that are hashed


@dataclass(frozen=True)
class State:
    """How far a folder of shards is."""

    done: tuple[ShardRecord, ...]
    failed: tuple[ShardRecord, ...]  # whose input could not be read
    missing: tuple[Shard, ...]
    stale: tuple[Shard, ...]  # of an input that has changed, or made by another encoder

    @property
    def left(self) -> tuple[Shard, ...]:
        """Return the shards that are still to be encoded."""
        return tuple(sorted((*self.missing, *self.stale, *(r.shard for r in self.failed)), key=lambda s: s.name))


class Folder:
    """A folder of shards at a place."""

    def __init__(self, out: Place) -> None:
        self.out = out

    def check_target(self) -> None:
        """Raise OutputError where the folder holds what is not ours, or is no folder."""
        if isinstance(self.out, LocalPlace):
            with told(self.out.folder):
                check_links(self.out.folder)
                if self.out.folder.is_symlink() or (self.out.folder.exists() and not self.out.folder.is_dir()):
                    raise OutputError(f"{self.out.shown}: is a file or a link; give a folder")
                if not self.out.folder.is_dir():
                    return
        if self.out.read(MADE_BY) is None and (other := next(iter(self.out.files()), None)):
            raise OutputError(f"{self.out.shown}: holds {other.name}, which is not of this job; give another folder")

    def made_by(self) -> MadeBy | None:
        """Return what makes the shards here; None where nothing does."""
        raw = self.out.read(MADE_BY)
        return None if raw is None else from_json(MadeBy, raw, f"{self.out.shown}/{MADE_BY}")

    def check_same(self, made_by: MadeBy) -> None:
        """Raise OutputError where something else made the shards here."""
        there = self.made_by()
        if there is not None and there.digest != made_by.digest:
            raise OutputError(
                f"{self.out.shown}: its shards have {there.differs(made_by)}; vectors of two kinds must not be mixed, "
                "so give another folder or `overwrite=True`"
            )

    def begin(self, made_by: MadeBy) -> bool:
        """Put on record what makes the shards; returns whether that was new."""
        there = self.made_by()
        self.unfinish()
        self.sweep()
        if there is not None and there.digest == made_by.digest:
            return False
        self._write(MADE_BY, as_json(made_by))
        self.check_same(made_by)  # of two that begin at once one is late
        return there is None

    def forget(self) -> None:
        """Remove what `begin` wrote, where nothing has come of it: after bad input the folder is as it was."""
        if next(iter(self.out.files(SHARDS)), None) is None:
            self.out.remove(MADE_BY)
        self.sweep()
        if isinstance(self.out, LocalPlace):
            for folder in (self.out.folder / SHARDS, self.out.folder):
                _remove_empty(folder)

    def sweep(self) -> None:
        """Remove what killed processes left half-written."""
        if isinstance(self.out, LocalPlace):
            sweep(self.out.folder / SCRATCH)

    def state(self, shards: Sequence[Shard], made_by: MadeBy) -> State:
        """Return how far the folder is with these shards."""
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            found = list(pool.map(self._found, shards))
        done: list[ShardRecord] = []
        failed: list[ShardRecord] = []
        missing: list[Shard] = []
        stale: list[Shard] = []
        for shard, record in zip(shards, found, strict=True):
            if record is None:
                missing.append(shard)
            elif record.shard != shard or record.made_by != made_by.digest:
                stale.append(shard)
            else:
                (failed if record.error is not None else done).append(record)
        return State(tuple(done), tuple(failed), tuple(missing), tuple(stale))

    def surplus(self, shards: Iterable[Shard]) -> list[str]:
        """Return the names of vectors here that are of none of these shards, which are all that there are."""
        there = {file.name for file in self.out.files()}
        there |= {file.name[len(SHARDS) + 1 :].removesuffix(".json") for file in self.out.files(SHARDS)}
        return sorted(there - {shard.name for shard in shards})

    def clear(self, surplus: Iterable[str]) -> None:
        """Remove vectors whose input is no more."""
        for name in surplus:
            self.out.remove(Shard(name, "", 0, "").record)
            self.out.remove(name)

    def finish(self, state: State, made_by: MadeBy) -> Manifest:
        """Hold every shard against its record, write the manifest and, where all inputs were read, `_SUCCESS`.

        Raises OutputError where shards are missing, stale or damaged; the damaged ones count as missing then.
        """
        self._check_complete(state)
        manifest = _manifest(state, made_by)
        if self._has(manifest):
            return manifest
        self.unfinish()
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            found = list(pool.map(self.damage, state.done))
        if damaged := [(record, why) for record, why in zip(state.done, found, strict=True) if why]:
            for record, _ in damaged:
                self.out.remove(record.shard.record)
            (first, why), more = damaged[0], f", and {len(damaged) - 1} more" if len(damaged) > 1 else ""
            raise OutputError(f"{self._named(first.shard.name)}: {why}{more}; `resume=True` encodes it anew")
        self._write(MANIFEST, as_json(manifest))
        if not manifest.failed:
            self._write(SUCCESS, f"{manifest.rows} rows in {len(manifest.shards)} shards\n".encode())
        self.sweep()
        return manifest

    def unfinish(self) -> None:
        """Take back that the folder is complete."""
        self.out.remove(SUCCESS)
        self.out.remove(MANIFEST)

    def _found(self, shard: Shard) -> ShardRecord | None:
        """Return the record of a shard whose file is as long as the record says; None for any other."""
        raw = self.out.read(shard.record)
        if raw is None:
            return None
        try:
            record: ShardRecord = from_json(ShardRecord, raw, self._named(shard.record))
        except CorpusError as err:
            log.warning("%s; its shard counts as missing", err)
            return None
        if record.error is None and ((there := self.out.find(shard.name)) is None or there.size != record.bytes):
            return None
        return record

    def _check_complete(self, state: State) -> None:
        where = self.out.shown
        if state.missing or state.stale:
            first = (*state.missing, *state.stale)[0].name
            raise OutputError(
                f"{where}: {len(state.missing)} shards are missing and {len(state.stale)} stale, such as {first}; "
                "`resume=True` encodes them"
            )

    def check_surplus(self, surplus: Sequence[str]) -> None:
        """Raise OutputError where there are vectors of no input: readers would take them for some."""
        if surplus:
            raise OutputError(
                f"{self.out.shown}: {len(surplus)} files are of no input that is there, such as {surplus[0]}; remove "
                "them, or give `overwrite=True`"
            )

    def is_finished(self, state: State, made_by: MadeBy) -> bool:
        """Tell whether the manifest of these shards has been written, after all had been held against it."""
        return not state.missing and not state.stale and self._has(_manifest(state, made_by))

    def _has(self, manifest: Manifest) -> bool:
        complete = manifest.failed or self.out.find(SUCCESS) is not None
        return bool(complete) and self.out.read(MANIFEST) == as_json(manifest)

    def damage(self, record: ShardRecord) -> str:
        """Return what is wrong with the vectors of a shard; nothing where they are what was written."""
        parquet = require("pyarrow.parquet", extra="parquet")
        digest = hashlib.sha256()
        with foreign(OutputError, self._named(record.shard.name)), self.out.open(record.shard.name) as file:
            while block := file.read(1 << 22):
                digest.update(block)
            if digest.hexdigest() != record.sha256:
                return "is not what was written, by its sha256"
            file.seek(0)
            rows = parquet.ParquetFile(file).metadata.num_rows
        return "" if rows == record.rows else f"has {rows} rows, {record.rows} on record"

    def _write(self, name: str, content: bytes) -> None:
        with self.out.publish(name) as file:
            file.write(content)

    def _named(self, name: str) -> str:
        return f"{self.out.shown.rstrip('/')}/{name}"


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _manifest(state: State, made_by: MadeBy) -> Manifest:
    records = sorted((*state.done, *state.failed), key=lambda record: record.shard.name)
    return Manifest(
        made_by=made_by,
        rows=sum(record.rows for record in records),
        skipped=sum(record.skipped for record in records),
        bytes=sum(record.bytes for record in records),
        failed=len(state.failed),
        shards=tuple(records),
    )
