"""Ragged traffic on the server's own queue, in simulated time, under several ways to fill a batch."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from mirrorkit.errors import ConfigError
from mirrorkit.serving import queue as queues
from mirrorkit.serving.job import Job
from mirrorkit.serving.queue import Batch, Entry, Queue, Slice

TOKENISE = 30e-6  # seconds a text, about
# Of the requests: shares of one sentence, one document, 2 to 16 sentences, 2 to 16 texts of both kinds.
MIXES = {"mixed": (0.6, 0.2, 0.1, 0.1), "sentences": (0.8, 0.0, 0.2, 0.0)}
Together = Callable[[Sequence[Entry], int, int, "int | None"], tuple[int, int]]


@dataclass(frozen=True)
class Arrival:
    """A request: when it comes, whose it is, and the tokens of its texts."""

    seconds: float
    client: str
    lengths: tuple[int, ...]


@dataclass(frozen=True)
class Cost:
    """Seconds of a pass: of the pass itself, of a token, and of a token times the tokens that it attends to."""

    a_pass: float
    a_token: float
    a_square: float

    def __call__(self, rows: int, width: int) -> float:
        return self.a_pass + rows * width * (self.a_token + width * self.a_square)


@dataclass(frozen=True)
class Replay:
    """What came of some traffic under a policy."""

    batches: tuple[tuple[int, int], ...]  # rows and width of each pass
    tokens: int  # without padding
    latencies: tuple[float, ...]  # seconds from a request's arrival to its last vector

    @property
    def padding(self) -> float:
        """Share of the computed tokens that are padding."""
        return 1 - self.tokens / sum(rows * width for rows, width in self.batches)


class InArrivalOrder(Queue):
    """Fills a batch with the texts that have waited longest, whatever their lengths: what a plain batcher does."""

    def _put_ready(self, job: Job, row: int, _tokens: Any) -> None:
        job.ready[row] = (0, next(self._serial))
        self._stock.setdefault(job.lane, []).append((*job.ready[row], job, row))

    def _batch(self, job: Job) -> Batch:
        stock = self._stock[job.lane]
        wanted = next(iter(job.ready.values()))
        stock.sort(key=lambda entry: (entry[:2] != wanted, entry[1]))
        taken, longest = 0, 0
        for _, _, owner, row in stock:
            longest = max(longest, _length(owner, row))
            if taken and longest * (taken + 1) > queues.CPU_TURN_TOKENS:
                break
            taken += 1
        chosen, self._stock[job.lane] = stock[:taken], stock[taken:]
        for _, _, owner, row in chosen:
            del owner.ready[row]
        rows = [(owner, row) for _, _, owner, row in chosen]
        return Batch(job.lane, rows, [owner.tokens[row] for owner, row in rows])  # type: ignore[misc]


def _length(job: Job, row: int) -> int:
    found = job.tokens[row]
    assert found is not None  # a text that is ready has tokens
    return len(found)


def in_buckets(bounds: Sequence[int]) -> Together:
    """Return a way to fill a batch with texts of one bucket of lengths, up to the budget; padded to the longest."""

    def together(stock: Sequence[Entry], first: int, budget: int, _most: int | None = None) -> tuple[int, int]:
        own = np.searchsorted(bounds, stock[first][0])
        low, high = first, first + 1
        while low > 0 and np.searchsorted(bounds, stock[low - 1][0]) == own:
            if stock[high - 1][0] * (high - low + 1) > budget:
                return low, high
            low -= 1
        while high < len(stock) and np.searchsorted(bounds, stock[high][0]) == own:
            if stock[high][0] * (high - low + 1) > budget:
                break
            high += 1
        return low, high

    return together


def alone(_stock: Sequence[Entry], first: int, _budget: int, _most: int | None = None) -> tuple[int, int]:
    """One text a pass."""
    return first, first + 1


@contextmanager
def policy(name: str) -> Iterator[type[Queue]]:
    """Give the queue of a policy: `now`, `alone`, `arrival`, `buckets`, or `pad-N`: as now, N tokens of padding."""
    module: Any = queues  # whose own names are put aside for a while
    kept, cost = module.together, module.PASS_COST
    try:
        if name == "alone":
            module.together = alone
        elif name == "buckets":
            module.together = in_buckets((16, 32, 64, 128, 256))
        elif name.startswith("pad-"):
            module.PASS_COST = int(name[4:])
        elif name not in ("now", "arrival"):
            raise ConfigError(f"policy {name!r}: must be now, alone, arrival, buckets or pad-N")
        yield InArrivalOrder if name == "arrival" else Queue
    finally:
        module.together, module.PASS_COST = kept, cost


def traffic(
    sentences: Sequence[int], documents: Sequence[int], mix: str, requests: int, rate: float, seed: int
) -> list[Arrival]:
    """Return requests of a mix of `MIXES` by eight clients, at random times, `rate` texts a second on the whole."""
    rng = random.Random(seed)
    both = (*sentences, *documents)
    pools = ((sentences, False), (documents, False), (sentences, True), (both, True))
    drawn: list[tuple[int, ...]] = []
    for some, several in rng.choices(pools, MIXES[mix], k=requests):
        drawn.append(tuple(rng.choices(some, k=rng.randint(2, 16) if several else 1)))
    gap = sum(map(len, drawn)) / requests / rate
    now, found = 0.0, []
    for lengths in drawn:
        now += rng.expovariate(1 / gap)
        found.append(Arrival(now, f"client {rng.randrange(8)}", lengths))
    return found


def replay(arrivals: Sequence[Arrival], served: Any, queue: Queue, cost: Cost, threads: int) -> Replay:
    """Let `threads` threads work on the queue in simulated time."""
    call = served.call()
    serial = count()
    events: list[tuple[float, int, Any]] = []  # when, serial number, what is done then
    batches: list[tuple[int, int]] = []
    latencies: list[float] = []
    came: dict[Job, float] = {}
    for one in arrivals:
        heapq.heappush(events, (one.seconds, next(serial), one))
    free, now = threads, 0.0
    while events:
        now, _, event = heapq.heappop(events)
        if isinstance(event, Arrival):
            ids = [np.ones(length, dtype=np.int32) for length in event.lengths]
            job = Job(served, call, ["x" * len(i) for i in ids], lambda: None, client=event.client)
            came[job] = now
            queue.add(job)
        else:
            free += 1
            if isinstance(event, Slice):
                for job, rows in event.jobs:
                    queue.tokenised(job, rows, [np.ones(len(job.texts[row]), dtype=np.int32) for row in rows])
            else:
                for job in queue.ran(event.rows):
                    queue.drop(job)
                    latencies.append(now - came.pop(job))
        while free and (task := queue.next()) is not None:
            free -= 1
            if isinstance(task, Slice):
                seconds = TOKENISE * sum(len(rows) for _, rows in task.jobs)
            else:
                shape = len(task.rows), max(1, *map(len, task.tokens), 1)
                batches.append(shape)
                seconds = cost(*shape)
            heapq.heappush(events, (now + seconds, next(serial), task))
    return Replay(tuple(batches), sum(sum(one.lengths) for one in arrivals), tuple(latencies))
