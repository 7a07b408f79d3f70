"""How long a run is: by steps, by passes, by the clock."""

from __future__ import annotations

import pytest

from mirrorkit.training import schedule as module
from mirrorkit.training.order import Order
from mirrorkit.training.recipe import Recipe
from mirrorkit.training.schedule import Schedule, rate_factor


class _Clock:
    """Seconds that pass only when a step is done."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


def _run(recipe: Recipe, strings: int, monkeypatch: pytest.MonkeyPatch, step_seconds: float = 1.0) -> list[float]:
    """Return the rate of each step of a run."""
    clock = _Clock()
    monkeypatch.setattr(module, "time", clock)
    schedule = Schedule(recipe, Order(strings, recipe.batch_size, 42))
    rates = []
    for steps in schedule.draws():
        assert steps > 0
        for _ in range(steps):
            if schedule.over():
                break
            rates.append(schedule.rate())
            clock.now += step_seconds
            schedule.step()
    return rates


@pytest.mark.parametrize(
    ("recipe", "strings", "steps"),
    [
        (Recipe(epochs=2, batch_size=10), 30, 6),
        (Recipe(epochs=1, batch_size=10), 34, 3),
        (Recipe(epochs=1, batch_size=10), 3, 1),
        (Recipe(steps=7, batch_size=10), 30, 7),
        (Recipe(steps=2, batch_size=10), 300, 2),
        (Recipe(seconds=20, batch_size=10), 30, 20),
        (Recipe(seconds=20.4, batch_size=10), 3000, 20),
        (Recipe(seconds=20, steps=3, batch_size=10), 3000, 20),  # the clock decides
        (Recipe(seconds=0.01, batch_size=10), 30, 1),
    ],
)
def test_a_run_has_the_steps_that_it_was_given(
    recipe: Recipe, strings: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(_run(recipe, strings, monkeypatch)) == steps


def test_a_run_by_the_clock_ends_within_half_a_step_of_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    for step_seconds in (0.3, 0.7, 1.9, 6.0):
        steps = len(_run(Recipe(seconds=20), 10_000, monkeypatch, step_seconds))
        assert abs(steps * step_seconds - 20) <= step_seconds / 2 + 1e-6


def test_the_rate_climbs_and_falls_over_the_whole_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for recipe in (Recipe(steps=20, decay=True, warmup=0.2), Recipe(seconds=20, decay=True, warmup=0.2)):
        rates = _run(recipe, 10_000, monkeypatch)
        assert rates[0] < rates[3] <= 1.0
        assert rates[-1] < 0.2
    assert set(_run(Recipe(seconds=5), 100, monkeypatch)) == {1.0}
    assert [rate_factor(step, 4, Recipe(decay=True)) for step in range(4)] == [1.0, 0.75, 0.5, 0.25]


def test_every_loss_is_kept_however_many_and_after_a_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="needs the train extra")
    from mirrorkit.progress import Silent
    from mirrorkit.training import watch as watching

    monkeypatch.setattr(watching, "_FIRST", 2)
    schedule = Schedule(Recipe(steps=30), Order(100, 10, 42))
    watch = watching.Watch(schedule, Silent())
    for number in range(7):
        watch.step(torch.tensor(float(number)), 10, 0.1)
    resumed = watching.Watch(schedule, Silent())
    resumed.resume(watch.losses.clone(), watch.pairs, 1.0)
    resumed.step(torch.tensor(7.0), 10, 0.1)
    assert watch.losses.tolist() == list(range(7))
    assert resumed.losses.tolist() == list(range(8))
    assert (resumed.done, resumed.pairs) == (8, 80)
