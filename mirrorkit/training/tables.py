"""The gradient of a large table of embeddings, made once for all passes of a batch.

A pass looks up a few hundred of its rows, and torch would write a gradient for all thirty thousand of them and add it
to that of the pass before. So each pass hands on the rows that it looked up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mirrorkit.extras import require
from mirrorkit.model.encoder import SentenceEncoder

require("torch", extra="train")
import torch
from torch import nn

_LARGE = 4096  # rows; of fewer a gradient is written faster than it is put together


@contextmanager
def rows_alone(encoder: SentenceEncoder) -> Iterator[None]:
    """Keep the gradient of large tables as rows in the block, and make it whole at its end; on a CPU alone."""
    tables = _tables(encoder) if encoder.device.type == "cpu" else []
    for table in tables:
        table.sparse = True
    try:
        yield
    finally:
        for table in tables:
            table.sparse = False
    for table in tables:
        gradient = table.weight.grad
        if gradient is not None and gradient.is_sparse:
            rows, values = gradient._indices()[0], gradient._values()
            table.weight.grad = torch.zeros_like(table.weight).index_add_(0, rows, values)


def _tables(encoder: SentenceEncoder) -> list[nn.Embedding]:
    return [
        part
        for part in encoder.modules()
        if isinstance(part, nn.Embedding)
        and part.num_embeddings >= _LARGE
        and part.weight.requires_grad
        and not part.sparse
        and not part.scale_grad_by_freq
    ]
