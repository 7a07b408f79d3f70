"""The loss of a batch by the parts that a recipe wants: NT-Xent or ranking, and what may be added to it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from mirrorkit.errors import ConfigError
from mirrorkit.extras import require
from mirrorkit.training.loss import nt_xent_logits, ranking_logits
from mirrorkit.training.losses import negatives
from mirrorkit.training.own import OwnLoss, name_of
from mirrorkit.training.recipe import Recipe

if TYPE_CHECKING:
    from mirrorkit.training.objective import Batch

require("torch", extra="train")
import torch
from torch import Tensor


def contrast(vectors: Tensor, batch: Batch, recipe: Recipe) -> Tensor:
    """Return the contrastive loss, with those negatives that the recipe wants and as much weight as it gives them."""
    logits_of = nt_xent_logits if batch.views == 2 else ranking_logits
    logits, positive = logits_of(vectors, recipe.temperature, batch.labels)
    if batch.near is not None:
        logits = negatives.without_pairs(logits, batch.near)
    if recipe.hard_negatives:
        logits = negatives.harder(logits, positive, recipe.hard_negatives)
    if recipe.decoupled:
        return negatives.decoupled(logits, positive)
    return torch.nn.functional.cross_entropy(logits, positive)


def check_parts(recipe: Recipe, own: OwnLoss | None) -> None:
    """Raise ConfigError for parts of the loss where there is one of the user's own."""
    parts = [field.name for field in dataclasses.fields(recipe) if "part" in field.metadata]
    asked = [f"`{name}`" for name in parts if getattr(recipe, name)]
    if own is not None and asked:
        raise ConfigError(f"loss {name_of(own)}: takes the place of NT-Xent: give it without {' and '.join(asked)}")
