"""Terms beside the contrastive loss that spread the vectors of a batch, over the sphere or over its dimensions."""

from __future__ import annotations

from mirrorkit.extras import require

require("torch", extra="train")
import torch
from torch import Tensor

_OFF_DIAGONAL = 0.005  # weight of a correlation between two dimensions, as in Barlow Twins
_SOFTNESS = 5.0  # temperature of the softmax over dimensions, as in the code of SimCSE++


def decorrelation(first: Tensor, second: Tensor) -> Tensor:
    """Return how far the correlation of two views [batch, dim] across dimensions is from the identity.

    It is the mean over dimensions, where the authors have the sum, so that a weight means the same for any width.
    Source: Barlow Twins, Zbontar et al. 2021 (arXiv:2103.03230).
    """
    squares = (_correlation(first, second) - torch.eye(first.shape[1], device=first.device)).square()
    diagonal = squares.diagonal().sum()
    return (diagonal + _OFF_DIAGONAL * (squares.sum() - diagonal)) / first.shape[1]


def dimension_contrast(first: Tensor, second: Tensor) -> Tensor:
    """Return the mean cross-entropy of finding each dimension of the first view [batch, dim] among the second's.

    Source: dimension-wise contrastive learning, SimCSE++, Xu et al. 2023 (arXiv:2305.13192).
    """
    correlation = _correlation(first, second)
    return torch.nn.functional.cross_entropy(
        correlation / _SOFTNESS, torch.arange(len(correlation), device=first.device)
    )


def uniformity(first: Tensor, second: Tensor, labels: Tensor | None = None) -> Tensor:
    """Return log mean exp(-2 |x - y|^2) over the pairs of a view's unit vectors [batch, dim], the mean of both views.

    `labels` [2 * batch] name the text of each vector: two of one text are no pair.
    Source: Wang and Isola 2020 (arXiv:2005.10242).
    """
    names = (None, None) if labels is None else labels[: 2 * len(first)].chunk(2)
    return (_uniformity(first, names[0]) + _uniformity(second, names[1])) / 2


def entropy(vectors: Tensor) -> Tensor:
    """Return the entropy of the eigenvalues of the autocorrelation of unit vectors [rows, dim], from 0 to log(dim).

    It is the logarithm of an effective rank, that of Roy and Vetterli 2007 taken over squared singular values.
    Source: von Neumann entropy, VNE, Kim et al. 2023 (arXiv:2304.01434).
    """
    vectors = vectors.float()
    smaller = vectors @ vectors.T if len(vectors) < vectors.shape[1] else vectors.T @ vectors
    shares = torch.linalg.eigvalsh(smaller / len(vectors)).clamp(min=1e-12)  # those left out are 0 in both
    total: Tensor = torch.special.entr(shares).sum()
    return total


def _uniformity(vectors: Tensor, labels: Tensor | None) -> Tensor:
    one, other = torch.triu_indices(len(vectors), len(vectors), 1, device=vectors.device)
    if labels is not None:
        distinct = labels[one] != labels[other]
        one, other = one[distinct], other[distinct]
    if not len(one):
        return vectors.sum() * 0
    vectors = vectors.float()
    squares = vectors.square().sum(dim=1)
    distances = squares[one] + squares[other] - 2 * (vectors @ vectors.T)[one, other]
    return torch.logsumexp(-2 * distances, dim=0) - torch.tensor(float(len(one)), device=vectors.device).log()


def _correlation(first: Tensor, second: Tensor) -> Tensor:
    """Return the correlation [dim, dim] of each dimension of one with each of the other over the batch."""
    return _standard(first).T @ _standard(second) / len(first)


def _standard(vectors: Tensor) -> Tensor:
    centred = vectors.float() - vectors.float().mean(dim=0)
    return centred * torch.rsqrt(centred.square().mean(dim=0) + 1e-5 / vectors.shape[1])
