"""What surrounds a build: which library, what for, the gates before an engine is published, and the commands."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the export extra")
import typer
from typer.testing import CliRunner

from mirrorkit.cli.engine import engine as engine_command
from mirrorkit.errors import ConfigError, ExportError, MissingExtraError, OutputError
from mirrorkit.exporter.pipeline import export
from mirrorkit.exporter.tensorrt import build as tensorrt
from mirrorkit.exporter.tensorrt import library as tensorrt_library
from mirrorkit.exporter.tensorrt import plan as tensorrt_export
from mirrorkit.exporter.tensorrt.build import EngineRefusedError, build_engine
from mirrorkit.exporter.tensorrt.library import Built, Library, load_library, resolve_target
from mirrorkit.exporter.tensorrt.plan import plan_engines
from mirrorkit.formats.bundle import read_bundle
from mirrorkit.formats.engine import Backend, Gpu, Status, read_engine
from mirrorkit.runtime.session import open_session
from tests.exports import traced_once

A10 = Gpu("NVIDIA A10", "8.6", "580.65")
H200 = Gpu("NVIDIA H200", "9.0", "580.65")
TRT, RTX = (Library(backend, SimpleNamespace(__version__="11.4.0.106")) for backend in Backend)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, tiny_random: Callable[[str], Path]) -> Iterator[Path]:
    with traced_once(tmp_path_factory):
        folder = tmp_path_factory.mktemp("engine") / "bundle"
        export(tiny_random("bert"), folder, precision=["fp32"], optimize=False)
        yield folder


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[Gpu | None], None]:
    """Let there be a library that gives bytes for an engine, and no GPU; return a function that puts one in."""

    def put_in(gpu: Gpu | None) -> None:
        monkeypatch.setattr(tensorrt, "current_gpu", lambda: gpu)
        monkeypatch.setattr(tensorrt_export, "current_gpu", lambda: gpu)

    put_in(None)
    for module in (tensorrt, tensorrt_export):
        monkeypatch.setattr(module, "load_library", lambda *_: RTX)
    monkeypatch.setattr(tensorrt, "build", lambda *_, **__: Built(b"plan", b"timings", {}, 0.5))
    return put_in


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    for backend in ("auto", "tensorrt-rtx"):
        with pytest.raises(MissingExtraError, match=r"pip install 'mirrorkit\[tensorrt-rtx\]'"):
            load_library(backend, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mirrorkit\[tensorrt\]'"):
        load_library("tensorrt", A10)


def test_tensorrt_is_for_where_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(__version__="1", __spec__=SimpleNamespace()))
    assert load_library("auto", None).backend is Backend.RTX
    assert load_library("auto", A10).backend is Backend.TENSORRT
    assert load_library("tensorrt-rtx", A10).backend is Backend.RTX
    with pytest.raises(ConfigError, match="builds only on the GPU that the engine is for, and there is none here"):
        load_library("tensorrt", None)

    def broken(*_: Any, **__: Any) -> None:
        raise ImportError("libnvinfer.so.11: cannot open shared object file")

    monkeypatch.setattr(tensorrt_library, "require", broken)
    with pytest.raises(ExportError, match=r"is installed but cannot be loaded \(libnvinfer\.so\.11"):
        load_library("tensorrt", A10)


@pytest.mark.parametrize(
    ("library", "target", "gpu", "resolved"),
    [
        (RTX, None, None, "portable"),
        (RTX, None, A10, "portable"),
        (RTX, "sm120", A10, "sm120"),
        (RTX, "current", A10, "sm86"),
        (TRT, None, H200, "sm90"),
        (TRT, "sm90", H200, "sm90"),
        (TRT, "portable", H200, "portable"),
    ],
)
def test_the_target_follows_the_library_and_the_gpu(
    library: Library, target: str | None, gpu: Gpu | None, resolved: str
) -> None:
    assert resolve_target(library, target, gpu) == resolved


def test_tensorrt_builds_for_the_gpu_here_alone() -> None:
    with pytest.raises(ConfigError, match=r"target sm86: tensorrt builds only for the GPU it runs on, which is sm90"):
        resolve_target(TRT, "sm86", H200)


def test_a_graph_with_other_vectors_is_not_built(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong:
        def batch(self, input_ids: Any, attention_mask: Any) -> Any:
            return np.full((len(input_ids), read_bundle(bundle).dim), 32**-0.5, dtype=np.float32)

    monkeypatch.setattr(tensorrt, "open_session", lambda *_, **__: Wrong())
    with pytest.raises(EngineRefusedError, match="nothing was published: the graph, run by ONNX Runtime, does not"):
        build_engine(bundle, tmp_path / "engine")
    assert list(tmp_path.iterdir()) == []


class OnGpu:
    """Stands for an engine on a GPU: the bundle's own fp32 graph, with some noise."""

    def __init__(self, bundle: Path, noise: float, longest: int) -> None:
        self.inner = open_session(bundle / "onnx/model.onnx")
        self.noise = noise
        self.longest = longest
        self.rows = 0

    def batch(self, input_ids: Any, attention_mask: Any) -> Any:
        assert input_ids.shape[1] <= self.longest
        self.rows += len(input_ids)
        return self.inner.batch(input_ids, attention_mask) + np.float32(self.noise)


def test_an_engine_is_proved_on_the_gpu_that_it_is_for(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: Callable[[Gpu | None], None]
) -> None:
    machine(A10)
    monkeypatch.setattr(tensorrt, "require", lambda *_, **__: None)
    session = OnGpu(bundle, 0.0, 32)
    seen = []

    def open_engine(folder: Path, _: Any) -> OnGpu:
        seen.append(read_engine(folder))
        return session

    monkeypatch.setattr(tensorrt, "open_engine", open_engine)
    result = build_engine(bundle, tmp_path / "good", target="current", profiles=["min=1x1,opt=8x8,max=64x32"])
    assert [engine.status for engine in seen] == [Status.BUILT]  # what was opened is what is published
    engine = read_engine(tmp_path / "good")
    assert (engine.status, engine.gpu, engine.target) == (Status.VERIFIED, A10, "sm86")
    assert engine.report["cosine_min"] > 0.999
    assert session.rows > 300
    (note,) = result.notes
    assert "of more than 32 tokens were left out" in note
    session.noise = 0.05
    with pytest.raises(EngineRefusedError, match="the engine, run on NVIDIA A10, does not pass") as refused:
        build_engine(bundle, tmp_path / "bad", target="current", profiles=["min=1x1,opt=8x8,max=64x32"])
    assert refused.value.problems
    assert [path.name for path in tmp_path.iterdir()] == ["good"]
    other = build_engine(bundle, tmp_path / "other", target="sm120")
    assert other.engine.status is Status.BUILT
    assert other.notes == ("built, not run: it was built for sm120, this GPU is NVIDIA A10 (sm86)",)


def test_a_gpu_without_the_package_to_run_engines_is_told_before_the_build(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: Callable[[Gpu | None], None]
) -> None:
    machine(A10)
    for name in ("cuda", "cuda.bindings", "cuda.bindings.driver"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(tensorrt, "build", lambda *_, **__: pytest.fail("too late"))
    with pytest.raises(MissingExtraError, match=r"cuda is not installed; run: pip install 'mirrorkit\[tensorrt-rtx\]'"):
        build_engine(bundle, tmp_path / "engine")


def test_an_export_plans_its_engines_before_it_begins(bundle: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "b"))
    plan = plan_engines(copy, ["fp16", "fp32", "fp16"], exported=["fp32", "int8"], profiles=["latency"], ids="int32")
    first, second = plan.build()
    assert first.engine.folder == tmp_path / "b-tensorrt-fp16"
    assert second.engine.folder == tmp_path / "b-tensorrt-fp32"
    assert read_engine(second.engine.folder).source.bundle == "b"
    with pytest.raises(OutputError, match="b-tensorrt-fp16: exists and is not empty"):
        plan_engines(copy, ["fp16"], exported=["fp16"])


@pytest.mark.parametrize(
    ("precisions", "options", "message"),
    [
        (["int4"], {}, "tensorrt 'int4': must be among fp32, fp16, int8, fp8"),
        ([], {}, "tensorrt ''"),
        (["fp16"], {"exported": ["int8"]}, "tensorrt fp16: is made of fp16 or fp32; add it to `precision`"),
        (["fp32"], {"profiles": ["1x"]}, "is not a shape"),
        (["fp32"], {"target": "sm1"}, "target 'sm1'"),
        (["fp32", "fp8"], {"exported": ["fp32", "int8"], "target": "sm86"}, "precision fp8: .* the target is sm86"),
    ],
)
def test_a_plan_that_cannot_be_met_is_named(
    tmp_path: Path, precisions: list[str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_engines(tmp_path / "b", precisions, **{"exported": ["fp32"], **options})


def test_timings_of_the_engine_before_are_used_again(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []

    def build(*_: Any, timing_cache: bytes, **__: Any) -> Built:
        given.append(timing_cache)
        return Built(b"plan", b"timings", {}, 0.5)

    monkeypatch.setattr(tensorrt, "build", build)
    for _ in range(2):
        build_engine(bundle, tmp_path / "engine", overwrite=True)
    assert (tmp_path / "engine" / "timing.cache").read_bytes() == b"timings"
    monkeypatch.setattr(tensorrt, "load_library", lambda *_: Library(Backend.RTX, SimpleNamespace(__version__="12")))
    build_engine(bundle, tmp_path / "engine", overwrite=True)
    assert given == [b"", b"timings", b""]


@pytest.mark.parametrize(
    ("library", "arguments", "message"),
    [
        ("tensorrt", [], "usage: build BUNDLE OUT"),
        ("onnx", ["BUNDLE", "x"], "LIBRARY=onnx: must be tensorrt or tensorrt-rtx"),
        ("tensorrt-rtx", ["/", "x"], "/: no bundle; make one with"),
        ("tensorrt", ["BUNDLE", "x"], "no nvidia-smi here: tensorrt needs the GPU and its driver"),
    ],
)
def test_the_script_for_gpu_machines_says_what_it_lacks(
    bundle: Path, tmp_path: Path, library: str, arguments: list[str], message: str
) -> None:
    bash, dirname = shutil.which("bash"), shutil.which("dirname")
    if bash is None or dirname is None:
        pytest.skip("needs bash")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "dirname").symlink_to(dirname)  # a machine with this much alone
    script = Path(tensorrt.__file__).parents[3] / "export" / "tensorrt" / "build"
    words = [str(bundle) if word == "BUNDLE" else word for word in arguments]
    surroundings = {"PATH": str(tmp_path / "bin"), "LIBRARY": library}
    done = subprocess.run([bash, str(script), *words], env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(message)


@pytest.fixture
def app() -> typer.Typer:
    one = typer.Typer()
    one.command()(engine_command)
    return one


def test_the_command_tells_what_it_built(bundle: Path, tmp_path: Path, app: typer.Typer) -> None:
    runner = CliRunner()
    given = [str(bundle), "-o", str(tmp_path / "a"), "--profile", "latency", "--profile", "8x64", "--target", "sm89"]
    done = runner.invoke(app, given)
    assert done.exit_code == 0
    for told in (
        "fp16, sm89, tensorrt-rtx 11.4.0.106",
        "min=8x64",
        "ONNX Runtime: cosine at least 0.99",
        "built, not run",
    ):
        assert told in done.output
    done = runner.invoke(app, [str(bundle), "-o", str(tmp_path / "b"), "--json"])
    assert json.loads(done.stdout)["status"] == "built, not run"
    done = runner.invoke(app, [str(bundle), "-o", str(tmp_path / "b")])
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert "exists and is not empty" in done.stderr


def test_the_command_fails_by_its_exit_code(
    bundle: Path, tmp_path: Path, app: typer.Typer, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt = OnGpu(bundle, 0.2, 1 << 20)
    monkeypatch.setattr(tensorrt, "open_session", lambda *_, **__: spoilt)
    done = CliRunner().invoke(app, [str(bundle), "-o", str(tmp_path / "a"), "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["problems"]
    assert done.stderr.startswith("mirrorkit: not published: ")
