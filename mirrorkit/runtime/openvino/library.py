"""OpenVINO itself: what it can do here, and graphs compiled by it. Every call that opens a graph is made here."""

from __future__ import annotations

import functools
import logging
import os
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from mirrorkit.errors import BundleError, ConfigError, first_line
from mirrorkit.extras import require
from mirrorkit.formats.onnx_paths import check_graph_paths
from mirrorkit.runtime.openvino.precision import Precision
from mirrorkit.runtime.session import POOLED

log = logging.getLogger(__name__)

# What the device must say that it can do, and what OpenVINO is told to compute in.
_CAPABILITY = {Precision.FP32: "FP32", Precision.BF16: "BF16", Precision.INT8: "INT8"}
_HINT = {Precision.FP32: "f32", Precision.BF16: "bf16", Precision.INT8: "f32"}
_LIVE: weakref.WeakSet[Any] = weakref.WeakSet()  # what a forked child would inherit
_FIRST, _used = threading.Lock(), False
LATENCY, THROUGHPUT = "LATENCY", "THROUGHPUT"


def library() -> ModuleType:
    """Import OpenVINO, and nothing that it would report to anybody with."""
    if "openvino" not in sys.modules:
        # Its converters for other formats come with the import and look for a package that reports their use. Nothing
        # here converts anything; without the package they have a stub.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        try:
            return require("openvino", extra="openvino")
        finally:
            if sys.modules.get("openvino_telemetry", 0) is None:
                del sys.modules["openvino_telemetry"]
    return require("openvino", extra="openvino")


def held(of_openvino: Any) -> Any:
    """Return what is given; in a forked child it is never freed, see `_keep_inherited`."""
    with suppress(TypeError):  # a stand-in that takes no weak references
        _LIVE.add(of_openvino)
    return of_openvino


@functools.cache
def _first_core() -> tuple[Any, int]:
    return held(library().Core()), os.getpid()


def core() -> Any:
    """Return what knows the devices and compiles graphs; raises ConfigError in a forked child.

    A lock that one of OpenVINO's threads held at the fork is never given back in the child: now and then, one time in
    forty, a child that went on with it waited for ever, with a graph of its own too.
    """
    found, pid = _first_core()
    if pid != os.getpid():
        raise ConfigError(
            "OpenVINO does not survive a fork; start the process with spawn, or open nothing before the fork"
        )
    return found


def first_use(run: Callable[[], object]) -> None:
    """Call `run`, which takes a batch through a graph, unless that has been done in this process; one thread at a time.

    What OpenVINO's bindings set up for their first batch they set up under a lock of their own, and let go of Python's
    meanwhile: two threads that brought a first batch each at the same moment waited for one another for ever.
    """
    global _used  # noqa: PLW0603
    with _FIRST:
        if not _used:
            run()
            _used = True


def version() -> str:
    """Return the release and build of OpenVINO."""
    return str(library().get_version())


def place(device: str) -> str:
    """Return OpenVINO's name of `cpu`, `gpu` or `npu`; raises ConfigError where it has no such device here."""
    found = core().available_devices
    name = device.upper()
    if name not in {each.partition(".")[0] for each in found}:
        raise ConfigError(f"device {device}: OpenVINO {version()} finds only {', '.join(found).lower() or 'none'} here")
    return name


def can(device: str, precision: Precision) -> bool:
    """Return whether the device multiplies in this precision by itself."""
    return _CAPABILITY[precision] in core().get_property(place(device), "OPTIMIZATION_CAPABILITIES")


def available(device: str) -> list[Precision]:
    """Return the precisions that the device has."""
    return [precision for precision in Precision if can(device, precision)]


def choose(device: str, wanted: Precision | None) -> Precision:
    """Return the precision that is wanted, else bf16 where the device has it and fp32 elsewhere.

    Raises ConfigError for one that the device does not have: OpenVINO itself would take another in silence.
    """
    if wanted is None:
        chosen = Precision.BF16 if can(device, Precision.BF16) else Precision.FP32
        has = "has" if chosen is Precision.BF16 else "does not have"
        log.info("OpenVINO: precision %s, because the %s %s bf16 instructions", chosen, device, has)
        return chosen
    if not can(device, wanted):
        listed = ", ".join(available(device))
        raise ConfigError(
            f"precision {wanted}: the {device} here ({describe(device)}) does not have it; it has {listed}"
        )
    return wanted


def describe(device: str) -> str:
    """Return the name of the device's model."""
    return str(core().get_property(place(device), "FULL_DEVICE_NAME")).strip()


def read(file: Path) -> Any:
    """Read a graph, its pooled output alone; raises BundleError for a file that cannot be read as one."""
    check_graph_paths(file)
    ov = library()
    try:
        whole = core().read_model(file)
        return ov.Model([whole.output(POOLED)], whole.get_parameters(), file.stem)
    except Exception as err:  # OpenVINO's errors have no common base
        raise BundleError(f"{file}: cannot be opened by OpenVINO {version()} ({reason(err)})") from err


def compile_graph(source: Any, file: Path, device: str, precision: Precision, hint: str, threads: int) -> Any:
    """Compile a graph that was read, or one that was compiled before and is given as bytes.

    Raises BundleError where that fails, ConfigError where OpenVINO took another precision than it was told.
    """
    name = place(device)
    settings: dict[str, Any] = {"PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": _HINT[precision]}
    if name == "CPU":
        # Bound to cores, the threads of two processes would all be bound to the same ones.
        settings |= {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
    try:
        if isinstance(source, bytes):
            import io

            handle = core().import_model(io.BytesIO(source), name, settings)
        else:
            handle = core().compile_model(source, name, settings)
        told = str(handle.get_property("INFERENCE_PRECISION_HINT").to_string())
    except Exception as err:  # OpenVINO's errors have no common base
        raise BundleError(f"{file}: cannot be opened by OpenVINO {version()} ({reason(err)})") from err
    held(handle)
    if told != _HINT[precision]:
        raise ConfigError(f"precision {precision}: OpenVINO {version()} computes in {told} on this {device}")
    return handle


def exported(handle: Any) -> bytes | None:
    """Return a compiled graph as bytes; None where the device has no such form."""
    try:
        found = handle.export_model()
        return bytes(found if isinstance(found, bytes) else found.getvalue())  # as releases before 2026 give it
    except Exception as err:  # OpenVINO's errors have no common base
        log.info("OpenVINO: a compiled graph cannot be kept (%s)", reason(err))
        return None


def reason(err: BaseException) -> str:
    """Return the line that says something; OpenVINO begins with where in its sources that was."""
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return told[0].rstrip(":") if told else first_line(err)


def _keep_inherited() -> None:
    """Let no graph be freed in a forked child: it would wait for its threads, which a fork does not bring along."""
    import ctypes

    for handle in list(_LIVE):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(handle))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_inherited)
