"""The simulation of many workers: by hand where that can be done, and never a shard lost."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from benchmarks.scale.measure import Costs, bytes_of, costs_of
from benchmarks.scale.simulate import World, best_size, simulate, steady

COSTS = Costs(start=10.0, shard=1.0, text=0.001, shard_bytes=1_000.0, text_bytes={"float32": 1_536.0})
WORLD = World()
STEADY = steady(WORLD)


@pytest.mark.parametrize(("workers", "rounds"), [(1, 10), (3, 4), (10, 1), (50, 1)])
def test_without_trouble_it_is_what_one_reckons_by_hand(workers: int, rounds: int) -> None:
    found = simulate(10_000, 1_000, workers, COSTS, STEADY)
    assert found.seconds == pytest.approx(10 + rounds * 2)
    assert found.workers == min(workers, 10)
    assert (found.shards, found.failures, found.lost_seconds) == (10, 0, 0)
    assert found.efficiency == pytest.approx(10 / (found.workers * found.seconds))


def test_the_last_shard_may_be_smaller() -> None:
    assert simulate(2_500, 1_000, 3, COSTS, STEADY).seconds == pytest.approx(12)
    assert simulate(2_500, 1_000, 1, COSTS, STEADY).seconds == pytest.approx(10 + 2 + 2 + 1.5)


def test_the_store_costs_what_it_says() -> None:
    world = replace(STEADY, store_latency=0.5, store_bytes_per_second=1e6, input_bytes=64)
    moved = 1_000 * (64 + 1_536) + 1_000
    assert simulate(1_000, 1_000, 1, COSTS, world).seconds == pytest.approx(10 + 2 + 4 * 0.5 + moved / 1e6)


def test_workers_that_fail_are_replaced_and_what_they_lost_is_done_again() -> None:
    quick = replace(COSTS, text=1.0, shard=0.0)  # 1,000 s a shard
    world = replace(STEADY, fails_per_hour=1.0, back_after=60.0)
    outcomes = [simulate(50_000, 1_000, 5, quick, world, seed=seed) for seed in range(20)]
    assert all(found.failures > 0 for found in outcomes)
    mean_lost = sum(found.lost_seconds for found in outcomes) / sum(found.failures for found in outcomes)
    assert 300 < mean_lost < 600  # a failure comes somewhere in a shard of 1,000 s
    undisturbed = simulate(50_000, 1_000, 5, quick, STEADY)
    assert all(found.seconds > undisturbed.seconds for found in outcomes)
    assert outcomes[0] == simulate(50_000, 1_000, 5, quick, world, seed=0)


def test_small_shards_cost_overhead_and_large_ones_a_tail() -> None:
    sizes = (100, 1_000, 10_000, 100_000, 1_000_000)
    seconds = {size: simulate(10**7, size, 100, COSTS, WORLD).paid_seconds for size in sizes}
    best = best_size(10**7, 100, COSTS, WORLD, sizes)
    assert best.shard_texts == min(sizes, key=seconds.__getitem__)
    assert best.shard_texts not in (sizes[0], sizes[-1])


def test_costs_are_read_off_runs() -> None:
    runs = [
        {
            "workers": 1,
            "texts": 4 * size,
            "encode_seconds": 3.0 + 4 * (0.5 + 0.002 * size),
            "shard_seconds": [0.5 + 0.002 * size] * 4,
            "bytes": 4 * (2_000 + 1_536 * size),
        }
        for size in (100, 1_000, 5_000)
    ]
    each = bytes_of([runs[2], runs[0]])
    assert each == pytest.approx((2_000, 1_536))
    found = costs_of([*runs, runs[0] | {"workers": 2, "shard_seconds": [99.0]}], {"float32": each})
    assert (found.start, found.shard, found.text) == pytest.approx((3.0, 0.5, 0.002))
    assert math.isclose(found.shard_bytes, 2_000)
