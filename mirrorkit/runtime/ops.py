"""Encoder layers of a graph as operators of libmirrorkit_ops, for who has built that library and names it.

The bundle stays as it is: the library itself finds the layers in a graph while it is opened.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.formats.bundle import VARIANT_FILES

log = logging.getLogger(__name__)

VARIABLE = "MIRRORKIT_OPS"  # of the environment: the library's path
_KERNELS = "MIRRORKIT_OPS_KERNELS"  # another: which of its arithmetic
INT8, BF16 = "int8", "bf16"  # what it multiplies in
BF16_VARIANT = "ops-bf16"  # what an encoder whose layers it runs in bf16 calls itself
FUSED = "fp32-fused"  # the variant that takes; for `fp32` it is chosen where there is one
_IN_BF16 = ("auto", "fp32", FUSED, VARIANT_FILES[FUSED], BF16_VARIANT)
_OTHERWISE = 'or use OpenVINO: `engine="openvino"`'
_ABI = 2  # of its functions; see export/cpp/ops/ops.h


@dataclass(frozen=True)
class Rewritten:
    """A graph that needs the library's operators."""

    graph: bytes
    library: Path


def rewritten(file: Path, graph: bytes | None = None, *, bf16: bool = False) -> Rewritten | None:
    """Return a graph with its encoder layers as operators; None where no library is named or no layer found.

    `graph` are the bytes of `file`, where they have been read. With `bf16` it is an fp32 graph, of which the layers
    are multiplied in bf16; then there must be a library, and layers. Raises ConfigError for a library that cannot be
    used, BundleError for a file that is no graph.
    """
    if bf16:
        check_bf16()
    named = os.environ.get(VARIABLE)
    if not named:
        log.info("%s: run by ONNX Runtime's own operators; %s names no libmirrorkit_ops", file.name, VARIABLE)
        return None
    path, precision = Path(named), BF16 if bf16 else INT8
    library = _load(path)
    kernels = library.mirrorkit_ops_kernels(precision.encode())
    if kernels is None:
        raise ConfigError(f"{VARIABLE} {path}: {_KERNELS} names instructions that this processor lacks")
    graph = file.read_bytes() if graph is None else graph
    out, size = ctypes.c_void_p(), ctypes.c_size_t()
    layers = library.mirrorkit_ops_rewrite(graph, len(graph), precision.encode(), ctypes.byref(out), ctypes.byref(size))
    if layers < 0:
        raise BundleError(f"{file}: not a readable ONNX file")
    if layers == 0 and bf16:
        raise no_layer(file)
    if layers == 0:
        log.info("%s: %s finds no encoder layer in it, so ONNX Runtime's own operators run it", file.name, path.name)
        return None
    try:
        found = ctypes.string_at(out, size.value)
    finally:
        library.mirrorkit_ops_free(out)
    how = f"{kernels.decode()}, bf16" if bf16 else kernels.decode()
    log.info("%s: %d encoder layers run by %s (%s)", file.name, layers, path.name, how)
    return Rewritten(found, path)


def check_bf16() -> None:
    """Raise ConfigError where no library is named that multiplies in bf16 on this processor."""
    named = os.environ.get(VARIABLE)
    if not named:
        raise ConfigError(
            "precision bf16: for ONNX Runtime libmirrorkit_ops multiplies in it, and the environment variable "
            f"{VARIABLE} names none; build it as export/cpp/ops/README.md says, {_OTHERWISE}"
        )
    if _load(Path(named)).mirrorkit_ops_kernels(BF16.encode()) is not None:
        return
    if os.environ.get(_KERNELS):
        raise ConfigError(f"{VARIABLE} {named}: {_KERNELS} names instructions that this processor lacks for bf16")
    raise ConfigError(
        "precision bf16: this processor has neither AMX nor AVX-512 for it; leave `precision` out, or take an int8 "
        "variant"
    )


def offers_bf16() -> bool:
    """Tell whether a library is named that multiplies in bf16 on this processor; raises ConfigError for a wrong one."""
    named = os.environ.get(VARIABLE)
    return bool(named) and _load(Path(str(named))).mirrorkit_ops_kernels(BF16.encode()) is not None


def why_not_bf16(file: Path) -> str | None:
    """Return why the layers of an fp32 graph cannot be multiplied in bf16 here, in one line; None where they can.

    Raises ConfigError for a library that is none, BundleError for a file that is no graph.
    """
    offers_bf16()
    try:
        rewritten(file, bf16=True)
    except ConfigError as err:
        return str(err)
    return None


def no_layer(file: Path) -> ConfigError:
    """Return the error for a graph that bf16 was asked of."""
    return ConfigError(
        f"precision bf16: {file} has no encoder layer as {FUSED} graphs have them; leave `precision` out, {_OTHERWISE}"
    )


def fused_variant(variant: str, precision: str | None, *, cpu: bool) -> str | None:
    """Return the variant to be run in bf16; None where neither `variant` nor `precision` asks for that.

    `cpu` is whether ONNX Runtime is to run it there. Raises ConfigError for a precision that there is not, for what it
    cannot be combined with, and where no library can do it.
    """
    if precision is None and variant != BF16_VARIANT:
        return None
    if precision not in (None, BF16):
        raise ConfigError(
            f"precision {precision!r}: for ONNX Runtime must be {BF16} or left out, and then the variant decides; "
            "OpenVINO has others"
        )
    if variant not in _IN_BF16:
        raise ConfigError(
            f"variant {variant}: cannot be combined with precision {BF16}; leave the variant out or give {FUSED}"
        )
    if not cpu:
        raise ConfigError(f"precision {BF16}: ONNX Runtime has it only on the CPU; leave the device and TensorRT out")
    check_bf16()
    return "fp32" if variant in ("auto", BF16_VARIANT) else variant


@functools.cache
def _load(path: Path) -> Any:
    try:
        library = ctypes.CDLL(str(path))
        abi = library.mirrorkit_ops_abi()
    except (OSError, AttributeError) as err:
        raise ConfigError(f"{VARIABLE} {path}: is not a libmirrorkit_ops ({err})") from err
    if abi != _ABI:
        raise ConfigError(f"{VARIABLE} {path}: is of another release (interface {abi}, not {_ABI}); build it anew")
    library.mirrorkit_ops_rewrite.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_char_p,
        ctypes.POINTER(ctypes.c_void_p),
        ctypes.POINTER(ctypes.c_size_t),
    ]
    library.mirrorkit_ops_free.argtypes = [ctypes.c_void_p]
    library.mirrorkit_ops_free.restype = None
    library.mirrorkit_ops_kernels.argtypes = [ctypes.c_char_p]
    library.mirrorkit_ops_kernels.restype = ctypes.c_char_p
    return library
