"""Check bundles that are whole, damaged or forged, and folders that others made. No torch is needed for that."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the export extra")

from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.exporter.pipeline import export
from mirrorkit.formats.bundle import MANIFEST, VARIANT_FILES
from mirrorkit.formats.files import sha256_of
from mirrorkit.verification.check import CheckResult, check
from mirrorkit.verification.problem import Severity, Stage, errors
from tests.bundles import make_foreign
from tests.exports import after_pooling, edited, graph_of, noisy, traced_once


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_random: Callable[[str], Path]) -> Path:
    """Return a bundle of fp32, its fused graph, and fp16; do not write into it."""
    home = tmp_path_factory.mktemp("check")
    with traced_once(tmp_path_factory):
        result = export(tiny_random("bert"), home / "bundle", precision=["fp32", "fp16"], pooling="cls")
    assert result.ok
    return result.bundle


@pytest.fixture
def bundle(whole: Path, tmp_path: Path) -> Path:
    """Return a copy of the bundle to damage."""
    return Path(shutil.copytree(whole, tmp_path / "bundle"))


def found(result: CheckResult) -> set[tuple[Stage, str]]:
    return {(problem.stage, problem.where) for problem in errors(result.problems)}


def change_manifest(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
    change(manifest)
    (bundle / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def accept(bundle: Path, *names: str) -> None:
    """Record the present bytes of files, as one who forges a bundle would."""

    def record(manifest: dict[str, Any]) -> None:
        for name in names:
            file = bundle / name
            manifest["files"][name] = {"sha256": sha256_of(file), "bytes": file.stat().st_size}

    change_manifest(bundle, record)


def test_a_fresh_bundle_is_fit_for_every_consumer(whole: Path) -> None:
    result = check(whole)
    assert result.ok
    assert set(result.variants) == {"fp32", "fp32-fused", "fp16"}
    assert all(figures["cosine_min"] > 0.999 for figures in result.variants.values())
    assert set(result.consumers.values()) == {"right"}
    assert {problem.severity for problem in result.problems} == {Severity.NOTE}
    printed = json.loads(json.dumps(result.as_dict()))
    assert printed["ok"] is True
    assert {"severity", "stage", "where", "what", "measured", "allowed"} == set(printed["problems"][0])


def test_checking_needs_no_torch(whole: Path) -> None:
    code = (
        f"import sys; from mirrorkit.verification.check import check; assert check({str(whole)!r}).ok; "
        "assert not {'torch', 'transformers', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_checking_needs_no_onnx(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setattr("mirrorkit.verification.check.find_spec", lambda name: None)
    assert check(whole).ok


def test_only_the_wanted_variants_are_run(whole: Path) -> None:
    result = check(whole, variants=["fp16"])
    assert result.ok
    assert list(result.variants) == ["fp16"]
    with pytest.raises(ConfigError, match=r"int8.* holds fp32, fp32-fused, fp16"):
        check(whole, variants=["int8"])


@pytest.mark.parametrize("name", ["model.safetensors", "onnx/model_fp16.onnx", "tokenizer.json", "golden.jsonl"])
def test_a_changed_byte_is_found(bundle: Path, name: str) -> None:
    raw = bytearray((bundle / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (bundle / name).write_bytes(raw)
    result = check(bundle)
    assert found(result) == {(Stage.FILES, name)}
    assert "sha256" in errors(result.problems)[0].what


def test_a_changed_plain_graph_takes_the_fused_one_with_it(bundle: Path) -> None:
    raw = bytearray((bundle / "onnx/model.onnx").read_bytes())
    raw[-1] ^= 1
    (bundle / "onnx/model.onnx").write_bytes(raw)
    result = check(bundle)
    assert set(result.variants) == {"fp16"}
    assert not result.ok


@pytest.mark.parametrize("damage", ["newer", "climb", "no json", "absolute"])
def test_what_cannot_be_read_as_a_bundle_is_one_problem(bundle: Path, damage: str) -> None:
    if damage == "no json":
        (bundle / MANIFEST).write_text("{", encoding="utf-8")
    else:
        record = {"sha256": "0" * 64, "bytes": 1}
        changes: dict[str, Callable[[dict[str, Any]], None]] = {
            "newer": lambda m: m.update(schema_version=99),
            "climb": lambda m: m["files"].update({"../secret": record}),
            "absolute": lambda m: m["files"].update({"/etc/hostname": record}),
        }
        change_manifest(bundle, changes[damage])
    result = check(bundle)
    assert found(result) == {(Stage.MANIFEST, "")}
    assert result.variants == {}


def test_a_graph_that_was_cut_off_is_found(bundle: Path) -> None:
    file = bundle / "onnx/model_fp16.onnx"
    file.write_bytes(file.read_bytes()[:1000])
    assert found(check(bundle)) == {(Stage.FILES, "onnx/model_fp16.onnx")}


def test_what_is_left_out_on_purpose_is_a_warning(bundle: Path) -> None:
    for name in ("onnx/model_fp16.onnx", "model.safetensors", "README.md"):
        (bundle / name).unlink()
    result = check(bundle)
    assert result.ok, [problem.line() for problem in errors(result.problems)]
    told = {p.where for p in result.problems if p.what == "left out of this folder"}
    assert told == {"onnx/model_fp16.onnx", "model.safetensors", "README.md"}
    assert set(result.variants) == {"fp32", "fp32-fused"}
    with pytest.raises(ConfigError, match=r"'fp16'.* holds fp32, fp32-fused; fp16 were left out of it"):
        check(bundle, variants=["fp16"])
    (bundle / "onnx/model.onnx").unlink()
    assert (Stage.MANIFEST, MANIFEST) in found(check(bundle))


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "golden.jsonl", "1_Pooling/config.json"])
def test_what_readers_need_may_not_be_left_out(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    assert (Stage.FILES, name) in found(check(bundle))


def test_the_card_may_be_edited(bundle: Path) -> None:
    card = bundle / "README.md"
    card.write_text(card.read_text(encoding="utf-8") + "\nlanguage: de\n", encoding="utf-8")
    result = check(bundle)
    assert result.ok
    assert [p.what for p in result.problems if p.where == "README.md"] == ["edited since the export"]


def test_a_link_out_of_the_bundle_is_not_followed(bundle: Path, tmp_path: Path) -> None:
    shutil.move(bundle / "tokenizer.json", tmp_path / "tokenizer.json")
    (bundle / "tokenizer.json").symlink_to(tmp_path / "tokenizer.json")
    (problem,) = errors(check(bundle).problems)
    assert "leads out of the bundle" in problem.what


def test_a_forged_graph_fails_the_goldens(bundle: Path) -> None:
    edited(graph_of(bundle, "fp16"), graph_of(bundle, "fp16"), noisy(0))
    edited(graph_of(bundle, "fp32"), graph_of(bundle, "fp32"), noisy(0.3))
    (bundle / VARIANT_FILES["fp32-fused"]).unlink()
    change_manifest(bundle, lambda m: (m["variants"].pop("fp32-fused"), m["files"].pop(VARIANT_FILES["fp32-fused"])))
    accept(bundle, VARIANT_FILES["fp32"], VARIANT_FILES["fp16"])
    result = check(bundle)
    assert found(result) == {(Stage.NUMBERS, "fp32")}
    assert result.variants["fp32"]["cosine_min"] < 0.99999


def test_another_tokenizer_fails_the_golden_ids(bundle: Path) -> None:
    tokenizer = json.loads((bundle / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["normalizer"]["lowercase"] = False
    (bundle / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    accept(bundle, "tokenizer.json")
    result = check(bundle)
    assert found(result) == {(Stage.TOKENIZER, "tokenizer.json")}
    (problem,) = errors(result.problems)
    assert isinstance(problem.measured, int)
    assert problem.measured > 0


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"text": "a", "ids": [1], "embedding": [0.5]}', '{"text": 1, "ids": [1], "embedding": []}', ""]
)
def test_malformed_goldens_are_named(bundle: Path, line: str) -> None:
    (bundle / "golden.jsonl").write_text(f"\n{line}\n", encoding="utf-8")
    accept(bundle, "golden.jsonl")
    result = check(bundle)
    assert found(result) == {(Stage.TOKENIZER, "golden.jsonl")}


def test_extra_files_are_noted(bundle: Path) -> None:
    (bundle / "notes.txt").write_text("mine", encoding="utf-8")
    shutil.copyfile(bundle / "onnx/model.onnx", bundle / "onnx/model_quantized.onnx")
    result = check(bundle)
    assert result.ok
    extra = {p.where: p.severity for p in result.problems if p.stage is Stage.FILES}
    assert extra == {"notes.txt": Severity.NOTE, "onnx/model_quantized.onnx": Severity.WARNING}


def test_limits_of_the_users_own_are_used_and_told(bundle: Path) -> None:
    def loosen(manifest: dict[str, Any]) -> None:
        report = manifest["variants"]["fp32"]["report"]
        report["overridden"] = ["max_abs"]
        report["allowed"]["max_abs"] = 1e-12

    change_manifest(bundle, loosen)
    result = check(bundle)
    assert found(result) == {(Stage.NUMBERS, "fp32")}
    assert any(p.severity is Severity.WARNING and "set by the user" in p.what for p in result.problems)


def test_pooling_that_contradicts_the_manifest_is_what_a_consumer_would_read(bundle: Path) -> None:
    config = json.loads((bundle / "1_Pooling/config.json").read_text(encoding="utf-8"))
    config.update(pooling_mode_cls_token=False, pooling_mode_mean_tokens=True)
    (bundle / "1_Pooling/config.json").write_text(json.dumps(config), encoding="utf-8")
    accept(bundle, "1_Pooling/config.json")
    result = check(bundle)
    assert found(result) == {(Stage.CONSUMERS, "sentence-transformers")}
    assert result.consumers["sentence-transformers"] == "wrong"


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_no_folder_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(BundleError, match=r"no such folder|is a file"):
        check(tmp_path / name)


@pytest.fixture
def foreign(whole: Path, tmp_path: Path) -> Path:
    """Return the bundle as sentence-transformers would have left it: no mirrorkit.json, the plain graph alone."""
    folder = Path(shutil.copytree(whole, tmp_path / "foreign"))
    for name in (MANIFEST, "golden.jsonl", "onnx/model_fused.onnx", "onnx/model_fp16.onnx"):
        (folder / name).unlink()
    return folder


def test_a_folder_of_others_is_checked_as_far_as_it_goes(foreign: Path) -> None:
    result = check(foreign)
    assert result.ok
    assert not result.is_bundle
    assert set(result.variants) == {"onnx/model.onnx"}
    assert result.variants["onnx/model.onnx"]["invariance"] < 1e-5


def test_usual_dynamic_quantisation_is_told_to_depend_on_the_batch(foreign: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    out = foreign / "onnx/model_quantized.onnx"
    quantize_dynamic(foreign / "onnx/model.onnx", out, weight_type=QuantType.QInt8)
    result = check(foreign)
    assert (Stage.INVARIANCE, "onnx/model_quantized.onnx") in found(result)
    assert result.variants["onnx/model_quantized.onnx"]["invariance"] > 1e-3
    assert "cosine_mean" in result.variants["onnx/model_quantized.onnx"]


def test_broken_graphs_of_others_are_told(foreign: Path) -> None:
    source = foreign / "onnx/model.onnx"
    edited(source, foreign / "onnx/model_long.onnx", after_pooling(("Mul", ["x", "three"], {})))
    nothing = after_pooling(("Sub", ["x", "x"], {}), ("Div", ["x", "x"], {}))
    edited(source, foreign / "onnx/model_nan.onnx", nothing)
    (foreign / "onnx/model_cut.onnx").write_bytes(source.read_bytes()[:500])
    result = check(foreign)
    assert found(result) == {(Stage.NUMBERS, "onnx/model_nan.onnx"), (Stage.GRAPH, "onnx/model_cut.onnx")}
    told = {p.where for p in result.problems if p.what == "vectors are not of unit length"}
    assert told == {"onnx/model_long.onnx"}
    with pytest.raises(ConfigError, match=r"model_none\.onnx"):
        check(foreign, variants=["onnx/model_none.onnx"])


def test_token_vectors_alone_are_pooled_as_the_folder_says(tmp_path: Path, whole: Path) -> None:
    folder = make_foreign(tmp_path / "hub", whole / "tokenizer.json", outputs=["last_hidden_state"])
    result = check(folder)
    assert any("pooling is left to the reader (mean" in p.what for p in result.problems)
    assert result.variants["onnx/model.onnx"]["invariance"] < 1e-5
    assert (Stage.CONSUMERS, "text-embeddings-inference") in found(result)  # no 1_Pooling, no architectures
    (folder / "tokenizer.json").unlink()
    assert Stage.TOKENIZER in {stage for stage, _ in found(check(folder))}


def test_an_empty_folder_is_neither(tmp_path: Path) -> None:
    result = check(tmp_path)
    assert (Stage.MANIFEST, "") in found(result)
