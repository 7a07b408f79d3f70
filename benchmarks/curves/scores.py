"""One fine-tune at a constant rate, scored on the way: after n steps it is what a run of n steps would keep."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mirrorkit import SentenceEncoder, evaluate_retrieval, evaluate_sts
from mirrorkit.model.hub import locate_model
from mirrorkit.training.average import LastMean
from mirrorkit.training.blend import PLAIN, weights_of
from mirrorkit.training.corpus import Corpus
from mirrorkit.training.loop import train
from mirrorkit.training.recipe import AUTO, Recipe
from mirrorkit.training.recipes import choose

SHORT = 128  # tokens of a document that development scores look at
STS_DEV = "stsb-dev"

Point = dict[str, float]


class Scores:
    """Looks at the encoder after every step and scores it after those asked for.

    Where the recipe keeps the mean of the weights of the last steps, each point has the mean that a run of that length
    has; where it pulls the weights back towards the start, a point has the scores of the plain mean of start and end
    besides, since which share is best depends on documents that a run holds out.
    """

    def __init__(
        self, encoder: SentenceEncoder, recipe: Recipe, at: Sequence[int], search: Path | None, sts: Path | None
    ) -> None:
        self._encoder = encoder
        self._search, self._sts = search, sts
        self._means = {steps: LastMean(encoder, recipe.average_last) for steps in at}
        self._start = weights_of(encoder) if recipe.blend_share != 0 else {}
        self._begun, self._scoring = time.process_time(), 0.0
        self.points: list[Point] = []

    def after_step(self, done: int, total: int) -> None:  # noqa: ARG002  # a point is of a run that ends there
        """Take the weights into the means, and score."""
        for steps, mean in self._means.items():
            if done <= steps:
                mean.after_step(done, steps)
        if done in self._means:
            with self._means.pop(done).shown():
                self.score(done)

    def score(self, step: int) -> None:
        """Add a point to the curve; its CPU seconds are those of training alone."""
        begun = time.process_time()
        point = {"step": step, "cpu": begun - self._begun - self._scoring, **self._found()}
        if self._start and step:
            end = weights_of(self._encoder)
            half = {
                name: end[name].lerp(start, PLAIN) if start.is_floating_point() else start
                for name, start in self._start.items()
            }
            self._encoder.load_state_dict(half)
            point |= {f"{name}_half": value for name, value in self._found().items()}
            self._encoder.load_state_dict(end)
        self.points.append(point)
        print({name: round(value, 2) for name, value in point.items()}, file=sys.stderr, flush=True)
        self._scoring += time.process_time() - begun

    def _found(self) -> Point:
        found: Point = {}
        training, whole = self._encoder.training, self._encoder.max_length
        self._encoder.eval()
        if self._sts:
            found["sts"] = evaluate_sts(self._encoder, self._sts, tasks=[STS_DEV]).average
        if self._search:
            self._encoder.max_length = min(whole, SHORT)
            found["search"] = evaluate_retrieval(self._encoder, self._search).mrr_at_10.value
        self._encoder.max_length = whole
        self._encoder.train(training)
        return found


def curve(
    base: str | Path,
    corpus: Corpus,
    changes: dict[str, Any],
    at: Sequence[int],
    *,
    seed: int = 1,
    search: Path | None = None,
    sts: Path | None = None,
) -> tuple[Recipe, list[Point]]:
    """Train with `auto` for as many steps as the last of `at`, and return the recipe and a point for each, and for 0.

    The recipe is that of a run; the training itself neither averages nor blends, since the points do.
    """
    folder = locate_model(base).folder
    plain = SentenceEncoder.load(folder)
    assert plain.origin is not None
    layout = plain.origin.layout
    recipe = choose(
        AUTO,
        width=plain.backbone.config.hidden_size,
        own_pooling=layout.pooling if layout.named else None,
        texts=corpus.texts,
        changes={**changes, "steps": max(at), "decay": False},  # type: ignore[typeddict-item]
        count_tokens=lambda texts: plain.tokenize(texts, plain.max_length).lengths.tolist(),
    )
    encoder = SentenceEncoder.load(folder, pooling=recipe.pooling, dropout=recipe.dropout)
    scores = Scores(encoder, recipe, at, search, sts)
    scores.score(0)
    whole = dataclasses.replace(recipe, average_last=0.0, blend="0")
    train(encoder, corpus, whole, seed=seed, after_step=scores.after_step)
    return recipe, scores.points
