"""Passes through an open engine: buffers that stay where they are, contexts, and graphs for shapes that come again."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from mirrorkit.errors import BundleError
from mirrorkit.formats.bundle import INPUTS
from mirrorkit.formats.engine import OUTPUT
from mirrorkit.formats.profiles import Profile, Shape
from mirrorkit.runtime.tensorrt.cuda import Cuda, CudaError
from mirrorkit.text.ragged import Floats, Ints

# A graph saves launching each kernel by itself, which is where a small batch spends its time; a large one keeps the GPU
# busy meanwhile, and its shape is less likely to come again.
GRAPH_TOKENS = 2048
GRAPHS = 32  # kept at a time, each with a context of its own

logger = logging.getLogger(__name__)


class Buffers:
    """Memory for the largest batch of any profile, on the GPU and pinned beside it, at addresses that never change."""

    def __init__(
        self, cuda: Cuda, profiles: Sequence[Profile], kind: type[np.integer[Any]], dim: int, pad: int
    ) -> None:
        tokens = max(profile.max.tokens for profile in profiles)
        rows = max(profile.max.batch for profile in profiles)
        width = np.dtype(kind).itemsize
        self._cuda = cuda
        self._dim = dim
        self._pad = pad
        self._host = {name: cuda.pinned_memory(tokens * width).view(kind) for name in INPUTS}
        self._out = cuda.pinned_memory(rows * dim * 4).view(np.float32)
        self.addresses = {name: cuda.device_memory(tokens * width) for name in INPUTS}
        self.addresses[OUTPUT] = cuda.device_memory(rows * dim * 4)

    def fill(self, shape: Shape, input_ids: Ints, attention_mask: Ints) -> None:
        """Lay a batch out for the GPU, filled up to `shape`."""
        rows, length = input_ids.shape
        ids, mask = (self._host[name][: shape.tokens].reshape(shape.batch, shape.length) for name in INPUTS)
        ids[...] = self._pad
        ids[:rows, :length] = input_ids
        mask[...] = 0
        mask[:rows, :length] = attention_mask
        mask[rows:, 0] = 1  # an empty row would divide by zero, though nobody reads it

    def send(self, shape: Shape) -> None:
        for name in INPUTS:
            self._cuda.to_device(self.addresses[name], self._host[name][: shape.tokens])

    def fetch(self, shape: Shape) -> None:
        self._cuda.to_host(self._out[: shape.batch * self._dim], self.addresses[OUTPUT])

    def vectors(self, rows: int) -> Floats:
        """Return what was fetched, float32 [rows, dim]."""
        return self._out[: rows * self._dim].reshape(rows, self._dim).copy()


class Passes:
    """The contexts of an engine, one a profile, and one for each graph.

    TensorRT-RTX captures graphs and shares memory by itself. For TensorRT it is done here: all contexts, of which one
    runs at a time, use the same scratch memory.
    """

    def __init__(
        self, cuda: Cuda, library: Any, engine: Any, buffers: Buffers, messages: list[str], name: str, *, rtx: bool
    ) -> None:
        self._cuda = cuda
        self._library = library
        self._engine = engine
        self._buffers = buffers
        self._messages = messages  # the library's own complaints, newest last
        self._name = name
        self._rtx = rtx
        self._capture = not rtx
        self._scratch_size = 0 if rtx else int(engine.device_memory_size_v2)  # bytes; enough for every profile
        self._scratch = cuda.device_memory(self._scratch_size) if self._scratch_size else 0
        self._contexts: dict[int, Any] = {}  # by profile
        self._graphs: OrderedDict[tuple[int, Shape], tuple[Any, Any] | None] = OrderedDict()  # None: seen once

    def run(self, profile: int, shape: Shape, input_ids: Ints, attention_mask: Ints) -> Floats:
        """Return vectors float32 [rows, dim] of a batch that `shape`, one that the profile takes, has room for."""
        self._cuda.use()
        self._messages.clear()
        self._buffers.fill(shape, input_ids, attention_mask)
        key = (profile, shape)
        graph = self._graphs.get(key)
        try:
            if graph is None:
                context = self._context(profile)
                self._set_shape(context, shape)
                self._enqueue(context, shape)
            else:
                self._graphs.move_to_end(key)
                self._cuda.launch(graph[0])
        finally:  # after an error as well: the next batch must not overwrite what is still being copied
            self._cuda.wait()
        vectors = self._buffers.vectors(len(input_ids))
        if graph is None and self._capture and shape.tokens <= GRAPH_TOKENS:
            self._remember(key)
        return vectors

    def _enqueue(self, context: Any, shape: Shape) -> None:
        self._buffers.send(shape)
        if not context.execute_async_v3(self._cuda.stream):
            raise self._failed(f"failed on a batch of {shape}")
        self._buffers.fetch(shape)

    def _remember(self, key: tuple[int, Shape]) -> None:
        """Note a shape; capture a graph of it when it has come for the second time."""
        if key not in self._graphs:
            self._graphs[key] = None
        else:
            profile, shape = key
            try:
                # A context of its own: one that goes on to other shapes may change what a graph of it relies on.
                context = self._new_context(profile)
                self._set_shape(context, shape)
                self._enqueue(context, shape)  # what a context does on its first pass alone must not be captured
                self._cuda.wait()
                self._graphs[key] = (self._cuda.capture(lambda: self._enqueue(context, shape)), context)
            except (CudaError, BundleError) as err:
                logger.warning("%s: continuing without CUDA graphs; small batches take longer (%s)", self._name, err)
                self._capture = False
        self._graphs.move_to_end(key)
        while len(self._graphs) > GRAPHS:
            _, oldest = self._graphs.popitem(last=False)
            if oldest is not None:
                self._cuda.forget(oldest[0])

    def _context(self, profile: int) -> Any:
        if profile not in self._contexts:
            self._contexts[profile] = self._new_context(profile)
        return self._contexts[profile]

    def _new_context(self, profile: int) -> Any:
        context = self._engine.create_execution_context(self._how_to_run())
        if context is None:
            raise self._failed("no execution context can be made")
        if self._scratch:
            context.set_device_memory(self._scratch, self._scratch_size)
        if not context.set_optimization_profile_async(profile, self._cuda.stream):
            raise self._failed(f"profile {profile} cannot be set")
        self._cuda.wait()
        for name, address in self._buffers.addresses.items():
            if not context.set_tensor_address(name, address):
                raise self._failed(f"the address of {name} cannot be set")
        return context

    def _how_to_run(self) -> Any:
        if not self._rtx:
            return self._library.ExecutionContextAllocationStrategy.USER_MANAGED
        config = self._engine.create_runtime_config()
        config.cuda_graph_strategy = self._library.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        return config

    def _set_shape(self, context: Any, shape: Shape) -> None:
        for name in INPUTS:
            if not context.set_input_shape(name, (shape.batch, shape.length)):
                raise self._failed(f"does not take a batch of {shape}")

    def _failed(self, what: str) -> BundleError:
        why = " ".join(self._messages[-1].split()) if self._messages else "TensorRT gives no reason"
        return BundleError(f"{self._name}: {what} ({why})")
