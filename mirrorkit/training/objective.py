"""What a batch is trained by: the loss of the vectors of all its texts, of which each process has a share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mirrorkit.extras import require
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.text.ragged import Ints
from mirrorkit.training.losses.parts import contrast
from mirrorkit.training.matryoshka import check_dims, nested
from mirrorkit.training.own import OwnLoss, own_loss
from mirrorkit.training.ranks import Ranks
from mirrorkit.training.recipe import Recipe
from mirrorkit.training.teacher import Taught

require("torch", extra="train")
import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """What a loss may know of a batch beside its vectors."""

    texts: Ints  # [pairs], the place of each pair's text in the corpus
    labels: Tensor | None = None  # [views * pairs], of the text behind each vector; None: no text is there twice
    views: int = 2  # of a pair: two, or two and a negative
    near: Tensor | None = None  # [pairs, pairs], whether two texts overlap too much to be negatives of each other

    @property
    def pairs(self) -> int:
        return len(self.texts)


class Objective:
    """The loss that a recipe names; keeps the vectors [2 * pairs, dim] of the last batch for the log."""

    def __init__(
        self,
        encoder: SentenceEncoder,
        recipe: Recipe,
        ranks: Ranks,
        own: OwnLoss | None = None,
        taught: Taught | None = None,
    ) -> None:
        self._normalized = encoder.usage.normalized
        self._recipe, self._ranks, self._own, self._taught = recipe, ranks, own, taught
        self._cuts = recipe.cut_dims
        check_dims(self._cuts, encoder.dim)
        self.vectors = torch.empty(0)

    def of(self, batch: Batch) -> Callable[[Tensor], Tensor]:
        """Return the loss as a function of this process's vectors, those of all first views before the others."""

        def loss_of(share: Tensor) -> Tensor:
            whole = self._ranks.gather(share, batch.pairs, batch.views)
            if not self._normalized:  # the loss compares directions; the model keeps its lengths
                whole = torch.nn.functional.normalize(whole, dim=-1)
            self.vectors = whole.detach()[: 2 * batch.pairs]
            return nested(lambda vectors: self._loss(vectors, batch), whole, self._cuts)

        return loss_of

    def _loss(self, vectors: Tensor, batch: Batch) -> Tensor:
        """Return the loss of unit vectors [views * pairs, dim]."""
        if self._own is not None:
            return own_loss(self._own, vectors, self._recipe.temperature)
        value = contrast(vectors, batch, self._recipe)
        return value if self._taught is None else value + self._taught.loss(vectors, batch)
