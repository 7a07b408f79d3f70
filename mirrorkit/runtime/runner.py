"""What can run token ids, whatever it is: an ONNX graph, a TensorRT engine, another process."""

from __future__ import annotations

from typing import Protocol

from mirrorkit.text.ragged import Floats, Ints

# More makes a batch no faster on a CPU, where each thread has a batch of its own, and takes memory.
CPU_BATCH_TOKENS, GPU_BATCH_TOKENS = 512, 16_384


class Runner(Protocol):
    """Gives vectors for token ids. All that a proof needs."""

    def batch(self, input_ids: Ints, attention_mask: Ints, /) -> Floats:
        """Return sentence vectors float32 [batch, dim] of int64 ids and mask, both [batch, seq]."""


class LocalRunner(Runner, Protocol):
    """A runner in this process, with what an Encoder must know to fill its batches and threads."""

    @property
    def callers(self) -> int:
        """How many batches may be run at a time, each by a caller of its own; see `for_callers`."""

    @property
    def batch_tokens(self) -> int:
        """How many tokens, padding included, a batch has unless told otherwise."""

    @property
    def max_rows(self) -> int | None:
        """How many texts a batch may have; None: any number."""

    @property
    def dim(self) -> int | None:
        """Length of a vector; None: only a batch can tell."""

    def for_callers(self) -> Runner:
        """Return what runs the same for `callers` callers at a time."""
