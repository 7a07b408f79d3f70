"""Whose texts go next, and which go together. Plain data: whoever calls holds the lock.

A turn is one batch. Clients take turns, and so do the requests of one client; every other turn is of a request that has
had none yet, so that a single text waits for no more than the batches that are running, and a long request is never
held up by new ones for longer than one batch. A batch begins with a text of the request whose turn it is, and is filled
with those of about its length, whosever they are, up to the budget of tokens: so there is little padding.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count

from mirrorkit.runtime.encoding import PASS_COST
from mirrorkit.runtime.runner import CPU_BATCH_TOKENS
from mirrorkit.serving.job import Job, Lane
from mirrorkit.serving.served import Tokens

STOCK = 512  # texts of a request that are tokenised ahead: enough to find some of one length
SLICE, SLICE_CHARS = 128, 1 << 17  # texts and characters tokenised at a time; others wait for as long as that takes
# On a CPU a batch of half of what an Encoder takes is no slower, and the next one's turn comes sooner.
CPU_TURN_TOKENS = CPU_BATCH_TOKENS // 2

Entry = tuple[int, int, Job, int]  # tokens, serial number, whose it is, row


@dataclass(frozen=True)
class Slice:
    """Texts to tokenise: rows of jobs of one model."""

    jobs: list[tuple[Job, range]]


@dataclass(frozen=True)
class Batch:
    """Rows that go through the graph together."""

    lane: Lane
    rows: list[tuple[Job, int]]
    tokens: list[Tokens]


class Ring:
    """Jobs in turn: a client after the other, and of each client a job after the other."""

    def __init__(self) -> None:
        self._clients: dict[str, deque[Job]] = {}  # in the order of their turns

    def __iter__(self) -> Iterator[Job]:
        for jobs in list(self._clients.values()):
            yield from list(jobs)

    def add(self, job: Job) -> None:
        """Put a job behind the others of its client."""
        self._clients.setdefault(job.client, deque()).append(job)

    def remove(self, job: Job) -> None:
        """Forget a job, if it is here; the turn of its client is over."""
        jobs = self._clients.get(job.client)
        if jobs is None or job not in jobs:
            return
        del self._clients[job.client]
        jobs.remove(job)
        if jobs:
            self._clients[job.client] = jobs


class Queue:
    """The jobs that are not done, and their texts that are ready to run, sorted by length."""

    def __init__(self) -> None:
        self._new, self._begun = Ring(), Ring()
        self._new_was_last = False
        self._jobs: set[Job] = set()
        self._stock: dict[Lane, list[Entry]] = {}
        self._serial = count()
        self.waiting = 0  # texts without a vector

    def add(self, job: Job) -> None:
        """Take on a job."""
        self._jobs.add(job)
        self._new.add(job)
        self.waiting += job.size
        for row, tokens in enumerate(job.tokens):
            if tokens is not None:
                self._put_ready(job, row, tokens)

    def drop(self, job: Job) -> None:
        """Forget what is left of a job: done, failed, or its client has gone."""
        if job not in self._jobs:
            return
        self._jobs.remove(job)
        self._new.remove(job)
        self._begun.remove(job)
        self.waiting -= job.left
        stock = self._stock.get(job.lane)
        if stock and job.ready:
            self._stock[job.lane] = [entry for entry in stock if entry[2] is not job]
        if not self._stock.get(job.lane):
            self._stock.pop(job.lane, None)
        job.ready.clear()

    def next(self) -> Slice | Batch | None:
        """Return what to do next; None where all that is left is being done by others."""
        rings = (self._begun, self._new) if self._new_was_last else (self._new, self._begun)
        for ring in rings:
            for job in ring:
                if _wants_tokens(job):
                    return self._slice(job)
                if job.ready:
                    self._new_was_last = ring is self._new
                    batch = self._batch(job)
                    ring.remove(job)
                    self._begun.add(job)
                    return batch
        return None

    def tokenised(self, job: Job, rows: range, tokens: Sequence[Tokens]) -> None:
        """Take the tokens of rows that a Slice named; raises RefusedError for too many of them."""
        job.tokenising = False
        if job.over:
            return
        for row, found in zip(rows, tokens, strict=True):
            job.take(row, found)
            self._put_ready(job, row, found)

    def ran(self, rows: Sequence[tuple[Job, int]]) -> list[Job]:
        """Count rows that have their vectors; return the jobs that are done by it."""
        done: list[Job] = []
        for job, row in rows:
            if job.over:
                continue
            job.tokens[row] = None
            job.left -= 1
            self.waiting -= 1
            if job.left == 0:
                job.over = True
                done.append(job)
        return done

    def _slice(self, first: Job) -> Slice:
        """Return texts of the job whose turn it is, and of others that have none ready, to tokenise in one go."""
        chosen: list[tuple[Job, range]] = []
        texts, characters = SLICE, SLICE_CHARS
        for job in chain(self._new, self._begun):
            if job.served is not first.served or not (job is first or (_wants_tokens(job) and not job.ready)):
                continue
            begin = end = job.next_text
            while end < job.size and texts > 0 and (characters > 0 or not chosen):
                texts, characters, end = texts - 1, characters - len(job.texts[end]), end + 1
                if characters <= 0:
                    break
            if end > begin:
                job.next_text, job.tokenising = end, True
                chosen.append((job, range(begin, end)))
            if texts <= 0 or characters <= 0:
                break
        return Slice(chosen)

    def _put_ready(self, job: Job, row: int, tokens: Tokens) -> None:
        place = (len(tokens), next(self._serial))
        job.ready[row] = place
        insort(self._stock.setdefault(job.lane, []), (*place, job, row))

    def _batch(self, job: Job) -> Batch:
        stock = self._stock[job.lane]
        place = next(iter(job.ready.values()))
        runner = job.served.encoding.runner
        budget = job.call.batch_tokens
        if budget == CPU_BATCH_TOKENS:
            budget = CPU_TURN_TOKENS
        low, high = together(stock, bisect_left(stock, place), budget, runner.max_rows)
        entries = stock[low:high]
        del stock[low:high]
        if not stock:
            del self._stock[job.lane]
        rows, tokens = [], []
        for _, _, owner, row in entries:
            del owner.ready[row]
            found = owner.tokens[row]
            assert found is not None
            rows.append((owner, row))
            tokens.append(found)
        return Batch(job.lane, rows, tokens)


def _wants_tokens(job: Job) -> bool:
    return not job.tokenising and job.next_text < job.size and len(job.ready) < STOCK


def together(stock: Sequence[Entry], first: int, budget: int, most: int | None = None) -> tuple[int, int]:
    """Return which entries of a sorted stock make a batch around the one at `first`: from, and up to but without.

    An entry begins with its length in tokens. The nearer neighbour in length is taken next, as long as the tokens,
    padding included, stay within the budget, and the padding costs less than another pass would.
    """
    low, high = first, first + 1
    total = own = stock[first][0]
    while most is None or high - low < most:
        down = own - stock[low - 1][0] if low > 0 else None
        up = stock[high][0] - own if high < len(stock) else None
        if down is None and up is None:
            break
        lower = up is None or (down is not None and down <= up)
        begin, end = (low - 1, high) if lower else (low, high + 1)
        grown = total + stock[begin if lower else end - 1][0]
        padded = max(1, stock[end - 1][0]) * (end - begin)
        if padded > budget or padded - grown > PASS_COST:
            break
        low, high, total = begin, end, grown
    return low, high
