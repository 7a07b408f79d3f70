"""A run over the shards of a plan: which are left to do, what comes of them, and whether all is complete."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from mirrorkit.cluster.engines import Engine
from mirrorkit.cluster.folder import Folder, State
from mirrorkit.cluster.job import Job, Opened, Task, rows_of
from mirrorkit.cluster.plan import Plan
from mirrorkit.cluster.records import Shard, ShardRecord
from mirrorkit.cluster.result import ShardsResult
from mirrorkit.errors import CorpusError, OutputError
from mirrorkit.progress import Progress
from mirrorkit.runtime.encoder import CHUNK

log = logging.getLogger(__name__)

_SHOWN = 10  # faults that are told


@dataclass(frozen=True)
class ShardsRun:
    """A folder of shards, those that there should be, and how they are made."""

    folder: Folder
    plan: Plan
    job: Job
    opened: Opened
    started: float

    def status(self) -> ShardsResult:
        """Return how far the folder is."""
        state = self._state(self.plan.shards)
        return self._result(state, finished=self.folder.is_finished(state, self.opened.made_by))

    def finish(self, *, overwrite: bool) -> ShardsResult:
        """Hold all shards against their records and write the manifest. Raises OutputError where one is not done."""
        self.folder.check_same(self.opened.made_by)
        return self._finished(encoded=0, overwrite=overwrite)

    def encode(
        self, mine: Sequence[Shard], engine: Engine, *, resume: bool, overwrite: bool, progress: Progress
    ) -> ShardsResult:
        """Encode those of `mine` that are left, and finish where that is all there are."""
        whole = len(mine) == len(self.plan.shards)
        tasks = self._left(mine, resume=resume, overwrite=overwrite)
        if whole and not overwrite:  # said now, not after hours of work
            self.folder.check_surplus(self.folder.surplus(self.plan.shards))
        encoded = self._encode(tasks, engine, len(mine), progress) if tasks else 0
        if whole:
            return self._finished(encoded, overwrite=overwrite)
        return self._result(self._state(mine), finished=False, encoded=encoded)

    def _left(self, mine: Sequence[Shard], *, resume: bool, overwrite: bool) -> list[Task]:
        """Return the tasks to do; nothing has been written before. Raises OutputError for what would be lost."""
        if not overwrite:
            self.folder.check_same(self.opened.made_by)
        state = self._state(mine)
        if state.done and not resume and not overwrite:
            raise OutputError(
                f"{self.folder.out.shown}: {len(state.done)} shards are done already; give `resume=True` to go on with "
                "the others, or `overwrite=True`"
            )
        shards = list(mine) if overwrite and not resume else list(state.left)
        if shards:
            self._probe(shards[0])
        digest = self.opened.made_by.digest
        source, out = self.plan.root.address, self.folder.out.address
        return [Task(self.job, source, out, shard, digest, again=overwrite) for shard in shards]

    def _probe(self, shard: Shard) -> None:
        """Read the beginning of a shard, which shows whether it has the columns that are asked for."""
        rows = rows_of(self.job, self.plan.root, shard)
        try:
            rows.types()
            next(rows.blocks(CHUNK), None)
        except CorpusError:
            if not self.job.skip:
                raise

    def _encode(self, tasks: list[Task], engine: Engine, total: int, progress: Progress) -> int:
        """Run the tasks; returns how many rows were encoded. Raises what stopped it, or what could not be written."""
        rows, failures = 0, []
        progress.phase("encoding shards")
        with self._begun() as finished:
            for outcome in engine(tasks):
                if isinstance(outcome, OutputError):
                    failures.append(outcome)
                    continue
                finished.append(outcome)
                rows += outcome.rows
                done = total - len(tasks) + len(finished)
                progress.advance(done, total, f"{rows / (time.perf_counter() - self.started):.0f} texts/s")
        if failures:
            raise OutputError(
                f"{len(failures)} of {len(tasks)} shards could not be written, `resume=True` tries them again: "
                f"{failures[0]}"
            ) from failures[0]
        return rows

    @contextmanager
    def _begun(self) -> Iterator[list[ShardRecord]]:
        """Put on record what makes the shards; yield a list for those that get done."""
        new = self.folder.begin(self.opened.made_by)
        finished: list[ShardRecord] = []
        try:
            yield finished
        except BaseException:
            if finished:
                log.warning("%s: the finished shards are kept; continue with `resume=True`", self.folder.out.shown)
            elif new:
                self.folder.forget()
            raise
        finally:
            self.folder.sweep()

    def _finished(self, encoded: int, *, overwrite: bool) -> ShardsResult:
        surplus = self.folder.surplus(self.plan.shards)
        if overwrite:
            self.folder.clear(surplus)
        else:
            self.folder.check_surplus(surplus)
        state = self._state(self.plan.shards)
        self.folder.finish(state, self.opened.made_by)
        return self._result(state, finished=True, encoded=encoded)

    def _state(self, shards: Sequence[Shard]) -> State:
        return self.folder.state(shards, self.opened.made_by)

    def _result(self, state: State, *, finished: bool, encoded: int = 0) -> ShardsResult:
        made_by = self.opened.made_by
        left_out = [record.error for record in state.failed] + [f for record in state.done for f in record.faults]
        return ShardsResult(
            out=self.folder.out.shown,
            variant=made_by.variant,
            fingerprint=made_by.fingerprint,
            dim=made_by.dim,
            shards=len(state.done) + len(state.left),
            done=len(state.done),
            missing=len(state.missing),
            stale=len(state.stale),
            failed=len(state.failed),
            rows=sum(record.rows for record in state.done),
            skipped=sum(record.skipped for record in state.done),
            bytes=sum(record.bytes for record in state.done),
            encoded=encoded,
            finished=finished,
            seconds=time.perf_counter() - self.started,
            faults=tuple(str(fault) for fault in left_out[:_SHOWN]),
        )
