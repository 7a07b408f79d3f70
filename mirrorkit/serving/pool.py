"""The threads that compute: each takes what is next from the queue, and hands vectors back."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt

from mirrorkit.errors import BundleError
from mirrorkit.runtime.runner import Runner
from mirrorkit.serving.job import Job
from mirrorkit.serving.queue import Batch, Queue, Slice
from mirrorkit.serving.refused import RefusedError
from mirrorkit.serving.served import Tokens
from mirrorkit.text.ragged import Floats, RaggedIds, pad_batch

log = logging.getLogger(__name__)


class Pool:
    """So many threads around one queue. They wait without using the processor when there is nothing to do."""

    def __init__(self, threads: int, ran: Callable[[Batch, float], None] = lambda _batch, _seconds: None) -> None:
        self._queue = Queue()
        self._ran = ran
        self._changed = threading.Condition()
        self._running = 0  # batches
        self._rate = 0.0  # texts a second, of one thread, lately
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._work, name=f"encode-{i}", daemon=True) for i in range(max(1, threads))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Texts that have no vector yet."""
        return self._queue.waiting

    def seconds_left(self) -> int:
        """Return how long what is waiting may take, in whole seconds from 1 to 60."""
        rate = self._rate * len(self._threads)
        return 1 if rate <= 0 else min(60, max(1, math.ceil(self._queue.waiting / rate)))

    def submit(self, job: Job, most: int | None = None) -> bool:
        """Take a job on; False where more than `most` texts would be waiting."""
        with self._changed:
            if most is not None and self._queue.waiting + job.size > most:
                return False
            self._queue.add(job)
            self._changed.notify()
        return True

    def give_up(self, job: Job) -> None:
        """Forget a job that nobody waits for; what of it is running ends, and is thrown away."""
        with self._changed:
            job.over = True
            self._queue.drop(job)

    def stop(self) -> None:
        """End the threads when what they are at is done."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while (task := self._queue.next()) is None:
                    if self._stopped:
                        return
                    self._changed.wait()
                # Nobody else needs the cores: let the graph have them all.
                alone = isinstance(task, Batch) and len(task.rows) == 1 and not self._running
                self._running += 1
                self._changed.notify()  # there may be more to do than this
            try:
                if isinstance(task, Slice):
                    self._tokenise(task)
                else:
                    self._run(task, alone=alone)
            finally:
                with self._changed:
                    self._running -= 1

    def _tokenise(self, task: Slice) -> None:
        texts = [job.call.before + job.texts[row] for job, rows in task.jobs for row in rows]
        try:
            tokens = task.jobs[0][0].served.tokens(texts)
        except Exception as err:  # of whatever library: the request fails, the thread goes on
            self._fail([job for job, _ in task.jobs], err)
            return
        start = 0
        for job, rows in task.jobs:
            end = start + len(rows)
            error = _first_refusal(job, rows, texts[start:end], tokens[start:end])
            with self._changed:
                try:
                    if error is None:
                        self._queue.tokenised(job, rows, tokens[start:end])
                except RefusedError as err:
                    error = err
                self._changed.notify()
            if error is not None:
                self._fail([job], error)
            start = end

    def _run(self, batch: Batch, *, alone: bool) -> None:
        runner = batch.lane.served.encoding.runner
        chosen: Runner = runner if alone or runner.callers == 1 else runner.for_callers()
        began = time.perf_counter()
        try:
            vectors = _vectors(chosen, batch)
        except Exception as err:
            if len({id(job) for job, _ in batch.rows}) > 1:
                self._run_apart(batch)  # one request's fault must not be another's
            else:
                self._fail([batch.rows[0][0]], err)
            return
        seconds = time.perf_counter() - began
        rate = len(batch.rows) / max(seconds, 1e-6)
        self._rate = rate if not self._rate else 0.9 * self._rate + 0.1 * rate
        self._ran(batch, seconds)
        self._deliver(batch, vectors)

    def _run_apart(self, batch: Batch) -> None:
        pairs = list(zip(batch.rows, batch.tokens, strict=True))
        pairs.sort(key=lambda pair: id(pair[0][0]))
        for _, group in groupby(pairs, key=lambda pair: id(pair[0][0])):
            own = list(group)
            self._run(Batch(batch.lane, [row for row, _ in own], [found for _, found in own]), alone=False)

    def _deliver(self, batch: Batch, vectors: Floats) -> None:
        finite: npt.NDArray[np.bool_] = np.asarray(np.isfinite(vectors).all(axis=1))
        places: dict[Job, list[int]] = {}
        for place, (job, _) in enumerate(batch.rows):
            places.setdefault(job, []).append(place)
        bad = []
        for job, own in places.items():
            if not finite[own].all():
                bad.append(job)
            elif not job.over:
                with self._changed:
                    job.prepare()
                job.put([batch.rows[place][1] for place in own], vectors[own])
        if bad:
            self._fail(bad, BundleError(f"{batch.lane.served.id}: a vector holds NaN or infinity"))
        with self._changed:
            done = self._queue.ran(batch.rows)
            for job in done:
                self._queue.drop(job)
        for job in done:
            job.tell()

    def _fail(self, jobs: Sequence[Job], error: Exception) -> None:
        if not isinstance(error, RefusedError):
            log.error("%s", error)
        with self._changed:
            failed = [job for job in jobs if not job.over]
            for job in failed:
                self._queue.drop(job)
                job.fail(error)
        for job in failed:
            job.tell()


def _first_refusal(job: Job, rows: range, texts: Sequence[str], tokens: Sequence[Tokens]) -> RefusedError | None:
    """Return what is wrong with the first text of a request that is too long for it."""
    try:
        for row, text, found in zip(rows, texts, tokens, strict=True):
            if job.over:
                return None
            job.check_length(row, text, found)
    except RefusedError as err:
        return err
    return None


def _vectors(runner: Runner, batch: Batch) -> Floats:
    """Return the vectors of a batch, in its order, as an Encoder would get them."""
    lengths = np.array([len(found) for found in batch.tokens], dtype=np.int64)
    starts = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
    ids = RaggedIds(np.concatenate(batch.tokens), starts)
    pad_id = batch.lane.served.encoding.opened.pad_id
    rows = np.arange(len(lengths), dtype=np.int64)
    return runner.batch(*pad_batch(ids, rows, pad_id, unpooled=batch.lane.unpooled))
