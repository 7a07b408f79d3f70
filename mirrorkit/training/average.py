"""Means of weights: over the last steps of one run, and over the runs of several seeds.

Sources: Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima and Better Generalization" (SWA,
arXiv:1803.05407); Kaddour 2022, "Stop Wasting My Time!" (LAWA, arXiv:2209.14981); of runs from one start, Wortsman et
al. 2022, "Model Soups" (arXiv:2203.05482).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mirrorkit.extras import require
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.training.blend import weights_of

require("torch", extra="train")
import torch
from torch import Tensor

log = logging.getLogger(__name__)


class LastMean:
    """The mean of the weights after each of the last steps of a run, in fp32, on the device of the weights.

    `share` is of the steps, rounded to whole ones; where that is none, nothing is kept and nothing costs anything. What
    is no parameter, such as the statistics of a batch norm, stays as it is at the end.
    """

    def __init__(self, encoder: SentenceEncoder, share: float) -> None:
        self._weights = {name: weight for name, weight in encoder.named_parameters() if weight.requires_grad}
        self._share = share
        self.count = 0  # steps that are in the mean
        self.mean: dict[str, Tensor] = {}

    def after_step(self, done: int, total: int) -> None:
        """Take the weights in, if this is one of the last steps; `total` may be an estimate."""
        if done <= total - round(self._share * total):
            return
        self.count += 1
        with torch.no_grad():
            for name, weight in self._weights.items():
                if name in self.mean:
                    self.mean[name].lerp_(weight.float(), 1 / self.count)
                else:
                    self.mean[name] = weight.detach().float().clone()

    def resume(self, count: int, mean: dict[str, Tensor]) -> None:
        """Go on where an earlier process stopped."""
        self.count, self.mean = count, mean

    def take(self) -> None:
        """Give the encoder the mean, where there is one."""
        with torch.no_grad():
            for name, mean in self.mean.items():
                self._weights[name].copy_(mean)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Let the encoder have the mean in the block: who looks at it there sees what would be kept."""
        if not self.mean:
            yield
            return
        own = {name: weight.detach().clone() for name, weight in self._weights.items()}
        self.take()
        try:
            yield
        finally:
            with torch.no_grad():
                for name, weight in self._weights.items():
                    weight.copy_(own[name])


class SeedsMean:
    """The mean of the weights of several encoders, and the best of these by a score."""

    def __init__(self) -> None:
        self._sum: dict[str, Tensor] = {}
        self._best: dict[str, Tensor] = {}
        self._scores: dict[int, float | None] = {}  # seed -> score; None where there is nothing to score by

    def add(self, encoder: SentenceEncoder, seed: int, score: float | None) -> None:
        """Take the encoder of a seed in; a higher score is better."""
        weights = weights_of(encoder)
        for name, tensor in weights.items():
            if tensor.is_floating_point():
                mine = tensor.float()
                self._sum[name] = self._sum[name] + mine if name in self._sum else mine
        if score is not None and all(other is not None and score > other for other in self._scores.values()):
            self._best = weights
        self._scores[seed] = score

    def give(self, encoder: SentenceEncoder) -> None:
        """Give an encoder the mean; what is no floating-point number stays its own."""
        own = encoder.state_dict()
        mean = {name: (total / len(self._scores)).to(own[name].dtype) for name, total in self._sum.items()}
        encoder.load_state_dict({**own, **mean})

    def settle(self, encoder: SentenceEncoder, score: float | None) -> AverageReport:
        """Give an encoder that has the mean, of this score, the weights of the best seed, where they are better."""
        scores = {seed: one for seed, one in self._scores.items() if one is not None}
        report = AverageReport(tuple(self._scores), scores, score)
        if report.kept is not None:
            encoder.load_state_dict(self._best)
        log.info("average: %s", report.why)
        return report


@dataclass(frozen=True)
class AverageReport:
    """Whether the mean of the seeds' weights was kept, and by which scores."""

    seeds: tuple[int, ...]
    scores: dict[int, float]  # seed -> mean reciprocal rank × 100 on the strings held out; empty: not measured
    mean: float | None  # of the mean of the weights

    @property
    def kept(self) -> int | None:
        """Seed whose weights are kept; None: the mean is."""
        if self.mean is None or self.mean >= max(self.scores.values()):
            return None
        return max(self.scores, key=lambda seed: self.scores[seed])

    @property
    def why(self) -> str:
        """Say it in a sentence for people."""
        said = f"the mean of the weights of {len(self.seeds)} seeds"
        if self.mean is None:
            return f"{said}; no strings were held out to compare it with each"
        each = ", ".join(f"{seed}: {score:.1f}" for seed, score in self.scores.items())
        figures = f"MRR of held-out strings: mean {self.mean:.1f}, seeds {each}"
        if self.kept is None:
            return f"{said} is kept ({figures})"
        return f"{said} is worse than one of them, so seed {self.kept} is kept ({figures})"
