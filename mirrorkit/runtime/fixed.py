"""Batches in a few fixed shapes, in buffers that stay where they are: what CUDA graphs need.

A graph replays the kernels of one shape at the addresses that it was captured with, and saves launching each by itself,
which is where a small batch on a GPU spends its time. A large one keeps the GPU busy meanwhile: it runs as it is.
Rows and tokens are filled up to powers of two. The graph masks padding, so the vectors are the same but for the order
of sums.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mirrorkit.errors import BundleError
from mirrorkit.extras import require
from mirrorkit.foreign import reason
from mirrorkit.runtime.session import OnnxSession
from mirrorkit.text.ragged import Floats, Ints

FIXED_TOKENS = 2_048  # of a batch, filled up; with more, launching is little beside computing
SHORTEST = 8  # tokens; tensor cores work in eights


def fixed_shape(rows: int, width: int, longest: int) -> tuple[int, int] | None:
    """Return the shape [rows, tokens] that a batch is filled up to; None: it runs as it is.

    Powers of two, at least 8 tokens and no more than `longest`, which the model takes.
    """
    tall = 1 << max(0, rows - 1).bit_length()
    wide = min(longest, max(SHORTEST, 1 << max(0, width - 1).bit_length()))
    return (tall, wide) if width <= wide and tall * wide <= FIXED_TOKENS else None


@dataclass
class _Bound:
    """One shape: its place in memory, and what runs there."""

    binding: Any
    options: Any
    inputs: Mapping[str, Any]  # OrtValue of each, on the device
    output: Any


class FixedShapes:
    """A session whose small batches run in fixed shapes, each by a CUDA graph of its own where the device is a GPU.

    A `LocalRunner`. Threads may share it; of small batches one runs at a time.
    """

    def __init__(self, session: OnnxSession, longest: int, pad_id: int) -> None:
        """Take a session whose graph gives one vector a text of at most `longest` tokens."""
        self._session, self._longest, self._pad = session, longest, pad_id
        self.callers, self.batch_tokens, self.max_rows = 1, session.batch_tokens, session.max_rows
        self.dim = session.dim
        self._bound: dict[tuple[int, int], _Bound] = {}
        self._lock = threading.Lock()

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Rows and tokens of the shapes that have come so far."""
        return list(self._bound)

    def batch(self, input_ids: Ints, attention_mask: Ints) -> Floats:
        """Return sentence vectors float32 [batch, dim] of int64 ids and mask, both [batch, seq]."""
        rows, width = input_ids.shape
        shape = fixed_shape(rows, width, self._longest)
        if shape is None or self.dim is None:
            return self._session.batch(input_ids, attention_mask)
        feeds = {"input_ids": filled(input_ids, shape, self._pad), "attention_mask": filled(attention_mask, shape, 0)}
        feeds["attention_mask"][rows:, 0] = 1  # a row of padding alone would divide by zero, though nobody reads it
        with self._lock:
            try:
                return self._run(shape, feeds)[:rows]
            except Exception as err:  # ONNX Runtime's own types have no common base
                told = " x ".join(map(str, shape))
                raise BundleError(f"{self._session.file}: failed on a batch of {told} tokens ({reason(err)})") from err

    def for_callers(self) -> FixedShapes:
        """Return itself: it runs for one caller at a time."""
        return self

    def _run(self, shape: tuple[int, int], feeds: dict[str, npt.NDArray[Any]]) -> Floats:
        bound = self._bound.get(shape)
        if bound is None:
            bound = self._bound[shape] = self._bind(shape)
        for name, value in bound.inputs.items():
            if name in feeds:
                value.update_inplace(self._session.typed(name, feeds[name]))
        self._session.run_bound(bound.binding, bound.options)
        found: Floats = bound.output.numpy().astype(np.float32, copy=True)
        return found

    def _bind(self, shape: tuple[int, int]) -> _Bound:
        ort = require("onnxruntime", extra="onnx-gpu" if self._session.device == "cuda" else "onnx")
        device, session = self._session.device, self._session
        empty = np.zeros(shape, dtype=np.int64)
        inputs = {}
        for name in session.fed:
            zeros = session.typed(name, empty)  # what token_type_ids stay
            # A value made of an array would share its memory on a CPU.
            inputs[name] = ort.OrtValue.ortvalue_from_shape_and_type(shape, zeros.dtype.type, device, 0)
            inputs[name].update_inplace(zeros)
        output = ort.OrtValue.ortvalue_from_shape_and_type((shape[0], self.dim), np.float32, device, 0)
        binding = session.bind(inputs, output)
        options = ort.RunOptions()
        if device == "cuda":
            options.add_run_config_entry("gpu_graph_id", str(len(self._bound) + 1))  # 0 is for whoever gives none
        return _Bound(binding, options, inputs, output)


def filled(array: Ints, shape: tuple[int, int], value: int) -> Ints:
    """Return the array [rows, width] with `value` to its right and beneath it, as large as `shape`."""
    whole = np.full(shape, value, dtype=np.int64)
    whole[: array.shape[0], : array.shape[1]] = array
    return whole
