"""Test what is asked of ONNX Runtime for a GPU, and what is said where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnx", reason="needs the export extra, to make what is run")

import onnxruntime

from mirrorkit.errors import BundleError, ConfigError, OutputError
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.runtime.encoding import batches_of
from mirrorkit.runtime.tensorrt import provider as tensorrt_provider
from mirrorkit.runtime.tensorrt.options import Tensorrt
from tests.engines import lookup_bundle

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
TEXTS = ["the cat", "a much longer text about a cat that sat on a mat", "", "dog"]


@pytest.fixture
def bundle(tiny: Path, tmp_path: Path) -> Path:
    return lookup_bundle(tmp_path / "bundle", tiny / "tokenizer.json", ["fp32", "fp32-fused", "fp16", "int8"])


class Gpu:
    """An ONNX Runtime that says it has a GPU and runs on the CPU; `started` is what its sessions then claim."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.started = [TENSORRT, CUDA, CPU]
        self.asked: list[Any] = []
        self.fails: Exception | None = None
        self.bound: list[str] = []
        self.severities: list[int] = []
        real = onnxruntime.InferenceSession

        def open_session(file: str, options: Any, providers: Any, **more: Any) -> Any:
            assert more == {"enable_fallback": 0}
            if providers == [CPU]:
                return real(file, options, providers=providers)
            self.asked.append(providers)
            if self.fails:
                raise self.fails
            handle = real(file, options, providers=[CPU])
            handle.get_providers = lambda: [p for p in self.started if p in {name for name, _ in providers} | {CPU}]
            bind = handle.io_binding

            def io_binding() -> Any:
                self.bound.append(file)
                return bind()

            handle.io_binding = io_binding
            handle.run = None  # a GPU is fed through bindings alone
            return handle

        patch.setattr(onnxruntime, "InferenceSession", open_session)
        patch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA, CPU])
        patch.setattr(
            onnxruntime, "preload_dlls", lambda: sys.stdout.write("Failed to load libcublas\n"), raising=False
        )
        patch.setattr(onnxruntime, "set_default_logger_severity", self.severities.append)
        patch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__="10.13"))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    return Gpu(monkeypatch)


def test_cuda_gives_the_same_vectors_through_bindings(
    bundle: Path, gpu: Gpu, capfd: pytest.CaptureFixture[str]
) -> None:
    encoder = Encoder(bundle, device="cuda")
    assert encoder.variant == "fp16"
    np.testing.assert_allclose(encoder.encode(TEXTS), Encoder(bundle, "fp16").encode(TEXTS), atol=1e-6)
    assert gpu.asked == [[(CUDA, {"device_id": "0", "use_tf32": "0"})]]
    assert len(gpu.bound) >= 1
    assert gpu.severities == [4, 2]
    assert capfd.readouterr() == ("", "")


def test_tensorrt_gets_its_profile_and_a_cache_of_this_graph_alone(bundle: Path, gpu: Gpu, tmp_path: Path) -> None:
    encoder = Encoder(bundle, tensorrt=Tensorrt(cache=tmp_path / "cache"))
    assert encoder.variant == "fp16"
    np.testing.assert_allclose(encoder.encode(TEXTS), Encoder(bundle, "fp16").encode(TEXTS), atol=1e-6)
    ((name, options), (then, _)) = gpu.asked[0]
    assert (name, then) == (TENSORRT, CUDA)
    shapes = {key: value for key, value in options.items() if key.startswith("trt_profile")}
    assert shapes == {
        "trt_profile_min_shapes": "input_ids:1x1,attention_mask:1x1",
        "trt_profile_opt_shapes": "input_ids:32x64,attention_mask:32x64",
        "trt_profile_max_shapes": "input_ids:256x64,attention_mask:256x64",
    }
    assert options["trt_fp16_enable"] == "0"  # the graph is typed
    assert options["trt_layer_norm_fp32_fallback"] == options["trt_engine_cache_enable"] == "1"
    cache = Path(options["trt_engine_cache_path"])
    assert cache.parent == tmp_path / "cache"
    assert cache.is_dir()
    Encoder(bundle, "fp16", tensorrt=Tensorrt(cache=tmp_path / "cache"))
    assert gpu.asked[1] == gpu.asked[0]


def test_another_graph_gets_another_cache(tmp_path: Path) -> None:
    one, other = tmp_path / "one.onnx", tmp_path / "other.onnx"
    one.write_bytes(b"weights")
    other.write_bytes(b"others!")
    caches = {tensorrt_provider.provider_options([file], n, tmp_path).cache for file in (one, other) for n in (32, 64)}
    assert len(caches) == 4
    assert tensorrt_provider.provider_options([one], 64, tmp_path).cache in caches
    assert str(tensorrt_provider.provider_options([one], 16).profile) == "min=1x1,opt=32x16,max=256x16"


def test_no_batch_has_more_rows_than_the_profile(bundle: Path, gpu: Gpu, tmp_path: Path) -> None:
    lengths = np.full(1000, 3, dtype=np.int64)
    assert [len(rows) for rows in batches_of(lengths, 16_384, 256)] == [256, 256, 256, 232]
    assert [len(rows) for rows in batches_of(lengths, 16_384)] == [1000]
    encoder = Encoder(bundle, tensorrt=Tensorrt(cache=tmp_path))
    texts = ["cat"] * 600
    np.testing.assert_allclose(encoder.encode(texts), Encoder(bundle).encode(texts), atol=1e-6)
    assert len(gpu.bound) == 3


def test_the_default_cache_follows_the_desktop_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "m.onnx"
    file.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert tensorrt_provider.provider_options([file], 8).cache.parent == (
        tmp_path / "xdg" / "mirrorkit" / "onnxruntime-tensorrt"
    )


@pytest.mark.parametrize("variant", ["int8", "fp32-fused", "onnx/model_fused.onnx"])
def test_graphs_that_tensorrt_cannot_read_are_refused(bundle: Path, gpu: Gpu, variant: str) -> None:
    with pytest.raises(ConfigError, match=r"variant .*: has operators that only ONNX Runtime knows, .*use fp16"):
        Encoder(bundle, variant, tensorrt=Tensorrt())
    assert not gpu.asked


def test_fp32_is_the_plain_graph_for_tensorrt_and_the_fused_one_for_cuda(
    bundle: Path, gpu: Gpu, tmp_path: Path
) -> None:
    assert Encoder(bundle, "fp32", tensorrt=Tensorrt(cache=tmp_path)).variant == "fp32"
    assert Encoder(bundle, "fp32", device="cuda").variant == "fp32-fused"


def test_a_session_that_went_on_without_the_gpu_is_refused(bundle: Path, gpu: Gpu, tmp_path: Path) -> None:
    gpu.started = [CPU]
    with pytest.raises(ConfigError, match="device cuda: CUDA could not be started on this machine; it needs an NVIDIA"):
        Encoder(bundle, device="cuda")
    gpu.started = [CUDA, CPU]
    with pytest.raises(ConfigError, match="provider tensorrt: TensorRT could not be started on this machine; "):
        Encoder(bundle, tensorrt=Tensorrt(cache=tmp_path))
    gpu.fails = RuntimeError("cannot parse\nline 2")
    with pytest.raises(BundleError, match=r"model_fp16.onnx: cannot be opened by ONNX Runtime .* \(cannot parse\)$"):
        Encoder(bundle, tensorrt=Tensorrt(cache=tmp_path))
    assert gpu.severities[-1] == 2


def test_the_library_that_is_missing_is_named(
    bundle: Path, gpu: Gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capi = tmp_path / "capi"
    capi.mkdir()
    (capi / "libonnxruntime_providers_tensorrt.so").write_bytes(b"no library")
    monkeypatch.setattr(onnxruntime, "__file__", str(tmp_path / "__init__.py"))
    gpu.fails = RuntimeError("Please install TensorRT libraries")
    with pytest.raises(ConfigError, match=r"TensorRT could not be started on this machine \(.*tensorrt.so: .*\); bes"):
        Encoder(bundle, tensorrt=Tensorrt(cache=tmp_path))


def test_a_build_without_the_provider_is_refused(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    with pytest.raises(ConfigError, match=r"provider tensorrt: this onnxruntime has no TensorRT; .*onnxruntime-gpu"):
        Encoder(bundle, tensorrt=Tensorrt())
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    with pytest.raises(ConfigError, match=r"device cuda: this onnxruntime has no CUDA; .*onnxruntime-gpu"):
        Encoder(bundle, tensorrt=Tensorrt())


def test_this_machine_refuses_in_one_line(bundle: Path, tmp_path: Path) -> None:
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime is built for CUDA")
    for options in ({"device": "cuda"}, {"tensorrt": Tensorrt(cache=tmp_path)}):
        with pytest.raises(ConfigError, match="this onnxruntime has no CUDA") as caught:
            Encoder(bundle, **options)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


def test_a_cache_that_anybody_can_write_to_is_told_of(
    bundle: Path, gpu: Gpu, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    Encoder(bundle, tensorrt=Tensorrt(cache=shared))
    assert f"{shared}: anyone can write there" in caplog.text
    (made,) = shared.iterdir()
    assert made.stat().st_mode & 0o077 == 0


def test_in_a_folder_like_tmp_a_cache_of_ones_own_will_do(
    bundle: Path, gpu: Gpu, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    Encoder(bundle, tensorrt=Tensorrt(cache=shared))
    assert "anyone can write there" not in caplog.text
    (made,) = shared.iterdir()
    made.chmod(0o1777)
    Encoder(bundle, tensorrt=Tensorrt(cache=shared))
    assert f"{made}: anyone can write there" in caplog.text


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="files here have no owners")
def test_a_cache_that_somebody_else_has_made_is_refused(
    bundle: Path, gpu: Gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid():
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    else:
        tmp_path = tmp_path / "shared"
        tmp_path.mkdir()
        Encoder(bundle, tensorrt=Tensorrt(cache=tmp_path))
        (made,) = tmp_path.iterdir()
        os.chown(made, 12345, -1)
    with pytest.raises(OutputError, match=r"belongs to somebody else \(user \d+\), and engines are programs"):
        Encoder(bundle, tensorrt=Tensorrt(cache=tmp_path))


def test_one_process_at_a_time_builds_into_a_cache(tmp_path: Path) -> None:
    inside: list[int] = []

    def build(number: int) -> bool:
        with tensorrt_provider.alone_in(tmp_path / "cache"):
            inside.append(number)
            alone = inside == [number]
            inside.remove(number)
            return alone

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(build, range(50)))


def test_half_an_engine_of_a_killed_process_is_removed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = tmp_path / "cache"
    with tensorrt_provider.alone_in(cache):
        (cache / "whole.engine").write_bytes(b"whole")
    with tensorrt_provider.alone_in(cache):
        assert (cache / "whole.engine").exists()
    script = (
        "import os, sys; from pathlib import Path; from mirrorkit.runtime.tensorrt.provider import alone_in\n"
        "with alone_in(Path(sys.argv[1])):\n    Path(sys.argv[1], 'half.engine').touch(); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script, cache], check=False).returncode == -9
    assert (cache / "half.engine").exists()
    with tensorrt_provider.alone_in(cache):
        assert {file.name for file in cache.iterdir()} == {"lock", "building"}
    assert "a process was killed while it built engines here" in caplog.text
