"""Simulate a job of shards on many workers that fail, lag and wait for a store: an event a shard, the same by seed.

A worker takes the next shard that is not done, reads its input and writes its vectors at the store's speed, and takes
the measured time to encode. One that fails loses the shard it was at, which waits for another, and is back after a
while. A shard is done once; nothing is encoded twice but what was lost.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.scale.measure import Costs


@dataclass(frozen=True)
class World:
    """What machines and store are like."""

    fails_per_hour: float = 0.02  # of each worker: a spot machine that lives for two days
    back_after: float = 120.0  # seconds until another one is in its place
    slow_share: float = 0.02  # workers that are slow
    slow_factor: float = 3.0
    spread: float = 0.1  # of the speed of the others: sigma of its logarithm
    store_latency: float = 0.2  # seconds of a request; a shard has four
    store_bytes_per_second: float = 50e6  # of each worker
    input_bytes: float = 70.0  # of a text
    most_at_once: int = 10_000  # workers that the store serves at full speed


@dataclass(frozen=True)
class Outcome:
    workers: int
    shard_texts: int
    shards: int
    seconds: float  # until the last shard is done
    paid_seconds: float  # of all workers until then
    lost_seconds: float  # spent on shards that were lost
    failures: int
    ideal_seconds: float  # of encoding alone, on workers of the measured speed

    @property
    def efficiency(self) -> float:
        """Return the share of what is paid for that is encoding."""
        return self.ideal_seconds / self.paid_seconds


def simulate(
    texts: int, shard_texts: int, workers: int, costs: Costs, world: World, *, kind: str = "float32", seed: int = 0
) -> Outcome:
    """Return how a job goes."""
    rng = np.random.default_rng(seed)
    count = -(-texts // shard_texts)
    workers = min(workers, count)
    speeds = np.exp(rng.normal(0.0, world.spread, workers))
    speeds[rng.random(workers) < world.slow_share] *= world.slow_factor
    share = max(1.0, workers / world.most_at_once)

    def seconds_of(size: int) -> tuple[float, float]:
        moved = size * (world.input_bytes + costs.text_bytes[kind]) + costs.shard_bytes
        return costs.shard + size * costs.text, 4 * world.store_latency + share * moved / world.store_bytes_per_second

    whole, last = seconds_of(shard_texts), seconds_of(texts - (count - 1) * shard_texts)
    left = deque(range(count))
    rate = world.fails_per_hour / 3600
    # (when it is free, which worker, when it fails); those that start together start in the order of their numbers
    fails = costs.start * speeds + (rng.exponential(1 / rate, workers) if rate else np.full(workers, np.inf))
    free = [(float(costs.start * speeds[i]), i, float(fails[i])) for i in range(workers)]
    heapq.heapify(free)
    waiting: list[tuple[float, int]] = []  # shards that were lost: from when on it is known, and which
    end = lost = 0.0
    failures = 0
    while left or waiting:
        now, worker, failing = heapq.heappop(free)
        if waiting and waiting[0][0] <= now:
            shard = heapq.heappop(waiting)[1]
        elif left:
            shard = left.popleft()
        else:  # all that is left is with workers that are to fail: this one waits until that is known
            heapq.heappush(free, (waiting[0][0], worker, failing))
            continue
        compute, store = last if shard == count - 1 else whole
        done = now + compute * speeds[worker] + store
        if done <= failing:
            end = max(end, done)
            heapq.heappush(free, (done, worker, failing))
            continue
        lost += max(0.0, failing - now)
        failures += 1
        known = max(now, failing)
        heapq.heappush(waiting, (known, shard))
        again = known + world.back_after + costs.start * speeds[worker]
        heapq.heappush(free, (again, worker, again + float(rng.exponential(1 / rate))))
    return Outcome(workers, shard_texts, count, end, end * workers, lost, failures, texts * costs.text)


def best_size(
    texts: int, workers: int, costs: Costs, world: World, sizes: tuple[int, ...], most_shards: int = 200_000
) -> Outcome:
    """Return the outcome with the size of shard that costs least, of those that make few enough shards."""
    fit = [size for size in sizes if -(-texts // size) <= most_shards] or [max(sizes)]
    return min((simulate(texts, size, workers, costs, world) for size in fit), key=lambda found: found.paid_seconds)


def steady(world: World) -> World:
    """Return the same without failures, slow workers and store."""
    return replace(
        world, fails_per_hour=0.0, slow_share=0.0, spread=0.0, store_latency=0.0, store_bytes_per_second=float("inf")
    )
