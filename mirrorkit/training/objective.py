"""What a batch is trained by: the loss of the vectors of all its texts, of which each process has a share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mirrorkit.errors import ConfigError
from mirrorkit.extras import require
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.text.ragged import Ints
from mirrorkit.training.loss import nt_xent_logits, ranking_logits
from mirrorkit.training.losses import negatives, spread
from mirrorkit.training.losses.head import Head
from mirrorkit.training.own import OwnLoss, name_of, own_loss
from mirrorkit.training.ranks import Ranks
from mirrorkit.training.recipes import Recipe

require("torch", extra="train")
import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """What a loss may know of a batch beside its vectors."""

    texts: Ints  # [pairs], the place of each pair's text in the corpus
    labels: Tensor | None = None  # [views * pairs], of the text behind each vector; None: no text is there twice
    views: int = 2  # of a pair: two, or two and a negative
    done: float = 0.0  # share of the run that lies behind, 0 to 1
    near: Tensor | None = None  # [pairs, pairs], whether two texts overlap too much to be negatives of each other

    @property
    def pairs(self) -> int:
        return len(self.texts)


class Objective:
    """The loss that a recipe names; keeps the vectors [2 * pairs, dim] of the last batch for the log."""

    def __init__(
        self, encoder: SentenceEncoder, recipe: Recipe, ranks: Ranks, own: OwnLoss | None = None, seed: int = 0
    ) -> None:
        self._encoder, self._normalized = encoder, encoder.usage.normalized
        self._recipe, self._ranks, self._own = recipe, ranks, own
        self.vectors = torch.empty(0)
        self.head = Head(encoder.dim, seed).to(encoder.device) if recipe.head else None

    def weights(self) -> Iterator[torch.nn.Parameter]:
        """Yield all that is trained."""
        yield from self._encoder.parameters()
        if self.head is not None:
            yield from self.head.parameters()

    def of(self, batch: Batch) -> Callable[[Tensor], Tensor]:
        """Return the loss as a function of this process's vectors, those of all first views before the others."""

        def loss_of(share: Tensor) -> Tensor:
            if self.head is not None:  # before the gathering, so that each process has its gradient of its own rows
                share = self.head(share)
            whole = self._ranks.gather(share, batch.pairs, batch.views)
            if not self._normalized:  # the loss compares directions; the model keeps its lengths
                whole = torch.nn.functional.normalize(whole, dim=-1)
            self.vectors = whole.detach()[: 2 * batch.pairs]
            return self._loss(whole, batch)

        return loss_of

    def _loss(self, vectors: Tensor, batch: Batch) -> Tensor:
        """Return the loss of unit vectors [views * pairs, dim]."""
        temperature = temperature_at(self._recipe, batch.done)
        if self._own is not None:
            return own_loss(self._own, vectors, temperature)
        return contrast(vectors, batch, self._recipe, temperature) + spreading(vectors, batch, self._recipe)


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


# What makes the loss of a recipe another one, and so has no place beside a loss of the user's own.
_PARTS = (
    "duplicate_cosine",
    "duplicate_overlap",
    "gaussian_negatives",
    "hard_negatives",
    "decoupled",
    "uniformity",
    "decorrelation",
    "dimension_contrast",
    "rank_weight",
)


def check_parts(recipe: Recipe, own: OwnLoss | None) -> None:
    """Raise ConfigError for parts of the loss where there is one of the user's own."""
    asked = [name for name in _PARTS if getattr(recipe, name)]
    if own is not None and asked:
        named = " and ".join(f"`{name}`" for name in asked)
        raise ConfigError(f"loss {name_of(own)}: takes the place of NT-Xent: give it without {named}")
