"""Test the calls to the CUDA driver: their order, that all is given back, and what is said when one fails."""

from __future__ import annotations

import gc
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mirrorkit.errors import ConfigError
from mirrorkit.runtime.tensorrt import cuda as tensorrt_cuda
from mirrorkit.runtime.tensorrt.cuda import Cuda, CudaError


class Driver:
    """The functions of `cuda.bindings.driver` that are called; notes what is held and what was given back."""

    CUstream_flags = SimpleNamespace(CU_STREAM_NON_BLOCKING=SimpleNamespace(value=1))
    CUstreamCaptureMode = SimpleNamespace(CU_STREAM_CAPTURE_MODE_RELAXED=2)

    def __init__(self, **wrong: Any) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.results = {
            "cuDeviceGetCount": (0, 1),
            "cuDeviceGet": (0, "device"),
            "cuDevicePrimaryCtxRetain": (0, "context"),
            "cuStreamCreate": (0, 99),
            "cuMemAlloc": (0, 4096),
            "cuStreamEndCapture": (0, "graph"),
            "cuGraphInstantiate": (0, "executable"),
            "cuMemGetInfo": (0, 5_000_000, 8_000_000),
            **wrong,
        }
        self.pinned: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            self.calls.append((name, *arguments))
            if name == "cuMemAllocHost":
                self.pinned.append(np.zeros(arguments[0], dtype=np.uint8))
                return 0, self.pinned[-1].ctypes.data
            result = self.results.get(name, (0,))
            if isinstance(result, Exception):
                raise result
            return result

        return call

    def names(self) -> list[str]:
        return [call[0] for call in self.calls]


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    driver = Driver()
    monkeypatch.setattr(tensorrt_cuda, "require", lambda name, extra: driver)
    return driver


def test_memory_and_copies_go_through_the_own_stream_and_all_is_given_back(driver: Driver) -> None:
    cuda = Cuda()
    assert cuda.stream == 99
    address, pinned = cuda.device_memory(64), cuda.pinned_memory(64)
    pinned[:] = 7
    assert (driver.pinned[0] == 7).all()
    cuda.to_device(address, pinned[:16].view(np.int64))
    cuda.to_host(pinned[:8], address)
    cuda.wait()
    host = pinned.ctypes.data
    assert driver.calls[-3:] == [
        ("cuMemcpyHtoDAsync", 4096, host, 16, 99),
        ("cuMemcpyDtoHAsync", host, 4096, 8, 99),
        ("cuStreamSynchronize", 99),
    ]
    copy = partial(cuda.to_device, address, pinned)
    cuda.launch(cuda.capture(copy))
    assert driver.names()[-5:-1] == ["cuMemcpyHtoDAsync", "cuStreamEndCapture", "cuGraphInstantiate", "cuGraphDestroy"]
    assert driver.calls[-1] == ("cuGraphLaunch", "executable", 99)
    del cuda, copy
    gc.collect()
    assert [("cuMemFree", 4096), ("cuMemFreeHost", host)] == [c for c in driver.calls if c[0].startswith("cuMemFree")]
    assert driver.names()[-2:] == ["cuStreamDestroy", "cuDevicePrimaryCtxRelease"]


def test_a_capture_that_fails_ends_all_the_same(driver: Driver) -> None:
    cuda = Cuda()

    def fails() -> None:
        raise CudaError("no")

    with pytest.raises(CudaError, match="no"):
        cuda.capture(fails)
    assert driver.names()[-1] == "cuStreamEndCapture"


def test_no_memory_left_is_one_line_with_the_figures(driver: Driver) -> None:
    driver.results["cuMemAlloc"] = (2,)
    with pytest.raises(CudaError, match=r"cannot allocate 90 MB of memory \(cuMemAlloc failed with 2\); the GPU has 5"):
        Cuda().device_memory(90_000_000)


@pytest.mark.parametrize(
    "wrong",
    [
        {"cuInit": (100,)},
        {"cuDeviceGetCount": (0, 0)},
        {"cuInit": RuntimeError('"cuda" is an NVIDIA driver library. Ensure the driver is installed.')},
    ],
)
def test_no_gpu_is_one_line(monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]) -> None:
    monkeypatch.setattr(tensorrt_cuda, "require", lambda name, extra: Driver(**wrong))
    with pytest.raises(
        ConfigError, match=r"no CUDA device found \(.*[^.]\); an engine runs only on the GPU it was built for"
    ):
        Cuda()


def test_a_forked_child_is_told_so(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Cuda()
    monkeypatch.setattr("os.getpid", lambda: -1)
    with pytest.raises(CudaError, match="CUDA does not survive a fork; start the process with spawn"):
        cuda.use()
    before = len(driver.calls)
    del cuda
    gc.collect()
    assert len(driver.calls) == before  # what the parent holds is not the child's to free
