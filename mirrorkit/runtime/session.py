"""One ONNX graph, opened by ONNX Runtime: token ids in, sentence vectors out."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mirrorkit.batching import Ints
from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.extras import require
from mirrorkit.runtime.cores import default_threads

Floats = npt.NDArray[np.float32]

DEVICES = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
POOLED = "sentence_embedding"
HIDDEN = "last_hidden_state"
_FED = ("input_ids", "attention_mask", "token_type_ids")
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


def open_session(file: Path, *, device: str = "cpu", threads: int | None = None) -> Session:
    """Open an ONNX file on `cpu` or `cuda`, with `threads` threads (the physical cores where None).

    Raises BundleError for a file that is no such graph, ConfigError for a device that is not there.
    """
    check_device(device)
    if threads is not None and (not isinstance(threads, int) or isinstance(threads, bool) or threads < 1):
        raise ConfigError(f"threads {threads!r}: must be a whole number of at least 1")
    return Session(file, device, threads or default_threads())


def check_device(device: str) -> None:
    """Raise ConfigError for a device that no backend here is for."""
    if device not in DEVICES:
        raise ConfigError(f"device {device!r}: must be one of {', '.join(DEVICES)}")


class Session:
    """An open graph. Threads may share it; it can be pickled, and a forked child opens it anew on first use."""

    def __init__(self, file: Path, device: str, threads: int) -> None:
        self.file = file
        self.device = device
        self.threads = threads
        self._open()

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file, "device": self.device, "threads": self.threads}

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

    def _run(self, output: str, input_ids: Ints, attention_mask: Ints) -> Floats:
        if self._pid != os.getpid():
            self._open_in_child()
        feeds = {"input_ids": input_ids, "attention_mask": attention_mask}
        if "token_type_ids" in self.signature.inputs:
            feeds["token_type_ids"] = np.zeros_like(input_ids)
        typed = {name: feeds[name].astype(kind, copy=False) for name, kind in self.signature.inputs.items()}
        try:
            (value,) = self._handle.run([output], typed)
        except Exception as err:  # ONNX Runtime's own types have no common base
            shape = " x ".join(map(str, input_ids.shape))
            raise BundleError(f"{self.file}: failed on a batch of {shape} tokens ({_first_line(err)})") from err
        return np.asarray(value, dtype=np.float32)

    def _open(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._handle = _inference_session(self.file, self.device, self.threads)
        self.signature = _signature(self._handle, self.file)

    def _open_in_child(self) -> None:
        with self._lock:
            if self._pid == os.getpid():
                return
            handle = _inference_session(self.file, self.device, self.threads)
            _LEFT_BEHIND.append(self._handle)
            self._handle = handle
            self._pid = os.getpid()


def _inference_session(file: Path, device: str, threads: int) -> Any:
    ort = require("onnxruntime", extra="onnx")
    if device == "cuda" and DEVICES[device] not in ort.get_available_providers():
        raise ConfigError("device cuda: this onnxruntime has no CUDA; " + _GPU_HINT)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4 if device == "cuda" else 3  # what goes wrong becomes one error, here
    # Threads that spin while they wait take the cores from whoever else needs them, other callers of this session too.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_mem_pattern = False  # plans memory per shape, and here every batch has another
    try:
        handle = ort.InferenceSession(str(file), options, providers=[DEVICES[device]])
    except Exception as err:  # as above
        if not file.is_file():
            raise BundleError(f"{file}: no such file") from err
        raise BundleError(f"{file}: cannot be opened by ONNX Runtime {ort.__version__} ({_first_line(err)})") from err
    if DEVICES[device] not in handle.get_providers():  # get_available_providers() tells of the build alone
        raise ConfigError("device cuda: CUDA could not be started on this machine; " + _GPU_HINT)
    return handle


_GPU_HINT = (
    "it takes an NVIDIA driver, CUDA and cuDNN, and onnxruntime-gpu without onnxruntime beside it: "
    "pip uninstall onnxruntime; pip install 'mirrorkit[onnx-gpu]'"
)


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
