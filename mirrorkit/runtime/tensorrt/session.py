"""One TensorRT engine, opened on the GPU: token ids in, sentence vectors out; no torch.

`tensorrt` and `tensorrt_rtx` share every call made here. Memory, the stream and graphs come from
`mirrorkit.runtime.tensorrt.cuda`, which says why.
"""

from __future__ import annotations

import logging
import threading
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mirrorkit.errors import BundleError, MissingExtraError
from mirrorkit.extras import require
from mirrorkit.formats.bundle import INPUTS, Bundle
from mirrorkit.formats.engine import OUTPUT, Backend, Engine, EngineMismatchError, check_engine, mismatches, read_engine
from mirrorkit.formats.profiles import choose
from mirrorkit.machine.gpu import current_gpu
from mirrorkit.runtime.runner import GPU_BATCH_TOKENS
from mirrorkit.runtime.tensorrt.cuda import Cuda, CudaError
from mirrorkit.runtime.tensorrt.options import Rebuild
from mirrorkit.runtime.tensorrt.passes import Buffers, Passes
from mirrorkit.text.ragged import Floats, Ints

WIDTH_STEP = 8  # tokens; tensor cores work in eights, and fewer shapes mean more that were seen before

logger = logging.getLogger(__name__)


def open_engine(folder: Path, bundle: Bundle, *, verify: bool = True, rebuild: Rebuild | None = None) -> EngineSession:
    """Open the engine in `folder`, which must have been built from `bundle` for this library and GPU.

    `rebuild` mends one that was not: it is called with both folders and must leave a fitting engine. It is handed in
    because what builds engines needs the packages of the exporter, which a runtime does without.

    Raises EngineMismatchError (a BundleError) for an engine that does not fit, BundleError for one that cannot be
    used at all, ConfigError where there is no GPU or too little memory on it.
    """
    try:
        return EngineSession(read_engine(folder), bundle, verify=verify)
    except EngineMismatchError as err:
        if rebuild is None:
            raise
        logger.warning("%s: %s; rebuilding it", folder, "; ".join(err.reasons))
    rebuild(bundle.folder, folder)
    return EngineSession(read_engine(folder), bundle, verify=verify)


class EngineSession:
    """An open engine. Threads may share it, one runs at a time; a forked child cannot use it."""

    callers = 1
    batch_tokens = GPU_BATCH_TOKENS
    max_rows = None  # larger batches are split here

    def __init__(self, engine: Engine, bundle: Bundle, *, verify: bool = True) -> None:
        self.file = engine.path
        self.profiles = engine.profiles
        self.longest = max(profile.max.length for profile in engine.profiles)  # tokens
        self.max_length = min(engine.max_length, bundle.max_length, self.longest)  # tokens
        if self.max_length < bundle.max_length:
            logger.warning(
                "%s: takes %d tokens, its bundle %d; longer text is cut", self.file, self.longest, bundle.max_length
            )
        kind = np.dtype(engine.ids.value).type
        self.dim = engine.dim
        self._check(engine, bundle=bundle)
        library = _library(engine)
        self._check(engine, backend=engine.backend, version=library.__version__)
        cuda = Cuda(extra=str(engine.backend))
        self._check(engine, gpu=current_gpu())
        if verify:
            check_engine(engine)
        messages: list[str] = []
        handle, kept = _deserialize(library, engine, messages)
        _check_tensors(handle, library, engine)
        buffers = Buffers(cuda, engine.profiles, kind, engine.dim, bundle.pad_token_id)
        rtx = engine.backend is Backend.RTX
        self._passes = Passes(cuda, library, handle, buffers, messages, str(self.file), rtx=rtx)
        self._lock = threading.Lock()
        self._kept = kept  # the engine uses both and keeps no reference; named last, it goes last

    def batch(self, input_ids: Ints, attention_mask: Ints) -> Floats:
        """Return sentence vectors float32 [batch, dim] of int64 ids and mask, both [batch, seq].

        What no profile takes is split. Raises ConfigError for rows longer than every profile.
        """
        rows, length = input_ids.shape
        width = length if length > self.longest else min(-(-length // WIDTH_STEP) * WIDTH_STEP, self.longest)
        vectors = np.empty((rows, self.dim), dtype=np.float32)
        with self._lock:
            for run in choose(self.profiles, rows, width):
                part = slice(run.first, run.first + run.rows)
                vectors[part] = self._passes.run(run.profile, run.shape, input_ids[part], attention_mask[part])
        return vectors

    def for_callers(self) -> EngineSession:
        """Return itself: it runs for one caller at a time."""
        return self

    @staticmethod
    def _check(engine: Engine, **against: Any) -> None:
        if reasons := mismatches(engine, **against):
            raise EngineMismatchError(engine.folder, reasons)


def _library(engine: Engine) -> ModuleType:
    """Return the library that the engine was built by; where only the other one is here, the engine does not fit."""
    rtx = engine.backend is Backend.RTX
    try:
        return require("tensorrt_rtx", extra="tensorrt-rtx") if rtx else require("tensorrt", extra="tensorrt")
    except MissingExtraError as err:
        other = Backend.TENSORRT if rtx else Backend.RTX
        if find_spec("tensorrt" if rtx else "tensorrt_rtx") is None:
            raise
        why = f"was built by {engine.backend}, only {other} is installed here"
        raise EngineMismatchError(engine.folder, [why]) from err


def _deserialize(library: Any, engine: Engine, messages: list[str]) -> tuple[Any, object]:
    """Return the engine, opened, and what must outlive it; what the library complains of goes to `messages`."""

    class Log(library.ILogger):  # type: ignore[misc]  # the class is known only when the library is
        def __init__(self) -> None:
            library.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (library.ILogger.Severity.ERROR, library.ILogger.Severity.INTERNAL_ERROR):
                messages.append(message)
            else:
                logger.debug("%s: %s", engine.backend, message)

    log = Log()
    try:
        runtime = library.Runtime(log)
        handle = runtime.deserialize_cuda_engine(engine.path.read_bytes())
    except OSError as err:
        raise BundleError(f"{engine.path}: cannot be read ({err.strerror or err})") from err
    except (RuntimeError, TypeError) as err:  # pybind's words for a runtime that could not be made
        messages.append(str(err))
        handle = None
    if handle is None:
        why = " ".join(messages[-1].split()) if messages else "it gives no reason"
        if "out of memory" in why.lower():  # a new one would be as large
            raise CudaError(f"{engine.path}: needs more memory than the GPU has free ({why})")
        raise EngineMismatchError(engine.folder, [f"{engine.backend} {library.__version__} cannot open it ({why})"])
    return handle, (log, runtime)


def _check_tensors(handle: Any, library: Any, engine: Engine) -> None:
    names = [handle.get_tensor_name(i) for i in range(handle.num_io_tensors)]
    if sorted(names) != sorted((*INPUTS, OUTPUT)):
        raise BundleError(
            f"{engine.path}: has the inputs and outputs {', '.join(names)}; expected {', '.join((*INPUTS, OUTPUT))}"
        )
    if handle.num_optimization_profiles != len(engine.profiles):
        raise BundleError(
            f"{engine.path}: has {handle.num_optimization_profiles} profiles, its manifest says {len(engine.profiles)}"
        )
    wanted = {**{name: np.dtype(engine.ids.value) for name in INPUTS}, OUTPUT: np.dtype(np.float32)}
    for name, kind in wanted.items():
        told = np.dtype(library.nptype(handle.get_tensor_dtype(name)))
        if told != kind:
            raise BundleError(f"{engine.path}: {name} is {told}, should be {kind}")
