"""Whose texts go next, and which share a batch."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mirrorkit.runtime.encoding import PASS_COST, Call
from mirrorkit.serving.job import SHORT, Job
from mirrorkit.serving.queue import CPU_TURN_TOKENS, SLICE, Batch, Queue, Ring, Slice, together
from mirrorkit.serving.refused import RefusedError


class Model:
    """As much of a model as a queue looks at."""

    encoding = SimpleNamespace(width=4, runner=SimpleNamespace(max_rows=None))


MODEL: Any = Model()


def job(lengths: list[int], client: str = "a", model: Any = MODEL, **options: Any) -> Job:
    call = Call("", 0, False, None, False, 512)
    return Job(model, call, ["x" * length for length in lengths], lambda: None, client=client, **options)


def tokenised(queue: Queue, task: Slice) -> None:
    for one, rows in task.jobs:
        queue.tokenised(one, rows, [np.zeros(len(one.texts[row]), dtype=np.int32) for row in rows])


def run(queue: Queue, turns: int) -> list[Batch]:
    """Do what is next, until there have been so many batches or nothing is left."""
    batches: list[Batch] = []
    while len(batches) < turns and (task := queue.next()) is not None:
        if isinstance(task, Slice):
            tokenised(queue, task)
        else:
            batches.append(task)
            for done in queue.ran(task.rows):
                queue.drop(done)
    return batches


def stock(*lengths: int) -> list[Any]:
    return [(length, place, None, place) for place, length in enumerate(lengths)]


def test_a_batch_grows_from_its_first_text_to_the_nearest_in_length() -> None:
    assert together(stock(3, 9, 10, 10, 11, 40), 2, 512) == (0, 5)  # 11 tokens of padding; with 40 there would be 157
    assert together(stock(10, 10, 10, 10), 1, 30) in ((0, 3), (1, 4))  # no more than the budget holds
    assert together(stock(600), 0, 512) == (0, 1)  # one text at the least
    assert together(stock(5, 5, 5, 5), 0, 512, 2) == (0, 2)
    assert together(stock(0, 0), 0, 512) == (0, 2)


@pytest.mark.parametrize("seed", range(5))
def test_a_batch_keeps_to_the_budget_and_pads_less_than_a_pass_costs(seed: int) -> None:
    lengths = sorted(np.random.default_rng(seed).integers(1, 200, 300).tolist())
    for first in range(0, 300, 7):
        low, high = together(stock(*lengths), first, 512)
        assert low <= first < high
        padded = lengths[high - 1] * (high - low)
        assert high - low == 1 or padded <= 512
        assert padded - sum(lengths[low:high]) <= PASS_COST


def test_every_text_is_handed_out_once_and_the_queue_is_empty_after() -> None:
    queue, random = Queue(), np.random.default_rng(1)
    jobs = [job(random.integers(1, 60, n).tolist(), f"client {n % 3}") for n in (1, 700, 3, 40, 1, 9)]
    for one in jobs:
        queue.add(one)
    assert queue.waiting == sum(one.size for one in jobs)
    handed = [(id(one), row) for batch in run(queue, 10**6) for one, row in batch.rows]
    assert len(handed) == len(set(handed)) == sum(one.size for one in jobs)
    assert queue.waiting == 0
    assert all(one.over for one in jobs)
    assert queue.next() is None


def test_a_single_text_goes_before_the_rest_of_a_long_request() -> None:
    queue, long, short = Queue(), job([20] * 5000, "same"), job([20], "same")
    queue.add(long)
    run(queue, 3)
    queue.add(short)
    assert [one for one, _ in run(queue, 1)[0].rows] == [short]  # and nothing of the other in its batch


def test_new_requests_do_not_hold_up_a_long_one() -> None:
    queue, long = Queue(), job([20] * 500, "patient")
    queue.add(long)
    owners = []
    for turn in range(40):
        queue.add(job([20] * (SHORT + 1), f"client {turn}"))
        owners += [{one.client for one, _ in batch.rows} for batch in run(queue, 1)]
    assert sum("patient" in owner for owner in owners) >= len(owners) // 2


def test_a_client_of_many_requests_gets_no_more_turns_than_one_of_few() -> None:
    queue = Queue()
    for _ in range(20):
        queue.add(job([60] * 40, "greedy"))
    run(queue, 60)  # none of them is new any more
    modest = job([50] * 40, "modest")
    queue.add(modest)
    batches = run(queue, 20)
    own = [turn for turn, batch in enumerate(batches) if modest in {one for one, _ in batch.rows}]
    assert modest.over
    assert own[-1] <= 2 * len(own)  # every other turn, among twenty requests of the other


def test_short_requests_of_many_clients_share_a_batch() -> None:
    queue = Queue()
    for client in range(10):
        queue.add(job([12], f"client {client}"))
    (batch,) = run(queue, 99)
    assert len(batch.rows) == 10


def test_requests_of_other_models_and_prompts_do_not_share_a_batch() -> None:
    other: Any = Model()
    queue = Queue()
    unpooled = job([12])
    unpooled.lane = unpooled.lane._replace(unpooled=3)
    for one in (job([12]), job([12], model=other), unpooled):
        queue.add(one)
    assert [len(batch.rows) for batch in run(queue, 99)] == [1, 1, 1]


def test_what_is_tokenised_at_a_time_is_bounded() -> None:
    queue = Queue()
    queue.add(job([30] * 1000))
    task = queue.next()
    assert isinstance(task, Slice)
    assert sum(len(rows) for _, rows in task.jobs) == SLICE
    assert queue.next() is None  # the rest waits for its turn, and nothing is ready
    long = Queue()
    long.add(job([100_000] * 10))
    (first,) = long.next().jobs  # type: ignore[union-attr]
    assert len(first[1]) == 2


def test_a_batch_of_the_processor_is_no_longer_than_a_turn() -> None:
    queue = Queue()
    queue.add(job([20] * 300))
    assert {sum(len(t) for t in batch.tokens) <= CPU_TURN_TOKENS for batch in run(queue, 99)} == {True}


def test_a_request_that_is_given_up_leaves_nothing() -> None:
    queue, gone, kept = Queue(), job([20] * 300), job([20] * 30)
    queue.add(gone)
    queue.add(kept)
    run(queue, 2)
    running = queue.next()
    gone.over = True
    queue.drop(gone)
    queue.drop(gone)  # whoever is late with it changes nothing
    assert queue.waiting == kept.left
    if isinstance(running, Batch):
        queue.ran(running.rows)
    elif running is not None:
        tokenised(queue, running)
    run(queue, 99)
    assert queue.waiting == 0
    assert kept.left == 0


def test_a_request_of_too_many_tokens_is_refused() -> None:
    queue, one = Queue(), job([20] * 10, max_tokens=150)
    queue.add(one)
    task = queue.next()
    assert isinstance(task, Slice)
    with pytest.raises(RefusedError, match="more than 150 tokens"):
        tokenised(queue, task)


def test_clients_and_their_requests_take_turns() -> None:
    ring = Ring()
    a, b, c = job([1], "x"), job([1], "x"), job([1], "y")
    for one in (a, b, c):
        ring.add(one)
    order = []
    for _ in range(4):
        first = next(iter(ring))
        order.append(first)
        ring.remove(first)
        ring.add(first)
    assert order == [a, c, b, c]


def test_the_room_keeps_to_numpy(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import mirrorkit.serving.pool, sys; print(sorted({'starlette', 'uvicorn', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
