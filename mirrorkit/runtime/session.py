"""One ONNX graph, opened by ONNX Runtime: token ids in, sentence vectors out."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mirrorkit.batching import Ints
from mirrorkit.errors import BundleError, ConfigError, MirrorkitError
from mirrorkit.extras import require
from mirrorkit.runtime.cores import default_threads

if TYPE_CHECKING:
    from mirrorkit.runtime.tensorrt_provider import TensorrtOptions

Floats = npt.NDArray[np.float32]

DEVICES = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
POOLED = "sentence_embedding"
HIDDEN = "last_hidden_state"
_FED = ("input_ids", "attention_mask", "token_type_ids")
SPIN_MICROSECONDS = 20  # longer than the gaps between operators, shorter than anything else is kept waiting for
_TIMED_SPINNING = (1, 26)  # the release of ONNX Runtime whose threads can spin for a set time; older ones ignore it
_NOT_SENTENCES = ("logits", "pooler_output")  # of rank 2 as well, but a classifier's scores and BERT's own pooler
_INTEGERS = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
_LEFT_BEHIND: list[Any] = []  # sessions whose threads a fork has not brought along; to free one would wait for them


@dataclass(frozen=True)
class Signature:
    """What a graph takes and which of its outputs is which."""

    inputs: dict[str, Any]  # name -> numpy integer type
    pooled: str | None  # the output that holds one vector a text
    hidden: str | None  # the output that holds one vector a token
    dim: int | None  # length of a sentence vector where the graph says it


def open_session(
    file: Path, *, device: str = "cpu", threads: int | None = None, tensorrt: TensorrtOptions | None = None
) -> Session:
    """Open an ONNX file on `cpu` or `cuda`, with `threads` threads (the physical cores where None).

    With `tensorrt` ONNX Runtime's TensorRT provider runs the graph. Raises BundleError for a
    file that is no such graph, ConfigError for a device or provider that is not there.
    """
    check_device(device)
    if threads is not None and (not isinstance(threads, int) or isinstance(threads, bool) or threads < 1):
        raise ConfigError(f"threads {threads!r}: must be a whole number of at least 1")
    return Session(file, device, threads or default_threads(), tensorrt)


def check_device(device: str) -> None:
    """Raise ConfigError for a device that no backend here is for."""
    if device not in DEVICES:
        raise ConfigError(f"device {device!r}: must be one of {', '.join(DEVICES)}")


class Session:
    """An open graph. Threads may share it; it can be pickled, and a forked child opens it anew on first use."""

    def __init__(self, file: Path, device: str, threads: int, tensorrt: TensorrtOptions | None = None) -> None:
        self.file = file
        self.device = device
        self.threads = threads
        self.max_rows = tensorrt.profile.max.batch if tensorrt else None  # in a batch; None: as many as there are
        self._tensorrt = tensorrt
        self._for_callers: Session | None = None
        self._open()

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file, "device": self.device, "threads": self.threads, "tensorrt": self._tensorrt}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # opening is all that there is to restore

    def run(self, input_ids: Ints, attention_mask: Ints) -> Floats:
        """Return sentence vectors float32 [batch, dim] of int64 ids and mask, both [batch, seq]."""
        if self.signature.pooled is None:
            raise BundleError(
                f"{self.file}: gives token vectors alone, pooling is outside this graph; "
                "export the model with: mirrorkit export"
            )
        return self._run(self.signature.pooled, input_ids, attention_mask)

    def hidden(self, input_ids: Ints, attention_mask: Ints) -> Floats:
        """Return token vectors float32 [batch, seq, dim], not normalised, of int64 ids and mask, both [batch, seq]."""
        if self.signature.hidden is None:
            raise BundleError(f"{self.file}: has no output {HIDDEN}")
        return self._run(self.signature.hidden, input_ids, attention_mask)

    def for_callers(self) -> Session:
        """Return the same graph for callers that each bring a thread; it is opened on first use.

        With threads of its own a session hands them parts of every caller's work, and all compete for the same cores.
        The price is a second copy of the weights as the processor wants them (all-MiniLM-L6-v2: some 15 MB as int8,
        45 MB as fp32).
        """
        with self._lock:
            if self._for_callers is None:
                self._for_callers = Session(self.file, self.device, 1)
            return self._for_callers

    def _run(self, output: str, input_ids: Ints, attention_mask: Ints) -> Floats:
        if self._pid != os.getpid():
            self._open_in_child()
        feeds = {"input_ids": input_ids, "attention_mask": attention_mask}
        if "token_type_ids" in self.signature.inputs:
            feeds["token_type_ids"] = np.zeros_like(input_ids)
        typed = {name: feeds[name].astype(kind, copy=False) for name, kind in self.signature.inputs.items()}
        try:
            if self.device == "cuda":
                value = _run_bound(self._handle, output, typed)
            else:
                (value,) = self._handle.run([output], typed)
        except Exception as err:  # ONNX Runtime's own types have no common base
            shape = " x ".join(map(str, input_ids.shape))
            raise BundleError(f"{self.file}: failed on a batch of {shape} tokens ({_first_line(err)})") from err
        return np.asarray(value, dtype=np.float32)

    def _open(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._handle = _inference_session(self.file, self.device, self.threads, self._tensorrt)
        self.signature = _signature(self._handle, self.file)

    def _open_in_child(self) -> None:
        with self._lock:
            if self._pid == os.getpid():
                return
            handle = _inference_session(self.file, self.device, self.threads, self._tensorrt)
            _LEFT_BEHIND.append(self._handle)
            self._handle = handle
            self._pid = os.getpid()


def _run_bound(handle: Any, output: str, feeds: dict[str, Any]) -> Any:
    """Return the output of a graph on the GPU: what is fed is copied there first, one output comes back."""
    binding = handle.io_binding()
    for name, array in feeds.items():
        binding.bind_cpu_input(name, array)
    binding.bind_output(output, "cpu")
    handle.run_with_iobinding(binding)
    return binding.copy_outputs_to_cpu()[0]


def _inference_session(file: Path, device: str, threads: int, tensorrt: TensorrtOptions | None) -> Any:
    ort = require("onnxruntime", extra="onnx-gpu" if device == "cuda" else "onnx")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4 if device == "cuda" else 3  # what goes wrong becomes one error, here
    _limit_spinning(ort, options)
    options.enable_mem_pattern = False  # plans memory per shape, and here every batch has another
    if device == "cuda":
        return _gpu_session(ort, file, options, tensorrt)
    try:
        return ort.InferenceSession(str(file), options, providers=[DEVICES[device]])
    except Exception as err:  # as above
        raise _not_opened(ort, file, err) from err


def _limit_spinning(ort: Any, options: Any) -> None:
    """Let idle threads spin from one operator to the next and no longer, where ONNX Runtime can be told so.

    To sleep and be woken at each operator is a third of a short text's time. But a thread that spins takes the core
    from whoever else needs it, other callers of this session too, and by default it does so for milliseconds.
    """
    key = "session.intra_op."
    if tuple(int(part) for part in ort.__version__.split(".")[:2]) >= _TIMED_SPINNING:
        options.add_session_config_entry(key + "spin_duration_us", str(SPIN_MICROSECONDS))
    else:
        options.add_session_config_entry(key + "allow_spinning", "0")


def _gpu_session(ort: Any, file: Path, options: Any, tensorrt: TensorrtOptions | None) -> Any:
    from mirrorkit.runtime import tensorrt_provider as gpu

    gpu.check_build(ort, tensorrt)
    with gpu.libraries(ort, tensorrt):
        try:
            # Left to fall back to the CPU, ONNX Runtime would print that on stdout and go on.
            handle = ort.InferenceSession(str(file), options, providers=gpu.providers(tensorrt), enable_fallback=0)
        except MirrorkitError:
            raise
        except Exception as err:  # as above
            if tensorrt and file.is_file():
                gpu.check_libraries(ort)
            raise _not_opened(ort, file, err) from err
    gpu.check_started(ort, handle.get_providers(), tensorrt)
    return handle


def _not_opened(ort: Any, file: Path, err: Exception) -> BundleError:
    if not file.is_file():
        return BundleError(f"{file}: no such file")
    return BundleError(f"{file}: cannot be opened by ONNX Runtime {ort.__version__} ({_first_line(err)})")


def _signature(handle: Any, file: Path) -> Signature:
    inputs = {value.name: value.type for value in handle.get_inputs()}
    unknown = [name for name, kind in inputs.items() if name not in _FED or kind not in _INTEGERS]
    if unknown or "input_ids" not in inputs:
        listed = ", ".join(f"{name} {kind}" for name, kind in inputs.items())
        raise BundleError(f"{file}: takes {listed}; only integer {', '.join(_FED)} can be fed")
    outputs = {value.name: value.shape for value in handle.get_outputs()}
    pooled = POOLED if POOLED in outputs else None
    if pooled is None and len(outputs) == 1:
        ((name, shape),) = outputs.items()
        pooled = name if len(shape) == 2 and name not in _NOT_SENTENCES else None
    dim = outputs[pooled][-1] if pooled and outputs[pooled] else None
    return Signature(
        {name: _INTEGERS[kind] for name, kind in inputs.items()},
        pooled,
        HIDDEN if HIDDEN in outputs else None,
        dim if isinstance(dim, int) else None,
    )


def _first_line(err: Exception) -> str:
    text = str(err).strip()
    return text.splitlines()[0] if text else type(err).__name__
