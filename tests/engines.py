"""Engine folders, and a GPU made of numpy to run them on: what is put into its stream happens when it is waited for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mirrorkit.formats.bundle import (
    INPUTS,
    OUTPUTS,
    VARIANT_FILES,
    Bundle,
    Graph,
    Precision,
    Variant,
    read_bundle,
    record_files,
)
from mirrorkit.formats.bundle_writer import write_manifest
from mirrorkit.formats.engine import (
    ENGINE_FILE,
    OUTPUT,
    Backend,
    Engine,
    Gpu,
    Ids,
    Origin,
    Status,
    identity,
    write_engine,
)
from mirrorkit.formats.engine import Precision as EnginePrecision
from mirrorkit.formats.files import sha256_of
from mirrorkit.formats.pooling import Pooling
from mirrorkit.formats.profiles import Profile
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.runtime.session import open_session
from mirrorkit.runtime.tensorrt import session as tensorrt
from mirrorkit.runtime.tensorrt.options import Rebuild, Tensorrt
from tests.bundles import make_foreign

GPU = Gpu("Test 4090", "8.9", "CUDA 13.0")
VERSION = "11.4.0.1"
STREAM = 7
Forward = Callable[[Any, Any], Any]  # int64 ids and mask [batch, seq] to vectors float32 [batch, dim]


def lookup_bundle(folder: Path, tokenizer: Path, variants: Sequence[str] = ("fp32",), max_length: int = 64) -> Path:
    """Write a bundle whose vectors are sums of rows of a table, 8 numbers each: quick to make and quick to run."""
    for name in variants:
        make_foreign(folder, tokenizer, inputs=INPUTS, outputs=OUTPUTS, file=VARIANT_FILES[name])
    bundle = Bundle(
        folder=folder,
        architecture="bert",
        dim=8,
        max_length=max_length,
        pooling=Pooling.MEAN,
        pad_token_id=0,
        variants={name: _variant(name) for name in variants},
        files=record_files(folder),
    )
    write_manifest(bundle)
    return folder


def _variant(name: str) -> Variant:
    graph = Graph.ONNX if name in ("fp32", "fp16") else Graph.ONNXRUNTIME
    return Variant(name, VARIANT_FILES[name], Precision(name.removesuffix("-fused")), graph)


def make_engine(
    folder: Path,
    bundle_folder: Path,
    profiles: Sequence[str] = ("min=1x8,opt=4x16,max=8x64",),
    *,
    backend: Backend = Backend.TENSORRT,
    version: str = VERSION,
    target: str = "sm89",
    ids: Ids = Ids.INT64,
    content: bytes = b"engine",
    variant: str = "fp32",
) -> Path:
    """Write an engine folder, made of a bundle by no builder."""
    bundle = read_bundle(bundle_folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ENGINE_FILE).write_bytes(content)
    file = bundle.variant(variant).file
    write_engine(
        Engine(
            folder=folder,
            backend=backend,
            version=version,
            target=target,
            gpu=None,
            precision=EnginePrecision.FP32,
            ids=ids,
            profiles=tuple(map(Profile.parse, profiles)),
            dim=bundle.dim,
            max_length=bundle.max_length,
            source=Origin(bundle_folder.name, identity(bundle), variant, {file: bundle.files[file].sha256}, "0" * 64),
            file=ENGINE_FILE,
            sha256=sha256_of(folder / ENGINE_FILE),
            timing_cache=None,
            options={},
            status=Status.BUILT,
        )
    )
    return folder


class FakeCuda:
    """The calls of `mirrorkit.runtime.tensorrt.cuda.Cuda`, on memory that starts out as rubbish."""

    stream = STREAM

    def __init__(self) -> None:
        self.memory: dict[int, Any] = {}
        self.queue: list[Callable[[], None]] = []
        self.recording: list[Callable[[], None]] | None = None
        self.launched = 0
        self.forgotten = 0
        self.can_capture = True

    def use(self) -> None:
        assert not self.queue, "what was put into the stream before was never waited for"

    def device_memory(self, size: int) -> int:
        address = 4096 * (len(self.memory) + 1)
        self.memory[address] = np.full(size, 0xAA, dtype=np.uint8)
        return address

    def pinned_memory(self, size: int) -> Any:
        return np.full(size, 0xAA, dtype=np.uint8)

    def to_device(self, address: int, host: Any) -> None:
        self.put(lambda: np.copyto(self.memory[address][: host.nbytes], host.view(np.uint8)))

    def to_host(self, host: Any, address: int) -> None:
        self.put(lambda: np.copyto(host.view(np.uint8), self.memory[address][: host.nbytes]))

    def put(self, work: Callable[[], None]) -> None:
        (self.queue if self.recording is None else self.recording).append(work)

    def wait(self) -> None:
        for work in self.queue:
            work()
        self.queue = []

    def capture(self, work: Callable[[], None]) -> list[Callable[[], None]]:
        self.recording = []
        work()
        graph, self.recording = self.recording, None
        if not self.can_capture:
            from mirrorkit.runtime.tensorrt.cuda import CudaError

            raise CudaError("cuStreamEndCapture failed with CUDA_ERROR_STREAM_CAPTURE_INVALIDATED")
        return graph

    def launch(self, graph: list[Callable[[], None]]) -> None:
        self.launched += 1
        self.queue += graph

    def forget(self, graph: list[Callable[[], None]]) -> None:
        self.forgotten += 1


@dataclass
class FakeContext:
    """An execution context that refuses what TensorRT would refuse."""

    engine: FakeEngine
    profile: int | None = None
    addresses: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    scratch: tuple[int, int] | None = None
    fails: str = ""  # what the library is to say of a failure

    def set_device_memory(self, address: int, size: int) -> None:
        assert size == self.engine.device_memory_size_v2
        self.scratch = (address, size)

    def set_optimization_profile_async(self, profile: int, stream: int) -> bool:
        assert stream == STREAM
        self.profile = profile
        return profile < self.engine.num_optimization_profiles

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return name in (*INPUTS, OUTPUT)

    def set_input_shape(self, name: str, shape: tuple[int, int]) -> bool:
        assert self.profile is not None, "shapes are checked against a profile"
        profile = self.engine.profiles[self.profile]
        low, high = (profile.min.batch, profile.min.length), (profile.max.batch, profile.max.length)
        self.shapes[name] = shape
        return all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True))

    def execute_async_v3(self, stream: int) -> bool:
        assert stream == STREAM
        assert (self.scratch is None) == self.engine.manages_memory
        assert self.shapes["input_ids"] == self.shapes["attention_mask"]
        shape = self.shapes["input_ids"]
        self.engine.passes.append((self.profile, shape))

        def work() -> None:
            assert self.shapes["input_ids"] == shape, "a captured context has gone on to another shape"
            ids, mask = (self._tensor(name, self.engine.ids, shape) for name in INPUTS)
            self._tensor(OUTPUT, np.float32, (shape[0], self.engine.dim))[...] = self.engine.forward(ids, mask)

        self.engine.cuda.put(work)
        if self.fails:
            self.engine.log.log(1, self.fails)
        return not self.fails

    def _tensor(self, name: str, kind: Any, shape: tuple[int, ...]) -> Any:
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        return self.engine.cuda.memory[self.addresses[name]][:size].view(kind).reshape(shape)


class FakeEngine:
    """A deserialised engine that computes with `forward`."""

    device_memory_size_v2 = 1 << 16

    def __init__(self, cuda: FakeCuda, forward: Forward, profiles: Sequence[str], ids: Any, dim: int) -> None:
        self.cuda = cuda
        self.forward = forward
        self.profiles = [Profile.parse(text) for text in profiles]
        self.ids = ids
        self.dim = dim
        self.names: list[str] = [*INPUTS, OUTPUT]
        self.passes: list[tuple[int | None, tuple[int, ...]]] = []  # profile and shape of each
        self.contexts: list[FakeContext] = []
        self.num_optimization_profiles = len(self.profiles)
        self.log: Any = None
        self.manages_memory = False

    @property
    def num_io_tensors(self) -> int:
        return len(self.names)

    def get_tensor_name(self, index: int) -> str:
        return self.names[index]

    def get_tensor_dtype(self, name: str) -> Any:
        return np.float32 if name == OUTPUT else self.ids

    def create_runtime_config(self) -> Any:
        return SimpleNamespace(cuda_graph_strategy=None)

    def create_execution_context(self, how: Any) -> FakeContext:
        assert how == "user managed" or how.cuda_graph_strategy == "whole graph"
        self.manages_memory = how != "user managed"
        self.contexts.append(FakeContext(self))
        return self.contexts[-1]


def fake_library(engine: FakeEngine | None, complaint: str = "") -> Any:
    """Return a module like `tensorrt` whose runtime opens `engine`, whatever the file says."""

    class Logger:
        Severity = SimpleNamespace(ERROR=1, INTERNAL_ERROR=0, WARNING=2)

    def deserialize(log: Any, content: bytes) -> FakeEngine | None:
        assert content
        if complaint:
            log.log(1, complaint)
        if engine is not None:
            engine.log = log
        return engine

    return SimpleNamespace(
        __version__=VERSION,
        ILogger=Logger,
        Runtime=lambda log: SimpleNamespace(deserialize_cuda_engine=lambda content: deserialize(log, content)),
        ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="user managed"),
        CudaGraphStrategy=SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole graph"),  # of TensorRT-RTX alone
        nptype=lambda kind: kind,
    )


class Machine:
    """A machine with a GPU and TensorRT; `open` opens an encoder on it."""

    def __init__(self, bundle: Path, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.bundle = bundle
        self.folder = folder
        self.patch = patch
        self.backend = Backend.TENSORRT
        self.cuda = FakeCuda()
        self.session = open_session(bundle / "onnx" / "model.onnx", threads=1)

    def engine(self, profiles: Sequence[str] = ("min=1x8,opt=4x16,max=8x64",), ids: Ids = Ids.INT64) -> FakeEngine:
        make_engine(self.folder, self.bundle, profiles, ids=ids, backend=self.backend)
        self.handle = FakeEngine(self.cuda, self.session.batch, profiles, np.dtype(ids.value), 8)
        self.install(fake_library(self.handle))
        return self.handle

    def install(self, library: Any, gpu: Gpu = GPU) -> None:
        self.patch.setattr(tensorrt, "Cuda", lambda extra: self.cuda)
        self.patch.setattr(tensorrt, "current_gpu", lambda: gpu)
        self.patch.setattr(tensorrt, "_library", lambda engine: library)

    def open(self, *, rebuild: Rebuild | None = None, **options: Any) -> Encoder:
        return Encoder(self.bundle, "tensorrt", tensorrt=Tensorrt(self.folder, rebuild), **options)
