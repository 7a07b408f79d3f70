"""The library that builds engines: `tensorrt` 11 or 10, or `tensorrt_rtx`. All three take the calls made here.

`tensorrt` 11 computes what the graph says and nothing else; 10 does so when told to, and `tensorrt_rtx` always did.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mirrorkit.errors import ConfigError, ExportError, MissingExtraError
from mirrorkit.extras import require
from mirrorkit.formats.bundle import INPUTS
from mirrorkit.formats.engine import PORTABLE, Backend, Gpu, Precision
from mirrorkit.formats.profiles import Profile

CURRENT = "current"
ARCHITECTURES = ("sm75", "sm80", "sm86", "sm89", "sm120", "sm121")  # tensorrt_rtx builds for these on any machine
TARGETS = (PORTABLE, *ARCHITECTURES, CURRENT)
BACKENDS = ("auto", *(str(backend) for backend in Backend))

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Library:
    """A library that can be imported here."""

    backend: Backend
    module: Any

    @property
    def version(self) -> str:
        return str(self.module.__version__)

    def __str__(self) -> str:
        return f"{self.backend} {self.version}"


@dataclass(frozen=True)
class Built:
    """What a build gave."""

    engine: bytes
    timing_cache: bytes | None
    options: Mapping[str, Any]
    seconds: float


def load_library(backend: str, gpu: Gpu | None) -> Library:
    """Return the library of that name; `auto` is the installed one, `tensorrt` first where there is a GPU.

    Raises MissingExtraError where it is not installed, ConfigError for `tensorrt` without a GPU.
    """
    if backend not in BACKENDS:
        raise ConfigError(f"backend {backend!r}: must be one of {', '.join(BACKENDS)}")
    if backend == "auto":
        chosen = Backend.TENSORRT if gpu is not None and find_spec("tensorrt") is not None else Backend.RTX
    else:
        chosen = Backend(backend)
    try:
        if chosen is Backend.RTX:
            return Library(chosen, require("tensorrt_rtx", extra="tensorrt-rtx"))
        library = Library(chosen, require("tensorrt", extra="tensorrt"))
    except MissingExtraError:
        raise
    except (ImportError, OSError) as err:
        raise ExportError(f"{chosen}: is installed but cannot be loaded ({' '.join(str(err).split())})") from err
    if gpu is None:
        raise ConfigError(
            "backend tensorrt: builds only on the GPU that the engine is for, and there is none here; build on that "
            "machine (export/tensorrt/), or with `backend=tensorrt-rtx`"
        )
    return library


def resolve_target(library: Library, target: str | None, gpu: Gpu | None) -> str:
    """Return what to build for: `portable`, or an architecture such as `sm86`.

    None is what suits the library: the GPU here for `tensorrt`, any GPU for `tensorrt_rtx`. Raises ConfigError for
    what the library cannot build here.
    """
    target = target or (CURRENT if library.backend is Backend.TENSORRT else PORTABLE)
    if target not in TARGETS and not (gpu is not None and target == gpu.target):
        raise ConfigError(f"target {target!r}: must be one of {', '.join(TARGETS)}")
    if target == PORTABLE:
        return target
    if gpu is None and target == CURRENT:
        raise ConfigError(f"target current: there is no GPU here; name one of {PORTABLE}, {', '.join(ARCHITECTURES)}")
    if target == CURRENT:
        assert gpu is not None
        return gpu.target
    if library.backend is Backend.TENSORRT and gpu is not None and target != gpu.target:
        raise ConfigError(
            f"target {target}: tensorrt builds only for the GPU it runs on, which is {gpu.target} ({gpu.name}); "
            "build on the other machine, or with `backend=tensorrt-rtx`"
        )
    return target


def check_precision(precision: Precision, library: Library, target: str) -> None:
    """Raise ConfigError where no GPU of a target, as `resolve_target` returns it, multiplies in that precision."""
    if precision is not Precision.FP8:
        return
    needs = "precision fp8: needs GPUs of compute capability 8.9 or later (Ada, Hopper, Blackwell)"
    if target == PORTABLE:
        if library.backend is Backend.TENSORRT:  # what it calls portable is what Ampere has
            raise ConfigError(f"{needs}, and a portable engine of tensorrt is for 8.0 and later; leave the target out")
    elif _capability(target) < precision.since:
        raise ConfigError(f"{needs}, sm89 and up, and the target is {target}; fp16 and int8 run there")


def _capability(architecture: str) -> tuple[int, int]:
    """Return the compute capability of `sm86` or `sm120`: (8, 6), (12, 0)."""
    digits = architecture.removeprefix("sm")
    return int(digits[:-1]), int(digits[-1])


def build(
    library: Library,
    graph: Path,
    profiles: Sequence[Profile],
    target: str,
    *,
    precision: Precision = Precision.FP32,
    gpu: Gpu | None = None,
    timing_cache: bytes = b"",
) -> Built:
    """Parse `graph` and build an engine for `target` that takes `profiles`.

    `timing_cache` is of an earlier build on the same machine. Raises ExportError with all that the parser or the
    builder complain of.
    """
    trt = library.module
    start = time.perf_counter()
    complaints: list[str] = []
    logger = _logger(trt, complaints)  # must outlive all that follows
    try:
        builder = trt.Builder(logger)
    except (RuntimeError, TypeError) as err:  # pybind's words for a builder that could not be made
        raise ExportError(f"{library}: cannot be started ({'; '.join(complaints) or err})") from err
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    _parse(library, network, logger, graph)
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # fp32 means fp32; who wants tensor cores takes fp16
    options = {"strongly_typed": True, "tf32": False, "optimization_level": config.builder_optimization_level}
    options |= _aim(library, config, target, precision, gpu)
    for profile in profiles:
        _add_profile(builder, config, profile)
    cache = _use_cache(library, config, timing_cache)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ExportError(f"{library}: cannot build the engine: {'; '.join(complaints) or 'it gives no reason'}")
    seconds = time.perf_counter() - start
    return Built(bytes(plan), bytes(cache.serialize()) if cache is not None else None, options, seconds)


def _logger(trt: Any, complaints: list[str]) -> Any:
    class Log(trt.ILogger):  # type: ignore[misc]  # the class is known only when the library is
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                complaints.append(" ".join(message.split()))
            else:
                log.debug("%s", message)

    return Log()


def _parse(library: Library, network: Any, logger: Any, graph: Path) -> None:
    parser = library.module.OnnxParser(network, logger)
    if parser.parse_from_file(str(graph)):
        return
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    told = [
        f"{error.node_name()} ({error.node_operator()}): {' '.join(error.desc().split())}".removeprefix(" (): ")
        for error in errors
    ]
    raise ExportError(f"{library}: cannot read the graph: {'; '.join(told) or 'it gives no reason'}")


def _aim(library: Library, config: Any, target: str, precision: Precision, gpu: Gpu | None) -> dict[str, Any]:
    """Set what the engine is to run on; return what was set."""
    trt = library.module
    if library.backend is Backend.TENSORRT:
        if target == PORTABLE:
            config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
        return {"hardware_compatibility": "ampere_plus" if target == PORTABLE else "none"}
    named = [name.lower() for name in trt.ComputeCapability.__members__ if name.startswith("SM")]
    if target == PORTABLE and precision is not Precision.FP8:
        return {"compute_capabilities": []}  # none named: any from 8.0 on
    targets = [target] if target != PORTABLE else [name for name in named if _capability(name) >= precision.since]
    here = gpu is not None and target == gpu.target
    config.num_compute_capabilities = len(targets)
    for place, name in enumerate(targets):
        known = getattr(trt.ComputeCapability, name.upper(), trt.ComputeCapability.CURRENT if here else None)
        if known is None or not config.set_compute_capability(known, place):
            raise ConfigError(f"target {target}: {library} builds for {PORTABLE}, {', '.join(named)}")
    return {"compute_capabilities": targets}


def _add_profile(builder: Any, config: Any, profile: Profile) -> None:
    own = builder.create_optimization_profile()
    for name in INPUTS:
        own.set_shape(name, *((shape.batch, shape.length) for shape in (profile.min, profile.opt, profile.max)))
    if config.add_optimization_profile(own) < 0:
        raise ExportError(f"profile {profile}: the builder rejects it")


def _use_cache(library: Library, config: Any, known: bytes) -> Any:
    """Attach a cache of what was timed; a build of `tensorrt_rtx` times nothing, its engines do when they first run."""
    if library.backend is not Backend.TENSORRT:
        return None
    cache = config.create_timing_cache(known)
    if not config.set_timing_cache(cache, False):  # of another GPU or version
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return config.get_timing_cache()
