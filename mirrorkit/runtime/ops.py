"""Encoder layers of an int8 graph as operators of libmirrorkit_ops, for who has built that library and names it.

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

log = logging.getLogger(__name__)

VARIABLE = "MIRRORKIT_OPS"  # of the environment: the library's path
_ABI = 1  # of its functions; see export/cpp/ops/ops.h


@dataclass(frozen=True)
class Rewritten:
    """A graph that needs the library's operators."""

    graph: bytes
    library: Path


def rewritten(file: Path, graph: bytes | None = None) -> Rewritten | None:
    """Return a graph with its encoder layers as operators; None where no library is named or no layer found.

    `graph` are the bytes of `file`, where they have been read. Raises ConfigError for a library that cannot be used,
    BundleError for a file that is no graph.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        log.info("%s: run by ONNX Runtime's own operators; %s names no libmirrorkit_ops", file.name, VARIABLE)
        return None
    path = Path(named)
    library = _load(path)
    kernels = library.mirrorkit_ops_kernels()
    if kernels is None:
        raise ConfigError(f"{VARIABLE} {path}: MIRRORKIT_OPS_KERNELS names instructions that this processor lacks")
    graph = file.read_bytes() if graph is None else graph
    out, size = ctypes.c_void_p(), ctypes.c_size_t()
    layers = library.mirrorkit_ops_rewrite(graph, len(graph), ctypes.byref(out), ctypes.byref(size))
    if layers < 0:
        raise BundleError(f"{file}: not a readable ONNX file")
    if layers == 0:
        log.info("%s: %s finds no encoder layer in it, so ONNX Runtime's own operators run it", file.name, path.name)
        return None
    try:
        found = ctypes.string_at(out, size.value)
    finally:
        library.mirrorkit_ops_free(out)
    log.info("%s: %d encoder layers run by %s (%s)", file.name, layers, path.name, kernels.decode())
    return Rewritten(found, path)


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
        ctypes.POINTER(ctypes.c_void_p),
        ctypes.POINTER(ctypes.c_size_t),
    ]
    library.mirrorkit_ops_free.argtypes = [ctypes.c_void_p]
    library.mirrorkit_ops_free.restype = None
    library.mirrorkit_ops_kernels.restype = ctypes.c_char_p
    return library
