"""Dropout at a third of its price on a CPU: 16 random bits decide over an element.

torch draws a number for each element, which takes a seventh of a training step; here four elements share 64 bits. They
are of torch's generator, so that a seed, a second pass, a layer computed again and a resumed run draw the same. The
probability is rounded to the next 65,536th, and what is kept is scaled by that, so that the mean stays what it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

from mirrorkit.extras import require
from mirrorkit.model.encoder import SentenceEncoder

require("torch", extra="train")
import torch
from torch import Tensor, nn

_STEPS = 1 << 16  # values of 16 bits
_INTEGERS = {torch.bfloat16: torch.int16, torch.float16: torch.int16, torch.float32: torch.int32}


@contextmanager
def cheap_dropout(encoder: SentenceEncoder) -> Iterator[None]:
    """Let the layers of dropout draw in that way in the block, on a CPU; attention that torch fuses draws as ever."""
    on_cpu = encoder.device.type == "cpu"
    layers: list[Any] = [part for part in encoder.modules() if type(part) is nn.Dropout and on_cpu]
    for layer in layers:
        layer.forward = partial(_drop, layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _drop(layer: nn.Dropout, given: Tensor) -> Tensor:
    if not layer.training or given.dtype not in _INTEGERS or not 0 < round(layer.p * _STEPS) < _STEPS:
        return nn.Dropout.forward(layer, given)
    drawn = factors(given.shape, layer.p, given.dtype)
    return given.mul_(drawn) if layer.inplace else given * drawn


def factors(shape: torch.Size, p: float, dtype: torch.dtype) -> Tensor:
    """Return what each element is multiplied by: 0 with probability `p`, else 1 / (1 - p)."""
    count = shape.numel()
    bits = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(1 << 63), None).view(torch.int16)
    dropped, kept = _numbers(p, dtype)
    # A comparison into the same type is vectorised; what is kept gets the bits of its factor.
    drawn = bits[:count].view(shape).ge_(dropped - _STEPS // 2)
    return drawn.to(_INTEGERS[dtype]).mul_(kept).view(dtype)


@cache
def _numbers(p: float, dtype: torch.dtype) -> tuple[int, int]:
    """Return how many of the values of 16 bits drop an element, and the bits of the factor of the others."""
    dropped = round(p * _STEPS)
    kept = torch.tensor(_STEPS / (_STEPS - dropped), dtype=dtype).view(_INTEGERS[dtype])
    return dropped, int(kept)
