"""What a training step takes of the memory, known before the first one: measured on a few rows, then worked out."""

from __future__ import annotations

import ctypes
import math
import os
import re
from dataclasses import dataclass, replace

from mirrorkit.errors import ConfigError
from mirrorkit.extras import require
from mirrorkit.machine.facts import peak_memory_bytes
from mirrorkit.machine.memory import free_bytes, resident_bytes
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.training.recompute import not_recomputing

require("torch", extra="train")
import torch
from torch import Tensor

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgt]?)(i?)b?", re.IGNORECASE)
_USED = 0.9  # share of the limit that is planned with: the C library does not use all that it takes
_COPIES = 3  # of every weight: its gradient and the two means of AdamW
_PASSING = 1.5  # layers whose gradients are held at once on the way back; measured with 4, 6 and 12 layers
_LONG = 128  # tokens of the longest row that is measured


@dataclass(frozen=True)
class Costs:
    """Bytes that a pass keeps for going back through it."""

    token: float  # a token
    square: float  # a token times a token of the same text: attention
    fixed: float  # a pass of any size: the weights in the type that matrices are multiplied in
    passing: float  # held for a moment on the way back, as a share of what the pass keeps

    def of_row(self, width: int) -> float:
        """Return the bytes of one text of `width` tokens, padding included."""
        return self.token * width + self.square * width * width


@dataclass(frozen=True)
class Memory:
    """What training may take and what it needs, in bytes; of the GPU where it runs on one, else of this process."""

    limit: int | None  # None: the system does not tell what is free
    asked: bool  # whether the limit is the user's
    basis: float  # all that is there whatever the batch: this process so far, gradients, the optimizer
    costs: Costs
    peak: int  # that was held so far

    @property
    def room(self) -> float:
        """Bytes for the graphs that are kept at once."""
        return float("inf") if self.limit is None else _USED * self.limit - self.basis

    def check(self, width: int) -> None:
        """Raise ConfigError where not even one text of `width` tokens fits."""
        needed = (self.basis + self.costs.of_row(width) * (1 + self.costs.passing)) / _USED
        if self.asked and self.limit is not None and needed > self.limit:
            raise ConfigError(
                f"memory {size_text(self.limit)}: must be at least {size_text(needed)}, for one text of {width} tokens "
                "at a time; a smaller model or `max_length` takes less"
            )


def give_back_freed() -> None:
    """Have the C library give freed memory back to the system, where it can: else what is free in it lies scattered."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def size_of(text: str | None) -> int | None:
    """Return the bytes that `text` names, such as 4GB, 500 MB or 3.5GiB; raises ConfigError for anything else."""
    if text is None:
        return None
    match = _SIZE.fullmatch(text.strip())
    if not match or not float(match[1]):
        raise ConfigError(f"memory {text!r}: must be a size such as 4GB or 500MB")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** " kmgt".index(match[2].lower() or " "))


def size_text(size: float) -> str:
    """Return a size for people."""
    return f"{size / 1e9:.1f} GB" if size >= 1e10 else f"{math.ceil(size / 1e6):,} MB"


def measure(
    encoder: SentenceEncoder,
    dtype: torch.dtype,
    longest: int,
    limit: int | None,
    share: int = 1,
    *,
    recomputed: bool = False,
) -> Memory:
    """Try a few short passes and return what training will need; the random numbers stay as they were.

    `longest` is the length of the longest text in tokens; `share` is how many processes divide what is free;
    `recomputed` are layers that are computed again on the way back.
    """
    device = encoder.device
    layers = encoder.trained_layers or getattr(encoder.backbone.config, "num_hidden_layers", None) or 1
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        costs = _costs(encoder, dtype, longest, _PASSING / layers)
        if recomputed:
            with not_recomputing(encoder):
                whole = _costs(encoder, dtype, longest, 0.0)
            one_layer = whole.of_row(longest) / layers  # is there again while the gradient goes through it
            costs = replace(costs, passing=(1 + _PASSING) * one_layer / costs.of_row(longest))
    weights = [p.numel() * p.element_size() for p in encoder.parameters()]
    trained = sum(p.numel() * p.element_size() for p in encoder.parameters() if p.requires_grad)
    now, peak = _held(device)
    more = _COPIES * trained + max(weights) + costs.fixed
    if limit is None:
        free = _free(device)
        return Memory(None if free is None else int(now + free / share), False, now + more, costs, peak)
    return Memory(limit, True, now + more, costs, peak)


def _costs(encoder: SentenceEncoder, dtype: torch.dtype, longest: int, passing: float) -> Costs:
    width = min(longest, _LONG)
    half = max(1, width // 2)
    one, two, shorter = (_kept(encoder, dtype, *shape) for shape in ((1, width), (2, width), (2, half)))
    row, fixed = two - one, max(0.0, 2 * one - two)
    half_row = max(0.0, (shorter - fixed) / 2)
    square = max(0.0, (row / width - half_row / half) / (width - half)) if width > half else 0.0
    return Costs(token=row / width - square * width, square=square, fixed=fixed, passing=passing)


def _kept(encoder: SentenceEncoder, dtype: torch.dtype, rows: int, width: int) -> float:
    """Return the bytes that a pass keeps, over and above the weights.

    It goes back as well, so that what the libraries load for that is there when the process is looked at.
    """
    own = {p.untyped_storage().data_ptr() for p in encoder.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    device = encoder.device
    ids = torch.full((rows, width), encoder.tokenizer.pad_token_id, device=device)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            vectors = encoder(ids, torch.ones_like(ids)).sentence_embedding
        vectors.sum().backward()
    encoder.zero_grad(set_to_none=True)
    return float(sum(kept.values()))


def _held(device: torch.device) -> tuple[int, int]:
    """Return the bytes that are held now, and the most that were."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device), torch.cuda.max_memory_allocated(device)
    peak = peak_memory_bytes() or 0
    return resident_bytes() or peak, peak


def _free(device: torch.device) -> int | None:
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    return free_bytes()
