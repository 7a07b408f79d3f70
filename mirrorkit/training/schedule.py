"""How long a run is and how its learning rate goes: by steps, by passes over the corpus, or by the clock."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

from mirrorkit.training.order import Order
from mirrorkit.training.recipe import Recipe

_DRAW = 10  # steps that are drawn at once where the clock decides how many there will be


class Schedule:
    """Counts the steps of one run and says when it is over.

    With `recipe.seconds` it ends where the next step, taking as long as those before it on the average, would pass
    the limit by more than half of itself; how many steps that makes is estimated anew after each.
    """

    def __init__(self, recipe: Recipe, order: Order, agreed: Callable[[float], float] = float) -> None:
        """Begin; `agreed` makes of this process's seconds those that all processes of the run go by."""
        self._recipe, self.order = recipe, order
        self._planned = recipe.steps or order.steps_per_epoch * recipe.epochs
        self._limit = recipe.seconds
        self._agreed = agreed
        self.done = 0  # steps
        self._start = time.perf_counter()
        self.elapsed = 0.0  # seconds, when the last step was done

    @property
    def total(self) -> int:
        """Steps of the whole run; where the clock decides, as many as it now looks like."""
        if not self._limit:
            return self._planned
        per_step = self.elapsed / max(1, self.done)
        return max(1, self.done, round(self._limit / per_step)) if self.done else self._planned

    def over(self) -> bool:
        """Tell whether the run has all its steps; there is at least one."""
        if not self._limit:
            return self.done >= self._planned
        return self.done > 0 and self.elapsed * (1 + 0.5 / self.done) >= self._limit

    def draws(self) -> Iterator[int]:
        """Yield how many steps to draw strings for, until the run is over."""
        while not self.over():
            left = _DRAW if self._limit else self._planned - self.done
            yield min(self.order.most(self.done), left)

    def step(self) -> None:
        """Count a step."""
        self.done += 1
        if self._limit:
            self.elapsed = self._agreed(time.perf_counter() - self._start)

    def resume(self, done: int, elapsed: float = 0.0) -> None:
        """Go on where `done` steps had been made in `elapsed` seconds."""
        self.done, self.elapsed = done, elapsed
        self._start = time.perf_counter() - elapsed

    def rate(self) -> float:
        """Return the share of the peak learning rate for the step that comes."""
        return rate_factor(self.done, self.total, self._recipe)


def rate_factor(step: int, total: int, recipe: Recipe) -> float:
    """Return the share of the peak learning rate at `step`, counted from 0."""
    warm = math.ceil(recipe.warmup * total)
    if step < warm:
        return (step + 1) / (warm + 1)
    return max(0.0, (total - step) / max(1, total - warm)) if recipe.decay else 1.0
