"""Where the parts of the installed library lie, and where there is an ONNX Runtime."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

_HOME = Path(__file__).parent
_ONNXRUNTIME = ("onnxruntime.dll", "libonnxruntime.dylib", "libonnxruntime.*.dylib", "libonnxruntime.so*")


def library_dir() -> Path:
    """Return the folder to link in, as `-L` takes it."""
    return _HOME / "lib"


def include_dir() -> Path:
    """Return the folder of mirrorkit.h and mirrorkit.hpp."""
    return _HOME / "include"


def cmake_dir() -> Path:
    """Return what `mirrorkit_DIR` must be for CMake's `find_package(mirrorkit)`."""
    return library_dir() / "cmake" / "mirrorkit"


def pkg_config_dir() -> Path:
    """Return what must be in `PKG_CONFIG_PATH`."""
    return library_dir() / "pkgconfig"


def library() -> Path:
    """Return the shared library itself."""
    names = ("bin/mirrorkit.dll", "bin/libmirrorkit.dll", "lib/libmirrorkit.dylib", "lib/libmirrorkit.so")
    found = [_HOME / name for name in names if (_HOME / name).is_file()]
    if not found:
        raise ImportError(f"{_HOME}: no libmirrorkit in it; reinstall mirrorkit-native")
    return found[0]


def onnxruntime() -> Path | None:
    """Return the library in the installed onnxruntime package; None where there is none or another one is named."""
    if os.environ.get("MIRRORKIT_ONNXRUNTIME"):
        return None
    spec = find_spec("onnxruntime")  # looks for the package and does not import it
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "capi"
    return next((path for pattern in _ONNXRUNTIME for path in sorted(folder.glob(pattern))), None)
