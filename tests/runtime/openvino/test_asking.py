"""What is asked of OpenVINO that cannot be is refused in one line; none of it needs OpenVINO."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("onnx", reason="needs the export extra, to make what is run")

from mirrorkit import Encoder, Tensorrt
from mirrorkit.errors import BundleError, ConfigError, MissingExtraError
from mirrorkit.runtime.openvino import library
from mirrorkit.runtime.openvino.precision import Precision, asked_for
from tests.bundles import make_foreign
from tests.engines import lookup_bundle


class Core:
    """A processor that has fp32 and int8 and no bf16."""

    available_devices = ("CPU", "GPU.0", "GPU.1")

    def get_property(self, device: str, name: str) -> Any:
        return {"OPTIMIZATION_CAPABILITIES": ["FP32", "INT8", "BIN"], "FULL_DEVICE_NAME": "Test 1000 "}[name]


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    library._first_core.cache_clear()
    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace(Core=Core, get_version=lambda: "2026.0"))
    yield
    library._first_core.cache_clear()


@pytest.fixture
def bundle(tiny: Path, tmp_path: Path) -> Path:
    return lookup_bundle(tmp_path / "bundle", tiny / "tokenizer.json", ["fp32", "fp32-fused"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"engine": "openvno"}, "engine 'openvno': must be one of onnxruntime, openvino"),
        ({"precision": "bf16"}, "precision bf16: for ONNX Runtime libmirrorkit_ops multiplies in it"),
        ({"engine": "openvino", "precision": "fp16"}, "precision 'fp16': must be one of fp32, bf16, int8"),
        ({"engine": "openvino", "variant": "fp32-fused"}, "variant 'fp32-fused': OpenVINO reads the plain graphs"),
        ({"engine": "openvino", "variant": "int8", "precision": "bf16"}, "variant int8: cannot be combined with"),
        ({"engine": "openvino", "device": "cuda"}, "device 'cuda': OpenVINO runs on one of cpu, gpu, npu"),
        ({"engine": "openvino", "device": "npu"}, "device npu: OpenVINO 2026.0 finds only cpu, gpu.0, gpu.1 here"),
        ({"engine": "openvino", "threads": 0}, "threads 0: must be a whole number of at least 1"),
        ({"engine": "openvino", "tensorrt": Tensorrt()}, "engine openvino: cannot be combined with TensorRT"),
        ({"engine": "openvino", "precision": "bf16"}, r"precision bf16: the cpu here \(Test 1000\) does not have it"),
        ({"engine": "openvino", "precision": "int8"}, "variant 'int8': .* holds fp32"),
    ],
)
def test_what_cannot_be_is_one_line(bundle: Path, old: None, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        Encoder(bundle, **options)
    assert "\n" not in str(caught.value)


def test_without_bf16_the_choice_is_fp32(old: None) -> None:
    assert library.choose("cpu", None) is Precision.FP32
    assert library.available("gpu") == [Precision.FP32, Precision.INT8]


@pytest.mark.parametrize(
    ("variant", "precision", "found"),
    [
        ("auto", None, None),
        ("auto", "bf16", "bf16"),
        ("fp32", None, "fp32"),
        ("fp32", "bf16", "bf16"),
        ("onnx/model_quantized.onnx", None, "int8"),
        ("openvino-bf16", None, "bf16"),
        ("openvino-bf16", "bf16", "bf16"),
    ],
)
def test_variant_and_precision_together(variant: str, precision: str | None, found: str | None) -> None:
    assert asked_for(variant, precision) == found


def test_a_folder_made_by_others_is_refused(old: None, tiny: Path, tmp_path: Path) -> None:
    folder = make_foreign(tmp_path / "folder", tiny / "tokenizer.json")
    with pytest.raises(BundleError, match=r"folder: is not a bundle, and OpenVINO runs only bundles here"):
        Encoder(folder, engine="openvino")


def test_without_the_extra_it_says_what_to_install(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library._first_core.cache_clear()
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"openvino is not installed; run: pip install 'mirrorkit\[openvino\]'"):
        Encoder(bundle, engine="openvino")
