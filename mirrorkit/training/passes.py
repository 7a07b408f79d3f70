"""How a batch goes through the encoder: in passes over texts of similar length, once or twice, within a memory.

Where the graphs of all passes fit into memory at once, they are kept. Where they do not, the batch goes through twice:
first without graphs, for the vectors and the gradient of the loss of the whole batch; then, pass by pass and with the
same random numbers, to hand each vector's gradient down to the weights. The sum is the gradient of the whole batch.

Source of the second way: Gao et al. 2021 (GradCache, arXiv:2101.06983).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mirrorkit.errors import ConfigError
from mirrorkit.extras import require
from mirrorkit.formats.pooling import Pooling
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.text.ragged import Ints, RaggedIds, homogeneous_chunks
from mirrorkit.training.memory import Costs, Memory, give_back_freed, measure, size_text
from mirrorkit.training.tables import rows_alone

require("torch", extra="train")
import torch
from torch import Tensor

log = logging.getLogger(__name__)

# What one more pass through the encoder costs, in tokens: the time the machine takes to start it, measured as the
# number of tokens it could have worked on meanwhile. A GPU is so fast that it prefers few large passes.
_PASS_OVERHEAD = {"cpu": 64, "cuda": 8192, "mps": 2048}
_MANY = 50  # batches that are looked at to say what all will take
# What oneDNN, which multiplies anything but fp32 on a CPU, keeps of its code for a pass of another shape, and in all.
_KERNELS, _MOST_KERNELS = 3_300_000, 370_000_000


@dataclass(frozen=True)
class Passes:
    """The passes that one batch takes."""

    chunks: list[Ints]  # places in the batch, each chunk a pass
    twice: bool  # whether the graphs are too large to be kept, so that each pass is made again
    kept: float  # bytes of the graphs that are there at once
    whole: float  # bytes of the graphs of all passes
    pad_to: int | None  # tokens that every text is padded to; None: to the longest of its pass


@dataclass(frozen=True)
class Budget:
    """What the passes of a training may take of the memory, and what they will."""

    memory: Memory
    room: float  # bytes for the graphs that are there at once
    predicted: int  # bytes that the process, or the GPU, will have held at the most
    passes: int  # in the batch that has most of them
    twice: bool  # whether a batch goes through the encoder twice

    def passes_over(self, encoder: SentenceEncoder, lengths: Ints, max_length: int) -> Passes:
        """Return the passes over a batch of texts of these lengths."""
        return plan_passes(encoder, lengths, max_length, self.memory.costs, self.room)


def plan_passes(
    encoder: SentenceEncoder, lengths: Ints, max_length: int, costs: Costs | None = None, room: float = math.inf
) -> Passes:
    """Plan the passes over texts of these lengths in tokens, so that their graphs take at most `room` bytes.

    A pass has at least one text, whatever the room.
    """
    pad_to = max_length if encoder.pooling == Pooling.MEAN_PADDED else None
    overhead = _PASS_OVERHEAD.get(encoder.device.type, _PASS_OVERHEAD["cuda"])
    chunks = [np.arange(len(lengths))] if pad_to else homogeneous_chunks(lengths, overhead)
    if costs is None:
        return Passes(chunks, False, 0.0, 0.0, pad_to)
    widths = [pad_to or int(lengths[chunk].max()) for chunk in chunks]
    each = [len(chunk) * costs.of_row(width) for chunk, width in zip(chunks, widths, strict=True)]
    whole = sum(each) + costs.passing * max(each)
    if whole <= room:
        return Passes(chunks, False, whole, whole, pad_to)
    smaller, largest = [], 0.0
    for chunk, width in zip(chunks, widths, strict=True):
        row = costs.of_row(width) * (1 + costs.passing)
        parts = np.array_split(chunk, -(-len(chunk) // max(1, int(room // row))))
        largest = max(largest, len(parts[0]) * row)
        smaller += parts
    return Passes(smaller, True, largest, whole, pad_to)


def plan_memory(
    encoder: SentenceEncoder,
    dtype: torch.dtype,
    batches: Sequence[Ints],
    max_length: int,
    *,
    steps: int,
    limit: int | None = None,
    room: float | None = None,
    share: int = 1,
    recomputed: bool = False,
) -> Budget:
    """Measure what this model needs and say what these batches, each the lengths of its texts in tokens, will take.

    They stand for those of all the `steps`. `limit` is how many bytes may be held in all; without it what is free is
    divided by `share` processes. `room` fixes what the graphs may take; `recomputed` are layers that keep only what
    goes into them. Raises ConfigError where not even one text fits into the limit.
    """
    padded = encoder.pooling == Pooling.MEAN_PADDED
    longest = max_length if padded else max(int(lengths.max()) for lengths in batches)
    some = batches[:_MANY]
    memory = measure(encoder, dtype, longest, limit, share, recomputed=recomputed)
    if encoder.device.type == "cpu" and dtype != torch.float32:
        kept = _shapes(encoder, some, max_length) / len(some) * steps * _KERNELS
        memory = replace(memory, basis=memory.basis + min(kept, _MOST_KERNELS))
    memory.check(longest)
    room = memory.room if room is None else room
    plans = [plan_passes(encoder, lengths, max_length, memory.costs, room) for lengths in some]
    largest = max(plans, key=lambda plan: plan.whole)
    budget = Budget(
        memory,
        room,
        predicted=int(max(memory.peak, memory.basis + max(plan.kept for plan in plans))),
        passes=max(len(plan.chunks) for plan in plans),
        twice=largest.twice,
    )
    if largest.twice:
        log.log(
            logging.INFO if memory.asked else logging.WARNING,
            "a batch would take %s of memory and %s: it goes through the model in %d parts, twice, to the same effect",
            size_text(memory.basis + largest.whole),
            f"{size_text(memory.limit or 0)} {'are asked for' if memory.asked else 'can be had'}",
            budget.passes,
        )
    return budget


def _shapes(encoder: SentenceEncoder, batches: Sequence[Ints], max_length: int) -> int:
    """Return how many shapes the passes over these batches have."""
    plans = ((lengths, plan_passes(encoder, lengths, max_length)) for lengths in batches)
    return len({(len(chunk), int(lengths[chunk].max())) for lengths, plan in plans for chunk in plan.chunks})


def gradients(
    encoder: SentenceEncoder,
    ids: RaggedIds,
    rows: Ints,
    passes: Passes,
    loss_of: Callable[[Tensor], Tensor],
    *,
    dtype: torch.dtype = torch.float32,
    scale: Callable[[Tensor], Tensor] = lambda loss: loss,
) -> Tensor:
    """Add the gradient of `loss_of(vectors of rows)` to the weights' own and return the loss.

    `loss_of` gets the vectors [len(rows), dim] in the order of `rows`. Matrices are multiplied in `dtype`; what is
    differentiated is the loss times what `scale` makes of it.
    """
    with rows_alone(encoder):
        return _gradients(encoder, ids, rows, passes, loss_of, dtype, scale)


def _gradients(
    encoder: SentenceEncoder,
    ids: RaggedIds,
    rows: Ints,
    passes: Passes,
    loss_of: Callable[[Tensor], Tensor],
    dtype: torch.dtype,
    scale: Callable[[Tensor], Tensor],
) -> Tensor:
    device = encoder.device
    unpooled = encoder.unpooled()

    def through(chunk: Ints) -> Tensor:
        arrays = encoder.batch(ids, rows[chunk], passes.pad_to, unpooled=unpooled)
        tensors = (torch.from_numpy(array).to(device, non_blocking=True) for array in arrays)
        vectors: Tensor = encoder(*tensors).sentence_embedding
        return vectors

    def cast() -> torch.autocast:  # a block of its own each time: what it casts without a graph it would give again
        return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)

    outputs, states = [], []
    with cast(), torch.set_grad_enabled(not passes.twice):
        for chunk in passes.chunks:
            states.append(random_state(device) if passes.twice else None)
            outputs.append(through(chunk))
    order = torch.from_numpy(np.concatenate(passes.chunks)).to(device)
    vectors = torch.cat([output.detach() for output in outputs])[torch.argsort(order)].requires_grad_()
    loss = loss_of(vectors)
    scale(loss).backward()  # type: ignore[no-untyped-call]
    if vectors.grad is None:
        raise ConfigError("the `loss` does not depend on the vectors, so there is nothing to train the model by")
    parts = torch.split(vectors.grad[order], [len(chunk) for chunk in passes.chunks])
    if not passes.twice:
        torch.autograd.backward(outputs, parts)
        return loss.detach()
    for chunk, state, part in zip(passes.chunks, states, parts, strict=True):
        assert state is not None  # as `twice` says
        set_random_state(state, device)
        with cast():
            output = through(chunk)
        torch.autograd.backward([output], [part])
        del output
        give_back_freed()
    return loss.detach()


def random_state(device: torch.device) -> list[Tensor]:
    """Return the states of the generators that dropout on `device` draws from."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    elif device.type == "mps":
        states.append(torch.mps.get_rng_state())
    return states


def set_random_state(states: list[Tensor], device: torch.device) -> None:
    """Put the generators back to where `random_state` found them."""
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(states[1])
