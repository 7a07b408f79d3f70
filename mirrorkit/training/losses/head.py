"""A layer between the vectors and the loss that is trained with the encoder and never saved with it."""

from __future__ import annotations

from mirrorkit.extras import require

require("torch", extra="train")
import torch
from torch import Tensor, nn

_SPREAD = 0.02  # standard deviation of the first weights, as BERT's own


class Head(nn.Module):
    """A linear layer and tanh, of the width of the vectors; the components of what goes in have a mean square of 1.

    The first weights are those of `seed`. Source: the unsupervised SimCSE, Gao et al. 2021 (arXiv:2104.08821), whose
    layer is there in training only.
    """

    def __init__(self, dim: int, seed: int) -> None:
        super().__init__()
        numbers = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.empty(dim, dim).normal_(0, _SPREAD, generator=numbers))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, vectors: Tensor) -> Tensor:
        """Return unit vectors [batch, dim] of vectors [batch, dim]."""
        scaled = nn.functional.normalize(vectors.float(), dim=-1) * vectors.shape[1] ** 0.5
        return nn.functional.normalize(torch.tanh(nn.functional.linear(scaled, self.weight, self.bias)), dim=-1)
