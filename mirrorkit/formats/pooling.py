"""How token vectors become one vector, by the names of sentence-transformers."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from mirrorkit.errors import ConfigError


class Pooling(str, Enum):
    """How token vectors become one vector; the names are those of sentence-transformers.

    Wherever a pooling is asked for its name will do, and several joined by + stand behind one another.

    >>> from mirrorkit import Pooling
    >>> print(*Pooling)
    cls mean mean-padded max mean_sqrt_len_tokens weightedmean lasttoken
    >>> Pooling("mean") is Pooling.MEAN
    True
    """

    CLS = "cls"
    MEAN = "mean"  # over real tokens
    MEAN_PADDED = "mean-padded"  # over a fixed length, padding included, as the official Mirror-BERT code does
    MAX = "max"
    MEAN_SQRT_LEN = "mean_sqrt_len_tokens"  # the sum over real tokens by the root of their number
    WEIGHTED_MEAN = "weightedmean"  # a token weighs as much as its place, counted from 1
    LAST = "lasttoken"

    def __str__(self) -> str:
        return self.value


def poolings_of(name: str) -> tuple[Pooling, ...]:
    """Return the poolings of a name such as `mean` or `cls+mean`; raises ConfigError for an unknown one."""
    try:
        modes = tuple(Pooling(part) for part in name.split("+"))
    except ValueError as err:
        raise ConfigError(f"pooling {name!r}: must be one of {', '.join(Pooling)}, or several joined by +") from err
    if Pooling.MEAN_PADDED in modes[1:] or (modes[0] is Pooling.MEAN_PADDED and modes[1:]):
        raise ConfigError(f"pooling {name!r}: {Pooling.MEAN_PADDED} stands alone")
    return modes


def pooling_name(modes: Sequence[Pooling]) -> str:
    """Return the name of one pooling or of several that stand behind one another."""
    return modes[0] if len(modes) == 1 else "+".join(modes)
