"""Vectors that may be cut: the leading components are trained to be a vector too (Matryoshka).

Source of the method: Kusupati et al. 2022, "Matryoshka Representation Learning", NeurIPS (arXiv:2205.13147).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mirrorkit.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

_WANTED = "lengths of shorter vectors such as 64,128,256: whole numbers above 0, each once"


def parse_dims(asked: str) -> tuple[int, ...]:
    """Return the lengths that `64,128,256` names, the shortest first; none for an empty text.

    Raises ConfigError for anything but whole numbers above 0, each there once.
    """
    if not asked.strip():
        return ()
    parts = [part.strip() for part in asked.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 10 and int(part) for part in parts):
        raise ConfigError(f"matryoshka {asked!r}: must be {_WANTED}")
    dims = sorted(map(int, parts))
    if len(set(dims)) < len(dims):
        raise ConfigError(f"matryoshka {asked!r}: must be {_WANTED}")
    return tuple(dims)


def check_dims(dims: Sequence[int], dim: int) -> None:
    """Raise ConfigError for lengths that are no cut of a vector of `dim` components."""
    if dims and dims[-1] >= dim:
        raise ConfigError(
            f"matryoshka {','.join(map(str, dims))}: the model's vectors have {dim} dimensions, so each must be from 1 "
            f"to {dim - 1}; the whole vector is always trained"
        )


def nested(loss: Callable[[Tensor], Tensor], vectors: Tensor, dims: Sequence[int]) -> Tensor:
    """Return the mean of the loss of unit vectors [n, dim] and of their first components, for each of `dims`.

    The components that are kept are brought to unit length again. All lengths weigh the same. The sum with weight 1
    each, as sentence-transformers' MatryoshkaLoss has it, is `len(dims) + 1` times the mean; AdamW takes the same step
    for both.
    """
    from torch.nn.functional import normalize

    whole = loss(vectors)
    if not dims:
        return whole
    cuts = [loss(normalize(vectors[:, :dim], dim=-1)) for dim in dims]
    total: Tensor = sum(cuts, start=whole)
    return total / (len(dims) + 1)
