"""ONNX Runtime on an NVIDIA GPU: which providers, with which settings, and why one could not be started."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import io
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from mirrorkit.errors import ConfigError, OutputError
from mirrorkit.extras import require
from mirrorkit.formats.bundle import INPUTS
from mirrorkit.formats.files import sha256_of
from mirrorkit.formats.profiles import Profile, Shape
from mirrorkit.runtime.cache import default_cache, make_private

log = logging.getLogger(__name__)

CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
ROWS = 256  # texts in a batch; more make no GPU faster and every engine larger
_USUAL = Shape(32, 64)  # what engines are tuned for
_FATAL, _WARNING = 4, 2  # severities of ONNX Runtime's loggers; the second is its default

_HINT = (
    "it needs an NVIDIA driver, CUDA, cuDNN, and onnxruntime-gpu without onnxruntime installed beside it: "
    "pip uninstall onnxruntime; pip install 'mirrorkit[onnx-gpu]'"
)


@dataclass(frozen=True)
class ProviderOptions:
    """What ONNX Runtime's TensorRT provider is told about a graph."""

    profile: Profile
    cache: Path  # folder of this graph alone, for the engines it builds


def provider_options(files: Sequence[Path], max_length: int, cache: Path | None = None) -> ProviderOptions:
    """Return the options for a graph, `files` and whatever weights lie beside it, of texts of 1 to `max_length` tokens.

    Its engines go to a folder below `cache` that is named by the content: the provider itself tells graphs apart by
    their operators, so that two models of one architecture would get the engine of whichever came first.
    """
    longest = Shape(ROWS, max_length)
    usual = Shape(_USUAL.batch, min(_USUAL.length, max_length))
    profile = Profile(Shape(1, 1), usual, longest)
    name = hashlib.sha256("\n".join([str(profile), *map(sha256_of, files)]).encode()).hexdigest()[:32]
    return ProviderOptions(profile, (cache or default_cache("onnxruntime-tensorrt")) / name)


def providers(tensorrt: ProviderOptions | None, *, graphs: bool = False) -> list[tuple[str, dict[str, str]]]:
    """Return the providers of a session on the GPU, each with its options, the preferred one first.

    With `graphs` runs become CUDA graphs, by the number that each names in `gpu_graph_id`; -1 runs as it is.
    """
    # TF32 would cost the fp32 graph three digits of those that its verification has measured.
    cuda = (CUDA, {"device_id": "0", "use_tf32": "0", **({"enable_cuda_graph": "1"} if graphs else {})})
    if tensorrt is None:
        return [cuda]
    make_private(tensorrt.cache, "engines")
    shapes = {
        f"trt_profile_{bound}_shapes": ",".join(f"{name}:{getattr(tensorrt.profile, bound)}" for name in INPUTS)
        for bound in ("min", "opt", "max")
    }
    return [
        (
            TENSORRT,
            {
                "device_id": "0",
                # A conversion of everything to fp16. Off, the network is strongly typed: fp16 where the graph says so.
                "trt_fp16_enable": "0",
                "trt_layer_norm_fp32_fallback": "1",
                "trt_engine_cache_enable": "1",
                "trt_engine_cache_path": str(tensorrt.cache),
                "trt_timing_cache_enable": "1",
                "trt_timing_cache_path": str(tensorrt.cache),
                **shapes,
            },
        ),
        cuda,
    ]


@contextlib.contextmanager
def alone_in(cache: Path | None) -> Iterator[None]:
    """Wait until no other process builds engines in `cache`: two that write one file would leave neither's.

    What a process has left that was killed meanwhile may be half an engine, so it is removed.
    """
    if cache is None or os.name != "posix":
        yield
        return
    import fcntl

    make_private(cache, "engines")
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        building = cache / "building"
        _clear(cache, building)
        try:
            yield
        finally:
            building.unlink(missing_ok=True)


def _clear(cache: Path, building: Path) -> None:
    """Write the mark of an unfinished build; where there is one already, remove what that build has left."""
    try:
        if building.exists():
            log.warning("%s: a process was killed while it built engines here; they are built anew", cache)
            for file in cache.iterdir():
                if file.is_file() and file.name != "lock":
                    file.unlink()
        building.touch()
    except OSError as err:
        raise OutputError(f"{cache}: cannot be used for engines ({err.strerror or err})") from err


def check_build(ort: ModuleType, tensorrt: ProviderOptions | None) -> None:
    """Raise ConfigError for an ONNX Runtime that was built without what is wanted."""
    available = ort.get_available_providers()  # tells of the build alone, not of this machine
    if CUDA not in available:
        raise ConfigError(f"device cuda: this onnxruntime has no CUDA; {_HINT}")
    if tensorrt and TENSORRT not in available:
        raise ConfigError(f"provider tensorrt: this onnxruntime has no TensorRT; {_HINT}")


@contextlib.contextmanager
def libraries(ort: ModuleType, tensorrt: ProviderOptions | None) -> Iterator[None]:
    """Load the CUDA libraries that came as Python packages, and keep ONNX Runtime from writing to the terminal."""
    ort.set_default_logger_severity(_FATAL)  # what goes wrong becomes one error
    try:
        if hasattr(ort, "preload_dlls"):
            with contextlib.redirect_stdout(io.StringIO()):
                ort.preload_dlls()
        if tensorrt:
            with contextlib.suppress(ImportError, OSError):
                require("tensorrt", extra="tensorrt")  # its import loads libnvinfer
        yield
    finally:
        ort.set_default_logger_severity(_WARNING)


def check_started(ort: ModuleType, started: Sequence[str], tensorrt: ProviderOptions | None) -> None:
    """Raise ConfigError where a session runs without the provider it was asked for."""
    if tensorrt and TENSORRT not in started:
        check_libraries(ort)
        raise ConfigError(f"provider tensorrt: TensorRT could not be started on this machine; {_HINT}")
    if CUDA not in started:
        why = _missing_library(ort, "cuda")
        reason = f" ({why})" if why else ""
        raise ConfigError(f"device cuda: CUDA could not be started on this machine{reason}; {_HINT}")


def check_libraries(ort: ModuleType) -> None:
    """Raise ConfigError where a library that the TensorRT provider is linked to is missing."""
    if why := _missing_library(ort, "tensorrt"):
        raise ConfigError(
            f"provider tensorrt: TensorRT could not be started on this machine ({why}); besides the TensorRT release "
            f"that this onnxruntime is linked to, {_HINT}"
        )


def _missing_library(ort: ModuleType, provider: str) -> str | None:
    """Return what the loader says against the provider's own library, or None where it loads."""
    file = Path(str(ort.__file__)).parent / "capi" / f"libonnxruntime_providers_{provider}.so"
    if not file.is_file():
        return None
    try:
        ctypes.CDLL(str(file))
    except OSError as err:
        return str(err)
    return None
