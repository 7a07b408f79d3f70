"""Ask the NVIDIA driver which GPU there is, without torch or any other package."""

from __future__ import annotations

import ctypes
import sys

from mirrorkit.formats.engine import Gpu

_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR


def current_gpu() -> Gpu | None:
    """Return the first GPU that CUDA programs see, or None where there is no driver or no GPU."""
    cuda = _library("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(256)
    if cuda is None or cuda.cuInit(0) != 0 or cuda.cuDeviceGet(ctypes.byref(device), 0) != 0:
        return None
    failed = (
        cuda.cuDeviceGetName(name, len(name), device)
        or cuda.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
        or cuda.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
    )
    if failed:
        return None
    return Gpu(name.value.decode(errors="replace"), f"{major.value}.{minor.value}", _driver(cuda))


def _driver(cuda: ctypes.CDLL) -> str:
    management = _library("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
    version = ctypes.create_string_buffer(80)
    if management is not None and management.nvmlInit_v2() == 0:
        found = management.nvmlSystemGetDriverVersion(version, len(version)) == 0
        management.nvmlShutdown()
        if found:
            return version.value.decode(errors="replace")
    newest = ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(newest))
    return f"CUDA {newest.value // 1000}.{newest.value % 1000 // 10}"


def _library(name: str) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(name)
    except OSError:
        return None
