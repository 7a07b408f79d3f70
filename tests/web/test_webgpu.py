"""Where a GPU is wrong, WebAssembly does its work, and says so. The GPU is a stub; no real one was run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mirrorkit
from tests.web.consumer import run
from tests.web.site import Site

pytestmark = [pytest.mark.slow, pytest.mark.web]

On = Callable[..., dict[str, Any]]
TEXT = "How do I reset my password?"


@pytest.fixture
def site(bundle: Path) -> Iterator[Site]:
    with Site(bundle) as site:
        yield site


@pytest.fixture
def on_gpu(project: Path, site: Site) -> On:
    def on_gpu(gives: str, adapter: tuple[str, ...] | None = ("shader-f16",), **job: Any) -> dict[str, Any]:
        asked = {"place": site.address, "gives": gives, "adapter": adapter, **job}
        return dict(json.loads(run("node", "gpu.mjs", cwd=project, given=json.dumps(asked))))

    return on_gpu


def _expect(found: dict[str, Any], bundle: Path, provider: str, variant: str) -> None:
    assert (found.get("provider"), found.get("variant")) == (provider, variant), found
    graph = json.loads((bundle / "mirrorkit.json").read_text(encoding="utf-8"))["variants"][variant]["file"]
    exact = mirrorkit.Encoder(bundle, graph, threads=1).encode([TEXT])[0]
    np.testing.assert_allclose(found["vector"], exact, rtol=0, atol=4e-3)


def test_a_gpu_that_is_right_is_used(on_gpu: On, bundle: Path) -> None:
    for features, variant in ((("shader-f16",), "fp16"), ((), "fp32")):
        found = on_gpu("right", features)
        _expect(found, bundle, "webgpu", variant)
        assert (found["started"], found["told"], found["warned"]) == (["webgpu"], [], [])


@pytest.mark.parametrize(
    ("gives", "reason"),
    [
        ("wrong", "fp16: gives other vectors than golden.jsonl (largest difference"),
        ("nothing", "variant fp16: gave numbers that are not finite"),
        ("refuses", "onnx/model_fp16.onnx: does not run here (the shader does not compile)"),
    ],
)
def test_a_gpu_that_is_wrong_is_not_used(gives: str, reason: str, on_gpu: On, bundle: Path) -> None:
    found = on_gpu(gives)
    _expect(found, bundle, "wasm", "int8")
    assert found["started"] == ["webgpu", "wasm"]
    assert found["released"] == ([] if gives == "refuses" else ["webgpu"])
    (told,) = found["told"]
    assert (told["provider"], told["instead"], told["variant"]) == ("webgpu", "wasm", "int8")
    assert reason in told["reason"]
    assert found["warned"] == []


def test_without_anybody_to_tell_it_warns(on_gpu: On) -> None:
    (line,) = on_gpu("wrong", quiet=True)["warned"]
    assert line.startswith("mirrorkit: webgpu is not used, int8 runs on wasm instead: fp16: gives other vectors")
    assert "\n" not in line


def test_no_gpu_is_told_to_those_who_asked_for_one(on_gpu: On, bundle: Path) -> None:
    quiet = on_gpu("right", None)
    _expect(quiet, bundle, "wasm", "int8")
    assert (quiet["told"], quiet["warned"]) == ([], [])
    (told,) = on_gpu("right", None, options={"provider": "webgpu"})["told"]
    assert "no WebGPU" in told["reason"]
    assert on_gpu("right", options={"provider": "wasm"})["started"] == ["wasm"]
    said = on_gpu("right", options={"provider": "cuda"})
    assert said["error"] == "provider cuda: must be one of wasm, webgpu, auto"


def test_damage_and_a_stop_are_no_reason_to_fall_back(on_gpu: On, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = on_gpu("right", abortAtRun=3)
    assert (stopped["kind"], stopped["started"], stopped["released"]) == ("AbortError", ["webgpu"], ["webgpu"])
    monkeypatch.setattr(site, "changed", {"/onnx/model_fp16.onnx": b"short"})
    damaged = on_gpu("right")
    assert "model_fp16.onnx: has 5 bytes" in damaged["error"]
    assert (damaged["started"], damaged["told"]) == ([], [])
