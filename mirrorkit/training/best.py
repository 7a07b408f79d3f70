"""Keep the best checkpoint of a training by a labelled set of the user's own."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mirrorkit.evaluation.own import OwnSet, read_own
from mirrorkit.extras import require
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.training.blend import weights_of

require("torch", extra="train")
from torch import Tensor

log = logging.getLogger(__name__)

_LOOKS = 10  # checkpoints that are scored in a run


@dataclass(frozen=True)
class DevReport:
    """Which checkpoint was kept, and how each did on the development set."""

    name: str
    measure: str
    scores: dict[int, float]  # steps done -> score × 100; of 0 steps it is the base
    step: int  # kept

    @property
    def why(self) -> str:
        """Say it in a sentence for people."""
        kept = f"step {self.step} is the best" if self.step else "no checkpoint beat the base, so its weights are kept"
        each = ", ".join(f"{step}: {score:.2f}" for step, score in self.scores.items())
        return f"{kept} ({self.measure} of {self.name} by step; {each})"


class Best:
    """Scores the encoder now and then, and remembers the weights that did best."""

    def __init__(self, encoder: SentenceEncoder, sets: Sequence[OwnSet]) -> None:
        self._encoder, self._sets = encoder, sets
        self._scores: dict[int, float] = {}
        self._weights: dict[str, Tensor] = {}
        self._look(0)

    def after_step(self, done: int, total: int) -> None:
        """Score ten times in a run, and at its end."""
        if done >= total or done % max(1, round(total / _LOOKS)) == 0:
            self._look(done)

    def _look(self, step: int) -> None:
        score = float(np.mean([one.score(one.items(self._encoder, None)) for one in self._sets]))
        if not self._scores or score > max(self._scores.values()):
            self._weights = weights_of(self._encoder)
        self._scores[step] = score
        log.info("dev: %.2f after %d steps", score, step)

    def keep(self) -> DevReport:
        """Give the encoder the best weights back; of equal ones the first."""
        self._encoder.load_state_dict(self._weights)
        best = max(self._scores, key=lambda step: (self._scores[step], -step))
        if best == 0:
            log.warning("dev: no checkpoint beat the base, so the base's own weights are kept")
        names = ", ".join(one.name for one in self._sets)
        measures = " and ".join(dict.fromkeys(one.measure for one in self._sets))
        return DevReport(names, measures, self._scores, best)


def read_dev(given: str | Path | None) -> list[OwnSet]:
    """Read the development set."""
    return [] if given is None else read_own(given)
