"""Terms beside the contrastive loss that did not pay, as losses of one's own: the ladder says how each was tried.

They spread the vectors of a batch over the sphere or over its dimensions, or change which negatives there are.
"""

from __future__ import annotations

from collections.abc import Callable

from mirrorkit.extras import require
from mirrorkit.training.loss import nt_xent, nt_xent_logits
from mirrorkit.training.own import OwnLoss

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


def without_near(logits: Tensor, positive: Tensor, temperature: float, most: float) -> Tensor:
    """Return the logits without the negatives whose cosine to the anchor is above `most`, as the model has it now.

    Source: the instance weights of DCLR, Zhou et al. 2022 (arXiv:2205.00656), there by another model's cosines.
    """
    near = logits.detach() > most / temperature
    near[torch.arange(len(positive), device=logits.device), positive] = False
    return logits.masked_fill(near, float("-inf"))


def with_gaussian(logits: Tensor, anchors: Tensor, noise: Tensor, temperature: float) -> Tensor:
    """Return the logits with one more column for each row of `noise` [count, dim], a negative of all `anchors`.

    Source: GS-InfoNCE, Wu et al. 2022 (arXiv:2109.04321).
    """
    noise = torch.nn.functional.normalize(noise, dim=-1)
    return torch.cat([logits, anchors.float() @ noise.T / temperature], dim=1)


def _beside(term: Callable[[Tensor, Tensor], Tensor], weight: float) -> OwnLoss:
    def loss(first: Tensor, second: Tensor, temperature: float) -> Tensor:
        return nt_xent(torch.cat([first, second]), temperature) + weight * term(first, second)

    return loss


def _gaussian(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    vectors = torch.cat([first, second])
    logits, positive = nt_xent_logits(vectors, temperature)
    noise = torch.randn(len(first), vectors.shape[1], device=vectors.device)
    return torch.nn.functional.cross_entropy(with_gaussian(logits, vectors, noise, temperature), positive)


def _distinct(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    logits, positive = nt_xent_logits(torch.cat([first, second]), temperature)
    return torch.nn.functional.cross_entropy(without_near(logits, positive, temperature, 0.9), positive)


OWN_LOSSES: dict[str, OwnLoss] = {
    "decorrelation 0.01": _beside(decorrelation, 0.01),
    "decorrelation 1": _beside(decorrelation, 1.0),
    "dimension contrast 0.1": _beside(dimension_contrast, 0.1),
    "uniformity 0.1": _beside(uniformity, 0.1),
    "Gaussian negatives 1": _gaussian,
    "near-duplicates at 0.9": _distinct,
    "rank 0.1": _beside(lambda first, second: -entropy(torch.cat([first, second])), 0.1),
}
