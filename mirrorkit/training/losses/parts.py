"""The loss of a batch by the parts that a recipe wants: NT-Xent or ranking, and what may be added to it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from mirrorkit.errors import ConfigError
from mirrorkit.extras import require
from mirrorkit.training.loss import nt_xent_logits, ranking_logits
from mirrorkit.training.losses import negatives, spread
from mirrorkit.training.own import OwnLoss, name_of
from mirrorkit.training.recipes import Recipe

if TYPE_CHECKING:
    from mirrorkit.training.objective import Batch

require("torch", extra="train")
import torch
from torch import Tensor


def temperature_at(recipe: Recipe, done: float) -> float:
    """Return the temperature once the share `done` of the run lies behind, on a line from its start to its end."""
    start = recipe.temperature_start or recipe.temperature
    return recipe.temperature if start == recipe.temperature else start + done * (recipe.temperature - start)


def contrast(vectors: Tensor, batch: Batch, recipe: Recipe, temperature: float) -> Tensor:
    """Return the contrastive loss, with those negatives that the recipe wants and as much weight as it gives them."""
    logits_of = nt_xent_logits if batch.views == 2 else ranking_logits
    logits, positive = logits_of(vectors, temperature, batch.labels)
    if recipe.duplicate_cosine:
        logits = negatives.without_near(logits, positive, temperature, recipe.duplicate_cosine)
    if batch.near is not None:
        logits = negatives.without_pairs(logits, batch.near)
    if count := round(recipe.gaussian_negatives * batch.pairs):
        noise = negatives.gaussian_noise(batch.texts, count, vectors.shape[1], vectors.device)
        logits = negatives.with_gaussian(logits, vectors[: len(logits)], noise, temperature)
    if recipe.hard_negatives:
        logits = negatives.harder(logits, positive, recipe.hard_negatives)
    if recipe.decoupled:
        return negatives.decoupled(logits, positive)
    return torch.nn.functional.cross_entropy(logits, positive)


def spreading(vectors: Tensor, batch: Batch, recipe: Recipe) -> Tensor | float:
    """Return the terms beside it, of first and second views, by the recipe's weights; 0 where it gives none any."""
    first, second = vectors[: batch.pairs], vectors[batch.pairs : 2 * batch.pairs]
    total: Tensor | float = 0.0
    if recipe.uniformity:
        total = total + recipe.uniformity * spread.uniformity(first, second, batch.labels)
    if recipe.decorrelation:
        total = total + recipe.decorrelation * spread.decorrelation(first, second)
    if recipe.dimension_contrast:
        total = total + recipe.dimension_contrast * spread.dimension_contrast(first, second)
    if recipe.rank_weight:
        total = total - recipe.rank_weight * spread.entropy(vectors[: 2 * batch.pairs])
    return total


def check_parts(recipe: Recipe, own: OwnLoss | None) -> None:
    """Raise ConfigError for parts of the loss where there is one of the user's own."""
    parts = [field.name for field in dataclasses.fields(recipe) if "part" in field.metadata]
    asked = [f"`{name}`" for name in parts if getattr(recipe, name)]
    if own is not None and asked:
        raise ConfigError(f"loss {name_of(own)}: takes the place of NT-Xent: give it without {' and '.join(asked)}")
