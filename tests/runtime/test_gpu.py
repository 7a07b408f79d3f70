"""Test each way of running a bundle on a real GPU against the CPU; skipped, with the reason, where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnx", reason="needs the export extra, to make what is run")

from mirrorkit.machine.gpu import current_gpu
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.runtime.tensorrt.options import Tensorrt
from tests.bundles import bundle_of

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(current_gpu() is None, reason="no NVIDIA GPU here")]

TEXTS = [("the cat sat on the mat " * (n % 12 + 1)).strip()[: n % 90 + 1] for n in range(300)]


@pytest.fixture
def bundle(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_of(tiny, ["fp32"], tmp_path_factory)


def _needs(provider: str) -> None:
    if provider not in onnxruntime.get_available_providers():
        pytest.skip(f"this onnxruntime has no {provider}")


def test_cuda(bundle: Path) -> None:
    _needs("CUDAExecutionProvider")
    found = Encoder(bundle, "fp32", device="cuda").encode(TEXTS)
    np.testing.assert_allclose(found, Encoder(bundle, "fp32").encode(TEXTS), atol=1e-5)


def test_the_tensorrt_provider_twice_the_second_time_from_its_cache(bundle: Path, tmp_path: Path) -> None:
    _needs("TensorrtExecutionProvider")
    expected = Encoder(bundle, "fp32").encode(TEXTS)
    for _ in range(2):
        encoder = Encoder(bundle, "fp32", tensorrt=Tensorrt(cache=tmp_path))
        np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-3)  # TensorRT's own fp32 may use TF32
    assert list(tmp_path.rglob("*.engine"))


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx"])
@pytest.mark.parametrize("profile", ["latency", "throughput", "mixed"])
def test_an_engine(bundle: Path, tmp_path: Path, backend: str, profile: str) -> None:
    pytest.importorskip(backend.replace("-", "_"))
    pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is not installed")
    from mirrorkit.exporter.tensorrt.build import build_engine, rebuild_engine

    folder = tmp_path / "engine"
    build_engine(bundle, folder, precision="fp32", target="current", profiles=[profile], backend=backend)
    encoder = Encoder(bundle, "tensorrt", tensorrt=Tensorrt(folder, rebuild_engine))
    expected = Encoder(bundle, "fp32").encode(TEXTS)
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-3)
    one_by_one = np.concatenate([encoder.encode([text]) for text in TEXTS[:60] * 2])  # long enough for CUDA graphs
    np.testing.assert_allclose(one_by_one, np.concatenate([expected[:60]] * 2), atol=1e-3)


def test_cuda_graphs(bundle: Path) -> None:
    _needs("CUDAExecutionProvider")
    encoder, expected = Encoder(bundle, "fp32", device="cuda", cuda_graphs=True), Encoder(bundle, "fp32").encode(TEXTS)
    for _ in range(3):  # the first run of a shape is captured, the others replay it
        one_by_one = np.concatenate([encoder.encode([text]) for text in TEXTS[:40]])
        np.testing.assert_allclose(one_by_one, expected[:40], atol=1e-5)
        np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-5)
