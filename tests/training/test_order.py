"""Every string once in an epoch, whatever is drawn at once; a large corpus can be taken up anywhere."""

from __future__ import annotations

import numpy as np
import pytest

from mirrorkit.training import order as module
from mirrorkit.training.order import Order
from mirrorkit.training.recipe import Recipe
from mirrorkit.training.schedule import Schedule


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Call 100 strings a large corpus, of which 40 are drawn at once."""
    monkeypatch.setattr(module, "LARGE", 100)
    monkeypatch.setattr(module, "PORTION", 40)


def drawn(strings: int, recipe: Recipe, seed: int = 1) -> list[list[int]]:
    order, rng = Order(strings, recipe.batch_size, seed), np.random.default_rng(seed)
    schedule, found = Schedule(recipe, order), []
    for steps in schedule.draws():
        found.append(order.draw(schedule.done, steps, rng).tolist())
        for _ in range(steps):
            schedule.step()
    return found


@pytest.mark.parametrize(("strings", "batch"), [(101, 8), (1_003, 8), (997, 30), (150, 200), (400, 41)])
@pytest.mark.usefixtures("large")
def test_each_string_comes_once_in_an_epoch(strings: int, batch: int) -> None:
    parts = drawn(strings, Recipe(epochs=2, batch_size=batch))
    assert max(map(len, parts)) <= max(40, 1.5 * batch) + 40 // batch  # a batch may have one more than asked
    assert all(part == sorted(part) for part in parts)
    steps = max(1, round(strings / batch))
    if strings > 40:
        assert len(parts) >= 2
    counted = np.bincount(np.concatenate(parts), minlength=strings)
    assert counted.tolist() == [2] * strings, f"in {steps} steps"


@pytest.mark.usefixtures("large")
def test_epochs_and_seeds_differ_and_a_seed_repeats_itself() -> None:
    one, other = (drawn(300, Recipe(epochs=2, batch_size=10), seed) for seed in (1, 2))
    assert one == drawn(300, Recipe(epochs=2, batch_size=10), 1)
    assert one != other
    assert one[: len(one) // 2] != one[len(one) // 2 :]


@pytest.mark.usefixtures("large")
def test_a_draw_depends_on_the_steps_before_it_alone() -> None:
    order = Order(1_000, 10, 5)
    wanted = {done: order.draw(done, 4, np.random.default_rng(0)).tolist() for done in (0, 4, 96, 100, 152)}
    for done in (152, 100, 4):
        assert Order(1_000, 10, 5).draw(done, 4, np.random.default_rng(9)).tolist() == wanted[done]
    assert not set(wanted[0]) & set(wanted[4])


def test_a_part_of_an_epoch_of_a_small_corpus_is_an_even_sample() -> None:
    order = Order(1_000, 10, 5)
    assert order.most(0) == 100
    part = order.draw(0, 3, np.random.default_rng(0))
    assert len(set(part.tolist())) == 30
    assert order.draw(0, 100, np.random.default_rng(0)).tolist() == list(range(1_000))
