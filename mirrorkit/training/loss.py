"""NT-Xent, the normalised temperature-scaled cross-entropy (Chen et al. 2020, SimCLR), and ranking with negatives.

Each is a cross-entropy of logits, cosines over the temperature; what of them comes before it is there alone too.
"""

from __future__ import annotations

from mirrorkit.errors import ConfigError
from mirrorkit.extras import require

require("torch", extra="train")
import torch
from torch import Tensor


def ranking(vectors: Tensor, temperature: float, labels: Tensor | None = None) -> Tensor:
    """Return the mean loss over known pairs that have a negative each, from the first texts alone.

    `vectors` is [3 * batch, dim], unit length: first texts, their positives, their negatives. Of a first text all
    positives and negatives of the batch but its own positive are negatives; `labels` as for `nt_xent`.
    Source: supervised SimCSE, Gao et al. 2021 (arXiv:2104.08821), the multiple negatives ranking loss of others.
    """
    return torch.nn.functional.cross_entropy(*ranking_logits(vectors, temperature, labels))


def ranking_logits(vectors: Tensor, temperature: float, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the logits [batch, 2 * batch] of `ranking`, -inf for what is left out, and each positive's column."""
    first, others = vectors.float().tensor_split([len(vectors) // 3])
    index = torch.arange(len(first), device=vectors.device)
    left_out = torch.zeros(len(first), len(others), dtype=torch.bool, device=vectors.device)
    if labels is not None:
        own, theirs = labels.tensor_split([len(first)])
        left_out = (own[:, None] == theirs[None, :]) | (theirs[index][:, None] == theirs[None, :])
        left_out[index, index] = False
    with torch.autocast(vectors.device.type, enabled=False):
        return (first @ others.T / temperature).masked_fill(left_out, float("-inf")), index


def nt_xent(vectors: Tensor, temperature: float, labels: Tensor | None = None) -> Tensor:
    """Return the mean loss over both views of a batch.

    `vectors` is [2 * batch, dim], unit length, first views before second views; row i and row i + batch are a
    positive pair and the other 2 * batch - 2 rows its negatives. `labels` [2 * batch] names the string behind each
    row: a negative that is the same string as the anchor or as its positive is left out of the sum. Raises ConfigError
    for a temperature that is not above 0, and for an odd number of rows.

    >>> import torch
    >>> from mirrorkit import nt_xent
    >>> f"{nt_xent(torch.eye(2).repeat(2, 1), temperature=1.0):.4f}"  # log(1 + 2 / e): each row has two negatives
    '0.5514'
    """
    return torch.nn.functional.cross_entropy(*nt_xent_logits(vectors, temperature, labels))


def nt_xent_logits(vectors: Tensor, temperature: float, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the logits [2 * batch, 2 * batch] of `nt_xent`, -inf for what is left out, and each positive's column."""
    vectors = vectors.float()
    rows = len(vectors)
    if not temperature > 0:
        raise ConfigError(f"temperature {temperature}: must be above 0")
    if rows % 2:
        raise ConfigError(f"vectors {list(vectors.shape)}: must be first views and as many second views")
    index = torch.arange(rows, device=vectors.device)
    positive = (index + rows // 2) % rows
    left_out = torch.eye(rows, dtype=torch.bool, device=vectors.device)
    if labels is not None:
        same = (labels[:, None] == labels[None, :]) | (labels[positive][:, None] == labels[None, :])
        same[index, positive] = False
        left_out |= same
    with torch.autocast(vectors.device.type, enabled=False):
        return (vectors @ vectors.T / temperature).masked_fill(left_out, float("-inf")), positive
