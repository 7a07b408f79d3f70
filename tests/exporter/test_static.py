"""The static variant: made, proven, judged, published with vectors of its own, and never taken for another."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the export extra")
import onnxruntime as ort

from mirrorkit import SentenceEncoder
from mirrorkit.assets.paths import CALIBRATION
from mirrorkit.bench.measure.candidates import candidates
from mirrorkit.bench.measure.plan import make_plan
from mirrorkit.bench.measure.quality import measure_quality
from mirrorkit.bench.measure.workload import read_workload
from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.exporter.pipeline import export
from mirrorkit.exporter.quantize.calibration import calibration_texts
from mirrorkit.exporter.result import ExportResult
from mirrorkit.exporter.static import corpus as corpora
from mirrorkit.exporter.static import distil as distilling
from mirrorkit.exporter.static import variant
from mirrorkit.exporter.static.gate import StaticLimits, StaticReport
from mirrorkit.formats.bundle import GOLDEN, GOLDEN_STATIC, Graph, Precision, read_bundle
from mirrorkit.formats.golden import read_goldens
from mirrorkit.progress import Silent
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.text.ragged import pad_batch
from mirrorkit.verification.check import check
from tests.exports import traced_once

DIM, WHOLE = 24, 64  # of the table, and of the model, a slice of the shipped one


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    SentenceEncoder.load("tiny", max_length=32).save(folder)
    return folder


@pytest.fixture(scope="module")
def few() -> Iterator[pytest.MonkeyPatch]:
    """Let the table be fitted to few texts, and judged by few documents."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpora, "TEXTS", 300)
        patch.setattr(corpora, "FEW", 150)
        patch.setattr(corpora, "plain_sentences", lambda: ["A cat sits on the mat.", "It rained all day."] * 50)
        patch.setattr("mirrorkit.exporter.static.gate._LONGEST", 60)
        yield patch


def allow(patch: pytest.MonkeyPatch, limits: StaticLimits) -> None:
    patch.setattr(variant, "StaticReport", partial(StaticReport, limits=limits))


@pytest.fixture(scope="module")
def result(model: Path, few: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExportResult]:
    """Return an export of fp32 and static; do not write into its bundle."""
    allow(few, StaticLimits(100, 100))
    with traced_once(tmp_path_factory):
        out = tmp_path_factory.mktemp("static") / "bundle"
        yield export(model, out, precision=["fp32", "static"], static_dim=DIM, optimize=False, calibration=CALIBRATION)


def test_the_bundle_says_what_is_its_own(result: ExportResult) -> None:
    assert result.ok, [problem.line() for problem in result.problems]
    bundle = read_bundle(result.bundle)
    found = bundle.variants["static"]
    assert (found.precision, found.graph, found.dim, found.golden) == (Precision.STATIC, Graph.ONNX, DIM, GOLDEN_STATIC)
    assert found.data_files == ("onnx/model_static.safetensors",)
    assert (bundle.dim, bundle.dim_of(found), bundle.dim_of(bundle.variants["fp32"])) == (WHOLE, DIM, WHOLE)
    assert read_goldens(result.bundle / GOLDEN_STATIC, DIM).texts == read_goldens(result.bundle / GOLDEN, WHOLE).texts
    ranges = bundle.ranges_of(found)
    assert ranges is not None
    assert len(ranges[0]) == DIM
    raw = json.loads((result.bundle / "mirrorkit.json").read_text(encoding="utf-8"))
    assert raw["schema_version"] == 3
    assert "dim" not in raw["variants"]["fp32"]
    told = raw["variants"]["static"]["report"]["static"]
    assert (told["corpus"], told["dim"], told["seed"]) == (CALIBRATION.name, DIM, 0)


def test_nothing_but_its_name_means_it(result: ExportResult) -> None:
    bundle = read_bundle(result.bundle)
    for device in ("cpu", "cuda", "tensorrt", "wasm"):
        assert bundle.choose("auto", device).name == "fp32"
        assert "static" not in [variant.name for variant in bundle.preferred(device)]
    assert Encoder(result.bundle).dim == WHOLE
    with pytest.raises(ConfigError, match="'int8'"):
        Encoder(result.bundle, "int8")
    with pytest.raises(ConfigError, match="OpenVINO reads the plain graphs"):
        Encoder(result.bundle, "static", engine="openvino")


def test_numpy_and_the_graph_agree_with_the_golden_vectors(result: ExportResult) -> None:
    encoder = Encoder(result.bundle, "static")
    goldens = read_goldens(result.bundle / GOLDEN_STATIC, DIM)
    by_numpy = encoder.encode(goldens.texts)
    np.testing.assert_allclose(by_numpy, goldens.vectors, atol=1e-6)
    np.testing.assert_allclose(np.concatenate([encoder.encode([t]) for t in goldens.texts]), by_numpy, atol=1e-6)
    session = ort.InferenceSession(result.bundle / "onnx/model_static.onnx", providers=["CPUExecutionProvider"])
    ids, mask = pad_batch(goldens.ids, np.arange(len(goldens.texts)), 0)
    hidden, sentence = session.run(None, {"input_ids": ids, "attention_mask": mask})
    assert hidden.shape == (*ids.shape, DIM)
    np.testing.assert_allclose(sentence, goldens.vectors, atol=1e-6)


def test_other_output_types_have_ranges_of_its_own(result: ExportResult) -> None:
    encoder = Encoder(result.bundle, "static")
    plain = encoder.encode(calibration_texts(None).texts)
    low, high = np.array(read_bundle(result.bundle).ranges_of(read_bundle(result.bundle).variants["static"]))
    scaled = encoder.encode(calibration_texts(None).texts, output_type="uint8").astype(float)
    np.testing.assert_allclose(low + scaled * (high - low) / 255, plain.clip(low, high), atol=(high - low).max() / 200)
    assert encoder.encode(["a text"], output_type="ubinary").shape == (1, DIM // 8)
    assert encoder.encode(["a text"], truncate_dim=8).shape == (1, 8)


def test_the_card_says_what_it_costs(result: ExportResult) -> None:
    card = (result.bundle / "README.md").read_text(encoding="utf-8")
    assert "## Static variant" in card
    assert "points lost" in card
    table = card.partition("## Variants")[2].partition("##")[0]
    assert "| fp32 |" in table
    assert "static" not in table


def test_check_runs_graph_and_table(result: ExportResult, tmp_path: Path) -> None:
    found = check(result.bundle)
    assert found.ok, [problem.line() for problem in found.problems]
    assert found.variants["static"]["max_abs"] < 1e-5
    broken = tmp_path / "bundle"
    shutil.copytree(result.bundle, broken)
    (broken / GOLDEN_STATIC).unlink()
    assert [p.where for p in check(broken).problems if p.severity == "error"] == [GOLDEN_STATIC]


def test_bench_measures_it_as_another_model(result: ExportResult) -> None:
    bundle = read_bundle(result.bundle)
    fp32, other = candidates(bundle, [bundle.variants["static"]], None, verify=True)
    found = measure_quality([fp32, other], make_plan(threads=1), read_workload(None, 16), 16).qualities["static"]
    assert np.isnan([found.cosine_mean, found.cosine_p1, found.cosine_min]).all()
    assert found.golden_cosine_min == pytest.approx(1, abs=1e-6)
    assert 0 < found.neighbours <= 1
    assert found.average_difference is not None


def test_a_damaged_table_is_refused(result: ExportResult, tmp_path: Path) -> None:
    broken = tmp_path / "bundle"
    shutil.copytree(result.bundle, broken)
    file = broken / "onnx/model_static.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(BundleError, match="changed or damaged"):
        Encoder(broken, "static")
    file.unlink()
    with pytest.raises(ConfigError, match="static were left out of it"):
        Encoder(broken, "static")
    assert Encoder(broken).variant == "fp32"


def test_what_loses_too_much_is_not_published(model: Path, few: pytest.MonkeyPatch, tmp_path: Path) -> None:
    allow(few, StaticLimits(graded_drop=-100))
    result = export(model, tmp_path / "bundle", precision=["fp32", "static"], static_dim=DIM, optimize=False)
    assert not result.ok
    assert [(p.what, p.where) for p in result.problems] == [("graded_drop", "static")]
    assert result.variants["static"].static is not None
    assert list(read_bundle(result.bundle).variants) == ["fp32"]
    left = {file.name for file in result.bundle.rglob("*")}
    assert not {"model_static.onnx", "model_static.safetensors", GOLDEN_STATIC} & left


def test_it_is_made_beside_the_model_alone(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is another model, made beside this one; name one of its own too"):
        export(model, tmp_path / "bundle", precision=["static"])


def test_a_bundle_that_was_kept_in_part(result: ExportResult, tmp_path: Path) -> None:
    shutil.copytree(result.bundle, tmp_path / "bundle")
    (tmp_path / "bundle/onnx/model.onnx").unlink()
    with pytest.raises(ConfigError, match="holds only static, another model; take it by its name"):
        Encoder(tmp_path / "bundle")
    assert Encoder(tmp_path / "bundle", "static").encode(["a text"]).shape == (1, DIM)


@pytest.mark.parametrize("dim", [1, 0, -3, WHOLE + 1])
def test_dimensions_that_cannot_be(dim: int, model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"static_dim {dim}: must be from 2 to the {WHOLE} dimensions of the model"):
        export(model, tmp_path / "bundle", precision=["fp32", "static"], static_dim=dim)


def test_a_table_has_no_static_variant(result: ExportResult) -> None:
    encoder = SentenceEncoder.load("tiny")
    encoder.layout = encoder.layout.__class__(**{**vars(encoder.layout), "static": True})
    with pytest.raises(ConfigError, match="a table of token vectors already"):
        variant.check_static(encoder, DIM)


def test_rare_tokens_count_for_more() -> None:
    weights = distilling.frequency_weights(np.array([5000.0, 50, 0, 0]))
    assert (np.diff(weights) > 0).all()
    assert 0 < weights[0] < weights[-1] < 1


def test_the_same_seed_gives_the_same_table(model: Path, few: pytest.MonkeyPatch) -> None:
    encoder = SentenceEncoder.load(model)
    texts = corpora.StaticCorpus(calibration_texts(None).texts, "sample", "0" * 64, 0)
    one, two, other = (distilling.distil(encoder, texts, DIM, Silent(), seed).table for seed in (0, 0, 1))
    assert np.array_equal(one.codes, two.codes)
    assert not np.array_equal(one.codes, other.codes)
    special = encoder.tokenizer.all_special_ids
    assert not one.vectors()[special].any()


def test_few_texts_are_filled_up(few: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = tmp_path / "own.txt"
    own.write_text("one text\nanother text\n", encoding="utf-8")
    found = corpora.static_corpus(own, None, None, calibration_texts(str(own)))
    assert found.texts[:2] == ["one text", "another text"]
    assert (found.name, found.shipped, len(found.texts)) == ("own.txt", len(found.texts) - 2, 152)
