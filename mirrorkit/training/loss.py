"""NT-Xent, the normalised temperature-scaled cross-entropy (Chen et al. 2020, SimCLR)."""

from __future__ import annotations

from mirrorkit.extras import require

require("torch", extra="train")
import torch
from torch import Tensor


def nt_xent(vectors: Tensor, temperature: float, labels: Tensor | None = None) -> Tensor:
    """Return the mean loss over both views of a batch.

    `vectors` is [2 * batch, dim], unit length, first views before second views; row i and row i + batch are a
    positive pair and the other 2 * batch - 2 rows its negatives. `labels` [2 * batch] names the string behind each
    row: a negative that is the same string as the anchor or as its positive is left out of the sum.

    >>> import torch
    >>> from mirrorkit import nt_xent
    >>> f"{nt_xent(torch.eye(2).repeat(2, 1), temperature=1.0):.4f}"  # log(1 + 2 / e): each row has two negatives
    '0.5514'
    """
    vectors = vectors.float()
    rows = len(vectors)
    index = torch.arange(rows, device=vectors.device)
    positive = (index + rows // 2) % rows
    left_out = torch.eye(rows, dtype=torch.bool, device=vectors.device)
    if labels is not None:
        same = (labels[:, None] == labels[None, :]) | (labels[positive][:, None] == labels[None, :])
        same[index, positive] = False
        left_out |= same
    with torch.autocast(vectors.device.type, enabled=False):
        similarity = (vectors @ vectors.T / temperature).masked_fill(left_out, float("-inf"))
        return torch.nn.functional.cross_entropy(similarity, positive)
