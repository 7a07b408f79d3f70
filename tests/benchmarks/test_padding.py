"""Traffic in simulated time: by hand where it can be, nothing lost under any policy, and the queue left as it was."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.serving.padding import measure_cost, table
from benchmarks.serving.traffic import MIXES, TOKENISE, Arrival, Cost, policy, replay, traffic
from mirrorkit.errors import ConfigError
from mirrorkit.runtime.encoding import Call
from mirrorkit.serving import queue as queues

COST = Cost(a_pass=1.0, a_token=0.1, a_square=0.0)
CALL = Call("", 0, False, None, False, 512)
POLICIES = ("now", "alone", "arrival", "buckets", "pad-0", "pad-64")


class Model:
    """As much of a model as a queue looks at."""

    encoding = SimpleNamespace(width=4, runner=SimpleNamespace(max_rows=None))

    @staticmethod
    def call() -> Call:
        return CALL


MODEL: Any = Model()


def run(arrivals: list[Arrival], name: str, threads: int = 1) -> Any:
    with policy(name) as kind:
        return replay(arrivals, MODEL, kind(), COST, threads)


def test_one_text_takes_its_pass() -> None:
    found = run([Arrival(5.0, "a", (10,))], "now")
    assert found.batches == ((1, 10),)
    assert found.latencies == (pytest.approx(TOKENISE + 1 + 10 * 0.1),)
    assert found.padding == 0


def test_padding_is_the_share_of_what_is_computed() -> None:
    found = run([Arrival(0.0, "a", (10,)), Arrival(0.0, "b", (6,))], "arrival")
    # The first is tokenised before the second has come; the second waits for its pass.
    assert sum(rows for rows, _ in found.batches) == 2
    together = run([Arrival(0.0, "a", (10, 6))], "arrival")
    assert together.batches == ((2, 10),)
    assert together.padding == pytest.approx(4 / 20)
    assert run([Arrival(0.0, "a", (10, 6))], "pad-0").batches == ((1, 10), (1, 6))


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("mix", MIXES)
def test_every_text_is_run_once_and_the_queue_is_as_it_was(name: str, mix: str) -> None:
    before = vars(queues)["together"], vars(queues)["PASS_COST"]
    arrivals = traffic([8, 12, 20, 35], [90, 200], mix, 40, 0.2, seed=1)
    found = run(arrivals, name, threads=2)
    assert sum(rows for rows, _ in found.batches) == sum(len(one.lengths) for one in arrivals)
    assert len(found.latencies) == len(arrivals)
    assert 0 <= found.padding < 0.6
    assert (vars(queues)["together"], vars(queues)["PASS_COST"]) == before
    if name in ("alone", "pad-0"):
        assert found.padding == 0
    if name == "now":
        assert all(rows * width <= queues.CPU_TURN_TOKENS or rows == 1 for rows, width in found.batches)


def test_buckets_keep_to_themselves() -> None:
    found = run([Arrival(0.0, "a", (15, 16, 17, 32, 33))], "buckets")
    assert sorted(found.batches) == [(1, 33), (2, 16), (2, 32)]


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(ConfigError, match="policy 'best'"), policy("best"):
        pass


def test_traffic_has_the_rate_that_is_asked_for() -> None:
    arrivals = traffic([10], [100], "sentences", 2_000, 50.0, seed=3)
    texts = sum(len(one.lengths) for one in arrivals)
    assert texts / arrivals[-1].seconds == pytest.approx(50, rel=0.1)
    assert {length for one in arrivals for length in one.lengths} == {10}
    assert arrivals == traffic([10], [100], "sentences", 2_000, 50.0, seed=3)


def test_the_cost_of_a_pass_is_found_again() -> None:
    wanted = Cost(2e-3, 1e-4, 2e-7)
    found = measure_cost(wanted)
    np.testing.assert_allclose(
        [found.a_pass, found.a_token, found.a_square], [wanted.a_pass, wanted.a_token, wanted.a_square]
    )


def test_the_table_sets_each_policy_against_now_within_a_round() -> None:
    run_of = {"mix": "mixed", "load": 0.9, "texts": 10, "padding": 0.1, "latency_p50": 0.001, "latency_p99": 0.002}
    runs = [
        {**run_of, "policy": "now", "round": 0, "passes": 5, "expected_seconds": 1.0, "cpu_seconds": 2.0},
        {**run_of, "policy": "now", "round": 1, "passes": 5, "expected_seconds": 2.0, "cpu_seconds": 4.0},
        {**run_of, "policy": "alone", "round": 0, "passes": 10, "expected_seconds": 1.5, "cpu_seconds": 2.2},
        {**run_of, "policy": "alone", "round": 1, "passes": 10, "expected_seconds": 3.0, "cpu_seconds": None},
    ]
    told = table({"runs": runs})
    assert "| mixed | 0.9 | alone | 10.0% | 1.00 | 1.500 | 1.100 (1.100–1.100) | 1.0 | 2.0 |" in told
