"""Which strings of the corpus come next."""

from __future__ import annotations

import numpy as np

from mirrorkit.text.ragged import Ints
from mirrorkit.training.large import LARGE

PORTION = 20_000  # strings of a large corpus that are drawn at once: what is drawn lies in memory


class Order:
    """Draws the strings for a number of steps: an epoch at once, or of a large corpus a portion of one."""

    def __init__(self, strings: int, batch_size: int, seed: int) -> None:
        self._strings, self._batch_size, self._seed = strings, batch_size, seed
        self.steps_per_epoch = max(1, round(strings / batch_size))
        self._epoch, self._shuffled = -1, np.empty(0, dtype=np.int64)

    def most(self, done: int) -> int:
        """Return how many steps can be drawn for at once after `done` of them."""
        if self._strings <= LARGE:
            return self.steps_per_epoch
        return min(max(1, PORTION // self._batch_size), self.steps_per_epoch - done % self.steps_per_epoch)

    def draw(self, done: int, steps: int, rng: np.random.Generator) -> Ints:
        """Return the places of the strings for `steps` steps after `done` of them, in ascending order.

        In a whole epoch each string comes once. For a part of one they are an even sample; of a large corpus the next
        ones of an order that the seed and the epoch alone decide, so that a run can be taken up anywhere.
        """
        if self._strings > LARGE:
            epoch, first = divmod(done, self.steps_per_epoch)
            if epoch != self._epoch:
                shuffled = np.random.default_rng([self._seed, 3, epoch]).permutation(self._strings)
                self._epoch, self._shuffled = epoch, shuffled
            begin, end = (step * self._strings // self.steps_per_epoch for step in (first, first + steps))
            return np.sort(self._shuffled[begin:end])
        wanted = steps * self._batch_size
        if steps >= self.steps_per_epoch or wanted >= self._strings:
            return np.arange(self._strings)
        return np.sort(rng.choice(self._strings, wanted, replace=False))
