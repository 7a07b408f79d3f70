"""Which negatives the contrastive loss has, and how much each counts.

All take logits [anchors, candidates], cosines over the temperature in which -inf is no candidate, and `positive`
[anchors], the column of each anchor's positive.
"""

from __future__ import annotations

from mirrorkit.extras import require

require("torch", extra="train")
import torch
from torch import Tensor


def without_pairs(logits: Tensor, near: Tensor) -> Tensor:
    """Return the logits without the negatives of another pair that is `near` [pairs, pairs] to the anchor's own."""
    rows, columns = logits.shape[0] // len(near), logits.shape[1] // len(near)
    apart = near & ~torch.eye(len(near), dtype=torch.bool, device=near.device)
    return logits.masked_fill(apart.repeat(rows, columns), float("-inf"))


def harder(logits: Tensor, positive: Tensor, beta: float) -> Tensor:
    """Return the logits with each negative counted exp(`beta` * its logit) times, over the mean of that by anchor.

    The weights have a gradient too, as in the authors' code. Source: the importance weights of Robinson et al. 2021
    (arXiv:2010.04592), without their correction for false negatives (tau+ = 0).
    """
    negatives = _negatives(logits, positive)
    count = (~negatives.isneginf()).sum(dim=1, keepdim=True)
    mean = torch.logsumexp(beta * negatives, dim=1, keepdim=True) - count.log()
    weighted = negatives + beta * negatives - mean.masked_fill(count == 0, 0)
    return weighted.scatter(1, positive[:, None], logits.gather(1, positive[:, None]))


def decoupled(logits: Tensor, positive: Tensor) -> Tensor:
    """Return the mean loss whose denominator has the negatives alone; an anchor without any has a loss of 0.

    Source: DCL, Yeh et al. 2022 (arXiv:2110.06848).
    """
    others = torch.logsumexp(_negatives(logits, positive), dim=1)
    losses = others - logits.gather(1, positive[:, None])[:, 0]
    return torch.where(others.isneginf(), torch.zeros_like(losses), losses).mean()


def _negatives(logits: Tensor, positive: Tensor) -> Tensor:
    return logits.scatter(1, positive[:, None], float("-inf"))
