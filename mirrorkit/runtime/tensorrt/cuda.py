"""The few CUDA calls that an engine needs: memory, one stream, graphs.

They come from `cuda.bindings.driver` (package cuda-bindings, the part of cuda-python that holds the calls): TensorRT's
own bindings have none for memory or streams. It is the driver's interface because the runtime's would
bring a copy of the CUDA runtime along, which refuses every driver older than itself.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mirrorkit.errors import ConfigError
from mirrorkit.extras import require

Bytes = npt.NDArray[np.uint8]


class CudaError(ConfigError):
    """A CUDA call failed: no GPU, no memory left, or the GPU stopped."""


class Cuda:
    """The first GPU, with one stream of its own; for one thread at a time."""

    def __init__(self, *, extra: str = "tensorrt") -> None:
        self._driver: Any = require("cuda.bindings.driver", extra=extra)
        self._pid = os.getpid()
        self._device = self._first_device()
        self._context = self._call("cuDevicePrimaryCtxRetain", self._device)
        self.use()
        self._stream = self._call("cuStreamCreate", self._driver.CUstream_flags.CU_STREAM_NON_BLOCKING.value)
        self.stream = int(self._stream)  # as TensorRT takes it
        self._held: list[tuple[str, Any]] = []  # the call that frees it, and what
        weakref.finalize(self, _release, self._driver, self._context, self._device, self._stream, self._held, self._pid)

    def _first_device(self) -> Any:
        try:
            self._call("cuInit", 0)
            if self._call("cuDeviceGetCount") < 1:
                raise CudaError("the driver reports none")
            return self._call("cuDeviceGet", 0)
        except (CudaError, RuntimeError, OSError) as err:
            why = str(err) if isinstance(err, CudaError) else "no NVIDIA driver is installed"  # no libcuda to load
            raise CudaError(
                f"no CUDA device found ({why}); an engine runs only on the GPU it was built for; "
                "without one use another variant, such as fp32"
            ) from err

    def use(self) -> None:
        """Make the device current in the calling thread; raises CudaError in a forked child."""
        if self._pid != os.getpid():
            raise CudaError("CUDA does not survive a fork; start the process with spawn, or open the encoder inside it")
        self._call("cuCtxSetCurrent", self._context)

    def device_memory(self, size: int) -> int:
        """Return the address of `size` new bytes on the GPU."""
        address = self._memory("cuMemAlloc", size)
        self._held.append(("cuMemFree", address))
        return int(address)

    def pinned_memory(self, size: int) -> Bytes:
        """Return `size` new bytes that the GPU copies from and to by itself."""
        address = int(self._memory("cuMemAllocHost", size))
        self._held.append(("cuMemFreeHost", address))
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))

    def to_device(self, address: int, host: npt.NDArray[Any]) -> None:
        """Copy a contiguous array to the GPU, in the stream's turn."""
        self._call("cuMemcpyHtoDAsync", address, host.ctypes.data, host.nbytes, self._stream)

    def to_host(self, host: npt.NDArray[Any], address: int) -> None:
        """Copy from the GPU into a contiguous array, in the stream's turn."""
        self._call("cuMemcpyDtoHAsync", host.ctypes.data, address, host.nbytes, self._stream)

    def wait(self) -> None:
        """Return when all that was put into the stream is done."""
        self._call("cuStreamSynchronize", self._stream)

    def capture(self, work: Callable[[], None]) -> Any:
        """Return a graph of what `work` puts into the stream; nothing of it runs."""
        self._call(
            "cuStreamBeginCapture", self._stream, self._driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED
        )
        try:
            work()
        finally:  # else the stream would stay in capture for good
            graph = self._call("cuStreamEndCapture", self._stream)
        try:
            return self._call("cuGraphInstantiate", graph, 0)
        finally:
            self._call("cuGraphDestroy", graph)

    def launch(self, graph: Any) -> None:
        """Put a captured graph into the stream."""
        self._call("cuGraphLaunch", graph, self._stream)

    def forget(self, graph: Any) -> None:
        """Free a captured graph."""
        self._call("cuGraphExecDestroy", graph)

    def _memory(self, call: str, size: int) -> Any:
        try:
            return self._call(call, max(1, size))
        except CudaError as err:
            free, total = self._call("cuMemGetInfo")
            raise CudaError(
                f"cannot allocate {size / 1e6:.0f} MB of memory ({err}); the GPU has {free / 1e6:.0f} of "
                f"{total / 1e6:.0f} MB free; build the engine with smaller profiles"
            ) from err

    def _call(self, name: str, *arguments: Any) -> Any:
        status, *values = getattr(self._driver, name)(*arguments)
        if int(status):
            raise CudaError(f"{name} failed with {getattr(status, 'name', status)}")
        return values[0] if len(values) == 1 else values


def _release(driver: Any, context: Any, device: Any, stream: Any, held: list[tuple[str, Any]], pid: int) -> None:
    """Give back what a `Cuda` held; on the way out of a process failures do not matter."""
    if pid != os.getpid():
        return
    driver.cuCtxSetCurrent(context)
    driver.cuStreamSynchronize(stream)
    for call, address in held:
        getattr(driver, call)(address)
    driver.cuStreamDestroy(stream)
    driver.cuDevicePrimaryCtxRelease(device)
