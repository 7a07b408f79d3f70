"""One ONNX graph, opened by ONNX Runtime: token ids in, sentence vectors or any other output out."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.extras import require
from mirrorkit.foreign import reason
from mirrorkit.formats.packed import packed_in
from mirrorkit.machine.cores import default_threads
from mirrorkit.runtime.ort import check_device, data_files, open_for_batches
from mirrorkit.runtime.runner import CPU_BATCH_TOKENS, GPU_BATCH_TOKENS
from mirrorkit.text.ragged import Floats, Ints

if TYPE_CHECKING:
    from mirrorkit.runtime.tensorrt.provider import ProviderOptions

POOLED = "sentence_embedding"
HIDDEN = ("last_hidden_state", "token_embeddings")  # ours and optimum's name; sentence-transformers' own
_FED = ("input_ids", "attention_mask", "token_type_ids")
_NOT_SENTENCES = ("logits", "pooler_output")  # of rank 2 as well, but a classifier's scores and BERT's own pooler
_INTEGERS = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}


@dataclass(frozen=True)
class Port:
    """An input or output of a graph."""

    name: str
    type: str  # as ONNX Runtime writes it: tensor(int64)
    shape: tuple[int | str | None, ...]  # a name for a free axis

    def __str__(self) -> str:
        return f"{self.name} {self.type} [{', '.join('?' if axis is None else str(axis) for axis in self.shape)}]"


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a graph, in its own order."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def output(self, *names: str) -> Port | None:
        """Return the first output of one of these names."""
        return next((port for name in names for port in self.outputs if port.name == name), None)

    @property
    def pooled(self) -> Port | None:
        """The output that holds one vector a text: the one of that name, or the only one where it has rank 2."""
        named = self.output(POOLED)
        if named is not None or len(self.outputs) != 1:
            return named
        (only,) = self.outputs
        return only if len(only.shape) == 2 and only.name not in _NOT_SENTENCES else None


def open_session(
    file: Path,
    *,
    device: str = "cpu",
    threads: int | None = None,
    tensorrt: ProviderOptions | None = None,
    bf16: bool = False,
    graphs: bool = False,
    float8: bool = False,
) -> OnnxSession:
    """Open an ONNX file on `cpu` or `cuda`, with `threads` threads (the physical cores where None), to encode with it.

    With `tensorrt` ONNX Runtime's TensorRT provider runs the graph, with `graphs` it may be run by CUDA graphs, which
    `fixed` does. On the CPU libmirrorkit_ops runs its layers where there is that library, see `ops`; with `bf16` it has
    to, and multiplies those of an fp32 graph in that. With `float8` it is a graph of FP8. Raises BundleError for a file
    that is not such a graph, ConfigError for a device, provider or library that cannot be used here.
    """
    check_device(device)
    check_threads(threads)
    session = OnnxSession(
        file, device, threads or default_threads(), tensorrt, ops=True, bf16=bf16, graphs=graphs, float8=float8
    )
    session.check_inputs()
    return session


def check_threads(threads: int | None) -> None:
    """Raise ConfigError for a number of threads that cannot be; None is for as many as there are cores."""
    if threads is not None and (not isinstance(threads, int) or isinstance(threads, bool) or threads < 1):
        raise ConfigError(f"threads {threads!r}: must be a whole number of at least 1")


class OnnxSession:
    """An open graph. Threads may share it; it can be pickled, and a forked child reopens it on first use.

    With `ops` libmirrorkit_ops runs its layers where there is that library; without, ONNX Runtime alone does.
    """

    def __init__(
        self,
        file: Path,
        device: str = "cpu",
        threads: int | None = None,
        tensorrt: ProviderOptions | None = None,
        *,
        ops: bool = False,
        bf16: bool = False,
        graphs: bool = False,
        float8: bool = False,
    ) -> None:
        self.file = file
        self.device = device
        self.threads = threads or default_threads()
        self.callers = self.threads if device == "cpu" else 1
        self.batch_tokens = CPU_BATCH_TOKENS if device == "cpu" else GPU_BATCH_TOKENS
        self.max_rows = tensorrt.profile.max.batch if tensorrt else None  # in a batch; None: as many as there are
        self._tensorrt = tensorrt
        self._ops, self._bf16 = ops, bf16
        self._graphs, self._float8 = graphs, float8
        self._for_callers: OnnxSession | None = None
        self._pid = os.getpid()
        self._lock = threading.Lock()
        before = stamp(file)
        self._handle = self._open()
        self._data = {path: stamp(path) for path in data_files(self._handle)}  # which ONNX Runtime maps, not reads
        self._stamps = {file: before, **self._data}
        self.signature = Signature(_ports(self._handle.get_inputs()), _ports(self._handle.get_outputs()))
        pooled = self.signature.pooled
        self._pooled = pooled.name if pooled else None
        told = pooled.shape[-1] if pooled and pooled.shape else None
        self.dim = told if isinstance(told, int) else None  # length of a sentence vector, where the graph says it
        kinds = {port.name: _INTEGERS.get(port.type) for port in self.signature.inputs if port.name in _FED}
        self._kinds = {name: kind for name, kind in kinds.items() if kind is not None}

    def __getstate__(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "device": self.device,
            "threads": self.threads,
            "tensorrt": self._tensorrt,
            "ops": self._ops,
            "bf16": self._bf16,
            "graphs": self._graphs,
            "float8": self._float8,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # there is nothing else to restore

    def batch(self, input_ids: Ints, attention_mask: Ints) -> Floats:
        """Return sentence vectors float32 [batch, dim] of int64 ids and mask, both [batch, seq]."""
        if self._pooled is None:
            raise BundleError(
                f"{self.file}: gives token vectors only, because pooling is not part of this graph; "
                "export the model with: mirrorkit export"
            )
        (vectors,) = self.outputs([self._pooled], input_ids, attention_mask)
        return np.asarray(vectors, dtype=np.float32)

    def outputs(self, names: Sequence[str], input_ids: Ints, attention_mask: Ints) -> list[npt.NDArray[Any]]:
        """Return the named outputs for int64 ids and mask, both [batch, seq]; raises BundleError where that fails."""
        if len(self._kinds) != len(self.signature.inputs):
            self.check_inputs()
        if self._pid != os.getpid():
            self._open_in_child()
        feeds = {"input_ids": input_ids, "attention_mask": attention_mask}
        if "token_type_ids" in self._kinds:
            feeds["token_type_ids"] = np.zeros_like(input_ids)
        typed = {name: self.typed(name, feeds[name]) for name in self._kinds}
        self._check_data()
        try:
            if self.device == "cuda":
                found = _run_bound(self._handle, names, typed, self._ungraphed())
            else:
                found = list(self._handle.run(names, typed))
        except Exception as err:  # ONNX Runtime's own types have no common base
            shape = " x ".join(map(str, input_ids.shape))
            raise BundleError(f"{self.file}: failed on a batch of {shape} tokens ({reason(err)})") from err
        self._check_data()
        return found

    @property
    def fed(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return tuple(self._kinds)

    def typed(self, name: str, array: Ints) -> npt.NDArray[Any]:
        """Return the array in the type of the input of that name."""
        return array.astype(self._kinds[name], copy=False)

    def bind(self, inputs: Mapping[str, Any], output: Any) -> Any:
        """Return a binding of values on the device to the inputs, and to the output that holds one vector a text."""
        binding = self._handle.io_binding()
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        binding.bind_ortvalue_output(self._pooled, output)
        return binding

    def run_bound(self, binding: Any, options: Any) -> None:
        """Run what is bound; ONNX Runtime's own errors pass through."""
        self._check_data()
        self._handle.run_with_iobinding(binding, options)
        self._check_data()

    def _ungraphed(self) -> Any:
        """Return the options of a run that is not to become a CUDA graph, where the session makes them."""
        if not self._graphs:
            return None
        options = require("onnxruntime", extra="onnx-gpu").RunOptions()
        options.add_run_config_entry("gpu_graph_id", "-1")
        return options

    def check_inputs(self) -> None:
        """Raise BundleError for a graph that takes anything but token ids, their mask and their types."""
        if len(self._kinds) != len(self.signature.inputs) or "input_ids" not in self._kinds:
            listed = ", ".join(f"{port.name} {port.type}" for port in self.signature.inputs)
            raise BundleError(f"{self.file}: takes {listed}; only integer {', '.join(_FED)} can be fed")

    def for_callers(self) -> OnnxSession:
        """Return the same graph for callers that each bring a thread; it is opened on first use.

        With threads of its own a session hands them parts of every caller's work, and all compete for the same cores.
        The price is a second copy of the weights as the processor wants them (all-MiniLM-L6-v2: some 15 MB as int8,
        45 MB as fp32).
        """
        with self._lock:
            if self._for_callers is None:
                # With another file in its place by now, this one has to do: slower, and with the same vectors.
                same = self._is_the_same()
                self._for_callers = (
                    OnnxSession(self.file, self.device, 1, ops=self._ops, bf16=self._bf16, float8=self._float8)
                    if same
                    else self
                )
            return self._for_callers

    def _is_the_same(self) -> bool:
        """Return whether the files on the disk are those that were opened."""
        return all(stamp(path) == before for path, before in self._stamps.items())

    def _check_data(self) -> None:
        """Raise BundleError where somebody has written into a file of weights, which is mapped into memory.

        One that another file has taken the place of is still there for those who have it mapped.
        """
        for path, before in self._data.items():
            now = stamp(path)
            if before and now and now[:2] == before[:2] and now != before:
                raise BundleError(f"{path}: has been written into since it was opened; open the bundle anew")

    def _open(self) -> Any:
        return open_for_batches(
            self.file,
            self.device,
            self.threads,
            self._tensorrt,
            ops=self._ops,
            bf16=self._bf16,
            graphs=self._graphs,
            float8=self._float8,
        )

    def _open_in_child(self) -> None:
        with self._lock:
            if self._pid == os.getpid():
                return
            if not self._is_the_same():
                raise BundleError(f"{self.file}: has been replaced since the parent opened it; open it anew")
            self._handle = self._open()
            self._pid = os.getpid()


def _run_bound(
    handle: Any, names: Sequence[str], feeds: dict[str, npt.NDArray[Any]], options: Any = None
) -> list[npt.NDArray[Any]]:
    """Return outputs of a graph on the GPU: what is fed is copied there first, and only these outputs come back."""
    binding = handle.io_binding()
    for name, array in feeds.items():
        binding.bind_cpu_input(name, array)
    for name in names:
        binding.bind_output(name, "cpu")
    handle.run_with_iobinding(binding, options)
    return list(binding.copy_outputs_to_cpu())


def stamp(file: Path) -> tuple[int, ...] | None:
    """Return what tells a file from another one that takes its place."""
    try:
        about = file.stat()
    except OSError:
        packed = packed_in(file)
        return None if packed is None else stamp(packed[0])
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


def _ports(values: Any) -> tuple[Port, ...]:
    return tuple(Port(value.name, value.type, tuple(value.shape)) for value in values)
