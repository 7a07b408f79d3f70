"""Which variant of a bundle is the best is written into it, and read by all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.formats.bundle import MANIFEST, PREFERENCE, VARIANT_FILES, Bundle, Graph, Precision, Variant, read_bundle
from mirrorkit.formats.bundle_writer import write_manifest
from mirrorkit.formats.pooling import Pooling


def bundle_of(folder: Path, *names: str, **more: Any) -> Bundle:
    """Write and read a bundle that says it has these variants; none of its files are there."""
    variants = {n: Variant(n, VARIANT_FILES[n], Precision(n.removesuffix("-fused")), Graph.ONNX) for n in names}
    bundle = Bundle(folder, "bert", 8, 64, Pooling.MEAN, 0, variants, {}, **more)
    write_manifest(bundle)
    return bundle


def edit(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    (folder / MANIFEST).write_text(json.dumps({**manifest, "variants": {}, **changes}), encoding="utf-8")


def test_the_order_is_written_of_the_variants_that_there_are(tmp_path: Path) -> None:
    bundle_of(tmp_path, "fp32", "fp32-fused", "int8")
    assert json.loads((tmp_path / MANIFEST).read_text(encoding="utf-8"))["preference"] == {
        "cpu": ["int8", "fp32-fused", "fp32"],
        "cuda": ["fp32-fused", "fp32", "int8"],
        "tensorrt": ["fp32"],
        "wasm": ["int8", "fp32", "fp32-fused"],
    }


@pytest.mark.parametrize(
    ("device", "wanted", "chosen"),
    [
        ("cpu", "auto", "int8-fused"),
        ("cpu", "fp32", "fp32-fused"),
        ("cpu", "int8", "int8-fused"),
        ("cpu", "onnx/model.onnx", "fp32"),
        ("cpu", "fp32-fused", "fp32-fused"),
        ("cuda", "auto", "fp16"),
        ("cuda", "fp32", "fp32-fused"),
        ("tensorrt", "auto", "fp16"),
        ("tensorrt", "fp32", "fp32"),
        ("tensorrt", "int8", "int8"),  # TensorRT will refuse it by name
        ("wasm", "auto", "int8"),
    ],
)
def test_a_precision_means_the_first_of_the_list_that_has_it(
    tmp_path: Path, device: str, wanted: str, chosen: str
) -> None:
    bundle = bundle_of(tmp_path, "fp32", "fp32-fused", "fp16", "int8", "int8-fused")
    assert bundle.choose(wanted, device).name == chosen


def test_the_bundles_own_order_goes_first_and_older_ones_have_the_usual(tmp_path: Path) -> None:
    own = bundle_of(tmp_path, "fp32", "fp16", preference={"cpu": ("int8", "fp16", "fp32")})
    assert own.choose("auto", "cpu").name == "fp16"
    assert own.choose("auto", "cuda").name == "fp16"
    edit(tmp_path, preference={"cpu": ["fp16", "fp32"], "npu": ["fp16"]})
    assert read_bundle(tmp_path).preference == {"cpu": ("fp16", "fp32"), "npu": ("fp16",)}
    older = json.loads((tmp_path / MANIFEST).read_text(encoding="utf-8"))
    del older["preference"]
    (tmp_path / MANIFEST).write_text(json.dumps(older), encoding="utf-8")
    assert read_bundle(tmp_path).preferred("cpu") == []
    usual = bundle_of(tmp_path, *VARIANT_FILES, preference={})
    assert [variant.name for variant in usual.preferred("cpu")] == list(PREFERENCE["cpu"])


def test_a_manifest_that_is_a_link_out_of_the_folder_is_not_opened(tmp_path: Path) -> None:
    bundle_of(tmp_path, "fp32")
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / MANIFEST).symlink_to(tmp_path / MANIFEST)
    with pytest.raises(BundleError, match=r"mirrorkit.json: is a link that leads out of the folder"):
        read_bundle(folder)


@pytest.mark.parametrize("wrong", [["fp32"], "fp32", {"cpu": "fp32"}, {"cpu": [1]}, {"cpu": None}])
def test_an_order_that_is_none_is_refused(tmp_path: Path, wrong: object) -> None:
    bundle_of(tmp_path)
    edit(tmp_path, preference=wrong)
    with pytest.raises(BundleError, match=r"mirrorkit.json: malformed"):
        read_bundle(tmp_path)


def test_what_the_bundle_does_not_hold_is_named(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, "int4")
    with pytest.raises(ConfigError, match=r"variant 'fp32': .* holds int4"):
        bundle.choose("fp32", "cpu")
    with pytest.raises(ConfigError, match=r"variant 'auto': .* holds int4"):
        bundle.choose("auto", "tensorrt")


def test_lengths_to_cut_to_are_written_where_there_are_some(tmp_path: Path) -> None:
    bundle_of(tmp_path, "fp32")
    assert "truncate_dims" not in json.loads((tmp_path / MANIFEST).read_text(encoding="utf-8"))
    written = bundle_of(tmp_path, "fp32", truncate_dims=(2, 7))
    manifest = json.loads((tmp_path / MANIFEST).read_text(encoding="utf-8"))
    assert (manifest["truncate_dims"], manifest["schema_version"]) == ([2, 7], 1)  # older readers pass over it
    edit(tmp_path)
    assert read_bundle(tmp_path).truncate_dims == (2, 7)
    other = Variant("static", VARIANT_FILES["static"], Precision.STATIC, Graph.ONNX, dim=4)
    assert written.truncate_dims_of(other) == ()


@pytest.mark.parametrize("wrong", ["2", [0], [-1], [2, 2], [4, 2], [8], [2.0], [True], [None], {"2": 1}, None, [[2]]])
def test_what_is_no_length_to_cut_to_is_refused(tmp_path: Path, wrong: object) -> None:
    bundle_of(tmp_path, "fp32")
    edit(tmp_path, truncate_dims=wrong)
    with pytest.raises(BundleError, match="truncate_dims must be a rising list of whole numbers of 1 to 7"):
        read_bundle(tmp_path)
