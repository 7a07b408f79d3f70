"""Export models to bundles: what is published, what is not, and what is written about it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the export extra")
import onnx

from mirrorkit import SentenceEncoder
from mirrorkit.exporter import variants
from mirrorkit.exporter.pipeline import export
from mirrorkit.exporter.result import ExportResult, NothingPublishedError
from mirrorkit.formats.bundle import VARIANT_FILES, Graph, Precision, check_file, read_bundle
from mirrorkit.formats.golden import read_goldens
from mirrorkit.formats.layout_reader import read_layout
from mirrorkit.formats.model_folder import ModelLayout
from mirrorkit.formats.pooling import Pooling
from mirrorkit.formats.training_record import corpus_at_hand, read_training
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.verification.problem import Stage
from tests.exports import edited, noisy, traced_once
from tests.shared import shallow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with traced_once(tmp_path_factory):
        yield tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def model(tiny_random: Callable[[str], Path], home: Path) -> Path:
    """Return a sentence-transformers folder that pools by cls."""
    SentenceEncoder.load(tiny_random("bert"), pooling="cls").save(home / "model")
    return home / "model"


@pytest.fixture(scope="module")
def result(model: Path, home: Path) -> ExportResult:
    """Return an export of fp32 and fp16; do not write into its bundle."""
    return export(model, home / "bundle", precision=["fp32", "fp16"])


def quantize_badly(source: Path, out: Path, *_: object, **__: object) -> None:
    edited(source, out, noisy(2.0))


def test_a_bundle_holds_all_that_it_promises(result: ExportResult, model: Path) -> None:
    assert result.ok
    bundle = read_bundle(result.bundle)
    for name in bundle.files:
        check_file(bundle, name)
    assert (bundle.architecture, bundle.dim, bundle.max_length, bundle.pad_token_id) == ("bert", 32, 64, 0)
    assert bundle.pooling == Pooling.CLS
    assert list(bundle.variants) == list(result.variants) == ["fp32", "fp32-fused", "fp16"]
    assert [v.graph for v in bundle.variants.values()] == [Graph.ONNX, Graph.ONNXRUNTIME, Graph.ONNX]
    assert bundle.variants["fp32-fused"].data_files == ("onnx/model.onnx",)
    listed = {f.relative_to(result.bundle).as_posix() for f in result.bundle.rglob("*") if f.is_file()}
    assert listed == {*bundle.files, "mirrorkit.json"}
    assert {"vocab.txt", "special_tokens_map.json", "model.safetensors", "golden.jsonl", "README.md"} <= listed
    config = json.loads((result.bundle / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert config["model_max_length"] == 64
    written = ModelLayout(result.bundle, named=True, max_length=64, default_prompt_name=None)
    assert read_layout(result.bundle) == written.pooled_by((Pooling.CLS,))


def test_the_runtime_gives_the_models_own_vectors(result: ExportResult, model: Path, real_texts: list[str]) -> None:
    expected = SentenceEncoder.load(model).encode(real_texts)
    for name, allowed in (("fp32", 1e-5), ("fp16", 5e-3)):
        assert np.abs(Encoder(result.bundle, name).encode(real_texts) - expected).max() < allowed
    again = SentenceEncoder.load(result.bundle)  # the bundle is a model folder as well
    assert np.array_equal(again.encode(real_texts), expected)


def test_goldens_are_the_models_vectors_to_the_bit(result: ExportResult, model: Path) -> None:
    goldens = read_goldens(result.bundle / "golden.jsonl", 32)
    encoder = SentenceEncoder.load(model)
    assert len(goldens.texts) == 64
    assert {"", "[SEP] </s>"} <= set(goldens.texts)
    for i, ids in enumerate(goldens.ids[row] for row in range(64)):
        assert np.array_equal(ids, encoder.tokenize([goldens.texts[i]])[0])
    assert np.abs(goldens.vectors - encoder.encode(goldens.texts)).max() < 1e-6


def test_vocab_txt_is_the_vocabulary_in_order(result: ExportResult) -> None:
    vocabulary = json.loads((result.bundle / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    lines = (result.bundle / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1]
    assert {token: i for i, token in enumerate(lines)} == vocabulary


def test_the_report_says_what_was_measured_and_allowed(result: ExportResult) -> None:
    printed = json.loads(json.dumps(result.as_dict()))
    assert printed["bundle"] == str(result.bundle)
    fp16 = printed["variants"]["fp16"]
    assert fp16["file"] == "onnx/model_fp16.onnx"
    assert fp16["bytes"] == (result.bundle / fp16["file"]).stat().st_size
    assert fp16["published"] is True
    assert fp16["texts"] >= 256
    for figure in ("cosine_min", "cosine_mean", "spearman", "overlap"):
        assert fp16["allowed"][figure] <= fp16[figure] <= 1
    assert 0 < fp16["max_abs"] <= fp16["allowed"]["max_abs"]
    assert 0 <= fp16["invariance"] <= fp16["allowed"]["invariance"]  # rounding to half hides a small change
    recorded = read_bundle(result.bundle).variants["fp16"].report
    assert {key: fp16[key] for key in recorded} == recorded


def test_the_card_has_sizes_and_parity(result: ExportResult) -> None:
    card = (result.bundle / "README.md").read_text(encoding="utf-8")
    for variant in result.variants.values():
        (row,) = (line for line in card.splitlines() if line.startswith(f"| {variant.name} |"))
        assert variant.file in row
        assert f"{variant.bytes / 1e6:.1f}" in row
        assert variant.verification is not None
        assert f"{variant.verification.figures['cosine_mean']:.6f}" in row
    assert 'Encoder("bundle")' in card
    assert "PoolingType.CLS" in card
    assert str(result.bundle.parent) not in card


def test_a_variant_that_fails_is_left_out_and_told(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setattr(variants, "quantize_int8", quantize_badly)
    result = export(model, tmp_path / "bundle", precision=["fp32", "int8"], optimize=False)
    assert not result.ok
    assert result.published
    assert list(read_bundle(result.bundle).variants) == ["fp32"]
    assert not (result.bundle / VARIANT_FILES["int8"]).exists()
    failed = result.variants["int8"]
    assert {problem.stage for problem in failed.problems} == {Stage.NUMBERS}
    assert "int8: cosine_min" in failed.problems[0].line()
    assert failed.as_dict()["published"] is False


def test_limits_of_the_users_own_are_recorded(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setattr(variants, "quantize_int8", quantize_badly)
    least = dict.fromkeys(("cosine_min", "cosine_p1", "cosine_mean", "spearman"), -1.0)
    limits = {**least, "max_abs": 2.0, "overlap": 0.0}
    result = export(model, tmp_path / "bundle", precision=["fp32", "int8"], optimize=False, thresholds=limits)
    assert result.ok
    report = read_bundle(result.bundle).variants["int8"].report
    assert report["overridden"] == sorted(limits)
    assert report["allowed"]["max_abs"] == 2.0
    assert "limits set by the user" in (result.bundle / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("precision", [["fp32", "fp16"], ["fp16"]])
def test_nothing_is_published_when_fp32_fails(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path, precision: list[str]
) -> None:
    make = vars(variants)["export_onnx"]

    def badly(encoder: Any, file: Path, **options: Any) -> None:
        make(encoder, file, **options)
        edited(file, file, noisy(0.1))

    monkeypatch.setattr(variants, "export_onnx", badly)
    with pytest.raises(NothingPublishedError, match="fp32 failed verification: fp32: cosine_min") as caught:
        export(model, tmp_path / "bundle", precision=precision)
    assert list(tmp_path.iterdir()) == []
    assert caught.value.result.as_dict()["bundle"] is None
    assert not caught.value.result.variants["fp32"].published


def test_fp32_is_left_out_where_it_was_not_asked_for(model: Path, tmp_path: Path, home: Path) -> None:
    result = export(model, tmp_path / "bundle", precision=["fp16"])
    assert result.ok
    assert list(result.variants) == ["fp16"]
    assert [f.name for f in (result.bundle / "onnx").iterdir()] == ["model_fp16.onnx"]
    assert Encoder(result.bundle).variant == "fp16"


def test_a_length_of_the_users_own(model: Path, tmp_path: Path, home: Path) -> None:
    result = export(model, tmp_path / "bundle", precision=["fp32"], optimize=False, max_length=16)
    assert read_bundle(result.bundle).max_length == 16
    assert max(len(read_goldens(result.bundle / "golden.jsonl", 32).ids[i]) for i in range(64)) == 16
    assert read_layout(result.bundle).max_length == 16


def test_two_exports_are_the_same_bit_for_bit(model: Path, tmp_path: Path, result: ExportResult) -> None:
    again = export(model, tmp_path / "bundle", precision=["fp32", "fp16"])
    assert read_bundle(again.bundle).files == read_bundle(result.bundle).files
    assert (again.bundle / "mirrorkit.json").read_bytes() == (result.bundle / "mirrorkit.json").read_bytes()


def test_calibration_text_is_the_users_filled_up(model: Path, tmp_path: Path, home: Path) -> None:
    file = tmp_path / "few.txt"
    file.write_text("one line of mine\nanother line of mine\n", encoding="utf-8")
    result = export(model, tmp_path / "bundle", precision=["fp32"], optimize=False, calibration=file)
    assert result.about.calibration.name == "few.txt"
    assert read_bundle(result.bundle).provenance["calibration"] == result.as_dict()["calibration"]
    assert "one line of mine" in read_goldens(result.bundle / "golden.jsonl", 32).texts
    verified = result.variants["fp32"].verification
    assert verified is not None
    assert verified.texts >= 256


@pytest.mark.slow
def test_the_corpus_of_the_fine_tune_is_taken_where_it_lies_near(tmp_path: Path) -> None:
    from mirrorkit import finetune

    corpus = tmp_path / "corpus.txt"
    corpus.write_text("".join(f"string number {n} of the corpus\n" for n in range(300)), encoding="utf-8")
    finetune("tiny", corpus, tmp_path / "model", pooling="cls", batch_size=64, limit=64, device="cpu")
    (tmp_path / "model" / "README.md").unlink()  # the card is for people and is not read
    record = read_training(tmp_path / "model")
    assert record is not None
    assert record.corpora[0].name == "corpus.txt"
    result = export(tmp_path / "model", tmp_path / "bundle", precision=["fp32"], optimize=False)
    assert result.about.calibration.name == "corpus.txt"
    card = (result.bundle / "README.md").read_text(encoding="utf-8")
    assert f"| corpus sha256 | {record.corpora[0].sha256} |" in card
    away = replace(record, corpora=(replace(record.corpora[0], name="../corpus.txt"),))
    assert corpus_at_hand(tmp_path / "model", record) == tmp_path / "corpus.txt"
    assert corpus_at_hand(tmp_path / "model", away) is None
    corpus.write_text("changed\n", encoding="utf-8")
    assert corpus_at_hand(tmp_path / "model", record) is None


@pytest.mark.slow
def test_every_precision_is_published(shipped: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    result = export(shallow(shipped, tmp_path_factory), tmp_path / "bundle", precision=list(Precision))
    assert result.ok, [p.line() for v in result.variants.values() for p in v.problems]
    sizes = {name: variant.bytes for name, variant in result.variants.items()}
    assert max(sizes["fp32-fused"], sizes["int8-fused"]) < 1e6
    assert sizes["int4"] < sizes["int8"] < sizes["fp16"] < sizes["fp32"]
    fused = read_bundle(result.bundle).variants["int8-fused"]
    assert (fused.graph, fused.data_files) == (Graph.ONNXRUNTIME, (VARIANT_FILES["int8"],))
    operators = [node.op_type for node in onnx.load(result.bundle / fused.file, load_external_data=False).graph.node]
    assert operators.count("MultiHeadAttention") == operators.count("Split") == 2  # of as many layers


@pytest.mark.slow
def test_int8_alone_is_fused_beside_its_own_weights(tiny: Path, tmp_path: Path) -> None:
    result = export(tiny, tmp_path / "bundle", precision=["int8"])
    assert list(result.variants) == ["int8", "int8-fused"]
    assert {file.name for file in (result.bundle / "onnx").iterdir()} == {
        "model_quantized.onnx",
        "model_fused_quantized.onnx",
    }
    encoder = Encoder(result.bundle)
    assert encoder.variant == "int8-fused"
    apart = Encoder(result.bundle, VARIANT_FILES["int8"]).encode(["a text", "another"])
    np.testing.assert_allclose(encoder.encode(["a text", "another"]), apart, rtol=0, atol=1e-3)


@pytest.mark.slow
def test_every_architecture_is_published_in_fp32_and_fp16(architecture: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(architecture, tmp_path / "model"))
    result = export(folder, tmp_path / "bundle", precision=["fp32", "fp16"], pooling="mean")
    assert result.ok, [p.line() for v in result.variants.values() for p in v.problems]
