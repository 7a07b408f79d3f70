"""Build engines for the GPU that is here and hold them to the bundle's vectors: for machines that have one."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the export extra")

from mirrorkit.exporter.pipeline import export
from mirrorkit.exporter.tensorrt.build import build_engine
from mirrorkit.formats.engine import Precision, Status, read_engine
from mirrorkit.machine.gpu import current_gpu

pytestmark = [pytest.mark.gpu, pytest.mark.slow]


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx"])
@pytest.mark.parametrize("precision", list(Precision))
def test_an_engine_for_this_gpu_passes_its_limits(
    tiny_random: Callable[[str], Path], tmp_path: Path, backend: str, precision: Precision
) -> None:
    gpu = current_gpu()
    if gpu is None:
        pytest.skip("needs an NVIDIA GPU")
    if find_spec(backend.replace("-", "_")) is None:
        pytest.skip(f"needs the {backend} extra")
    if int(gpu.target.removeprefix("sm")) < 89 and precision is Precision.FP8:
        pytest.skip("needs a GPU of compute capability 8.9 or later")
    export(tiny_random("bert"), tmp_path / "bundle", precision=["fp32", "fp16", "int8"], optimize=False)
    out = tmp_path / "engine"
    bundle = tmp_path / "bundle"
    build_engine(bundle, out, precision=str(precision), backend=backend, target="current", profiles=["mixed"])
    engine = read_engine(out)
    assert engine.status is Status.VERIFIED
    assert engine.gpu == gpu
    assert engine.target == gpu.target
    assert (engine.timing_cache is not None) == (backend == "tensorrt")
    assert engine.report["cosine_min"] > (0.9995 if precision in ("fp32", "fp16") else 0.98)
