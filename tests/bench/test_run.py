"""A whole benchmark run, on a bundle made by hand: every field, and what spoilt bundles come to."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnx", reason="makes its graphs with the export extra")

from mirrorkit.bench.measure.candidates import candidate_from, candidates
from mirrorkit.bench.measure.processes import run_worker
from mirrorkit.bench.result import BASELINE, BenchResult, Interval, Quality, Speed, Subject, result_from
from mirrorkit.bench.run import run_bench
from mirrorkit.errors import BundleError, MirrorkitError
from mirrorkit.formats.bundle import TOKENIZER, VARIANT_FILES, read_bundle
from mirrorkit.text.tokenizer import Tokenizer
from tests.lookups import SHAPES, TEXTS, describe, end_with, work_here


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mirrorkit.bench.run.run_worker", work_here)


@pytest.fixture(scope="module")
def result(made: Path) -> BenchResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mirrorkit.bench.run.run_worker", work_here)
        return run_bench(made, **SHAPES)


def test_every_field_of_every_subject_is_measured(result: BenchResult, made: Path) -> None:
    assert [s.name for s in result.subjects] == [BASELINE, "fp32", "int8"]
    assert (result.baseline, result.plan["baseline_stands_in"]) == ("fp32", True)
    for subject in result.subjects:
        assert subject.file_bytes == (made / VARIANT_FILES["fp32"]).stat().st_size
        for part, kind in ((subject.quality, Quality), (subject.speed, Speed)):
            absent = {f.name for f in fields(kind) if getattr(part, f.name) is None}
            assert absent == (
                set() if subject.name != BASELINE else absent & {"average_difference", "ratio", "single_ratio"}
            )
    assert [(t.batch, t.length) for t in measured(result, "int8")[1].grid] == [(1, 4), (2, 4), (1, 8), (2, 8)]


def measured(result: BenchResult, name: str) -> tuple[Quality, Speed]:
    subject = result.subject(name)
    assert isinstance(subject, Subject)
    assert subject.quality is not None
    assert subject.speed is not None
    return subject.quality, subject.speed


def test_figures_are_positive_and_ordered(result: BenchResult) -> None:
    for name in (BASELINE, "fp32", "int8"):
        quality, speed = measured(result, name)
        assert quality.golden_cosine_min == pytest.approx(1, abs=1e-5)
        assert quality.cosine_min == pytest.approx(1, abs=1e-5)
        for timing in (*speed.grid, speed.ragged, speed.single):
            assert 0 < timing.p50.value <= timing.p90.value <= timing.p99.value
            assert timing.calls >= 6  # three a round
        for interval in (speed.start, speed.ragged.p50, speed.ragged.tokens_per_second):
            assert 0 < interval.low <= interval.value <= interval.high
        assert 0 < speed.tokenise_share <= 1
        assert 1e6 < speed.resident_bytes <= speed.peak_bytes
        assert speed.rounds == 2
        assert isinstance(speed.gemm_share, float)
    assert isinstance(measured(result, "int8")[1].ratio, Interval)


def test_the_plan_and_the_machine_are_told(result: BenchResult, made: Path) -> None:
    told = result.plan
    assert (told["budget"], told["threads"], told["lengths"], told["batches"]) == ("small", 1, [4, 8], [1, 2])
    assert (told["sets"], told["verified"], told["ragged_texts"], told["resamples"]) == ({"graded": 240}, True, 8, 50)
    assert told["measured"]["rounds"] == 2
    assert told["pool"] == 2000
    assert result.environment["threads"] == 1
    assert (result.bundle["folder"], result.bundle["max_length"]) == (str(made), 32)


def test_a_result_survives_json(result: BenchResult) -> None:
    text = json.dumps(result.as_dict(), allow_nan=False)
    again = result_from(json.loads(text), "x")
    assert again == result
    assert json.dumps(again.as_dict()) == text


@pytest.mark.usefixtures("at_once")
def test_a_bundle_can_be_the_baseline(made: Path, own: Path) -> None:
    (own / "config.json").write_text("{}", encoding="utf-8")
    describe(own)
    found = run_bench(made, baseline=own, variants=["int8"], **SHAPES)
    assert (found.baseline, found.plan["baseline_stands_in"]) == (str(own), False)
    assert [s.name for s in found.subjects] == [BASELINE, "int8"]
    assert measured(found, BASELINE)[1].gemm_share is None  # its config does not tell
    assert measured(found, "int8")[1].gemm_share is not None


@pytest.mark.usefixtures("at_once")
def test_a_changed_file_is_refused_unless_asked_for(own: Path) -> None:
    file = own / TOKENIZER
    text = file.read_text(encoding="utf-8")
    changed = text.replace('"museum"', '"mu5eum"')
    assert len(changed) == len(text)
    assert changed != text
    file.write_text(changed, encoding="utf-8")
    with pytest.raises(BundleError, match=r"tokenizer\.json: changed or damaged"):
        run_bench(own, **SHAPES)
    found = run_bench(own, variants=["fp32"], verify=False, **SHAPES)
    cosine = measured(found, "fp32")[0].golden_cosine_min  # through the tokenizer, so its damage shows
    assert cosine is not None
    assert cosine < 0.99
    assert found.plan["verified"] is False


def test_a_worker_is_told_whether_the_baselines_code_is_trusted(made: Path, tiny: Path) -> None:
    opened = read_bundle(made)
    for trusted in (False, True):
        compared = candidates(opened, opened.named(["fp32"]), str(tiny), verify=True, trust_remote_code=trusted)[0]
        assert candidate_from(json.loads(json.dumps(compared.order()))).trust_remote_code is trusted


@pytest.mark.usefixtures("at_once")
def test_a_graph_that_does_not_normalise_shows(own: Path) -> None:
    end_with("Identity", own)
    quality, _ = measured(run_bench(own, variants=["int8"], **SHAPES), "int8")
    assert quality.cosine_mean > 2
    assert quality.golden_cosine_min is not None
    assert quality.golden_cosine_min > 2


@pytest.mark.parametrize("what", ["", "gone", "onnx"])
def test_what_is_no_bundle_is_refused(what: str, made: Path) -> None:
    place = made / (what or TOKENIZER)
    with pytest.raises(BundleError, match="give a bundle's folder"):
        run_bench(place, **SHAPES)


def test_a_worker_that_fails_is_one_line(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mirrorkit.bench.measure.processes._WORKER", "mirrorkit.no_such_worker")
    with pytest.raises(MirrorkitError, match=r"baseline: could not be measured: .*no_such_worker") as caught:
        run_bench(made, **SHAPES)
    assert "\n" not in str(caught.value)


def test_a_process_of_its_own_gives_what_a_round_needs(made: Path) -> None:
    opened = read_bundle(made)
    order = candidates(opened, opened.named(None), None, verify=True)[0].order()
    job = {"candidate": order, "threads": 1, "short": "Hello."}
    start = run_worker({**job, "task": "start"}, "baseline")
    assert (start.found, start.seconds > 0.01) == ({"dim": 8}, True)
    job |= {"texts": TEXTS, "shapes": [(2, 4)], "seconds": 0.01, "calls": 4}
    found = run_worker({**job, "task": "speed"}, "baseline").found
    assert (found["texts"], found["short_tokens"]) == (3, len(Tokenizer(made / TOKENIZER, 32).ids(["Hello."])[0]))
    calls = [found["ragged"], found["single"], found["tokenise"], found["grid"][0]["times"]]
    assert all(3 <= len(times) <= 4 and min(times) > 0 for times in calls)


@pytest.mark.slow
def test_a_run_in_processes_of_their_own(made: Path) -> None:
    found = run_bench(made, variants=["int8"], **SHAPES)
    _, speed = measured(found, "int8")
    assert (speed.rounds, found.plan["measured"]["rounds"]) == (2, 2)
    assert speed.ratio is not None
    assert 0 < speed.ratio.low <= speed.ratio.value <= speed.ratio.high
    assert speed.start.value > 0.01


@pytest.mark.slow
@pytest.mark.usefixtures("at_once")
def test_a_model_folder_is_timed_by_torch(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    pytest.importorskip("torch", reason="needs the train extra")
    from tests.bundles import bundle_of

    folder = bundle_of(tiny, ("fp32", "int8"), tmp_path_factory)
    found = run_bench(folder, baseline="tiny", **SHAPES)
    quality, speed = measured(found, BASELINE)
    assert (found.baseline, quality.golden_cosine_min) == ("tiny", None)
    assert quality.invariance < 1e-5
    assert speed.ragged.calls >= 6
    fp32, _ = measured(found, "fp32")
    int8, timed = measured(found, "int8")
    assert fp32.cosine_min > 0.99999
    assert fp32.neighbours > 0.999
    assert 0.9 < int8.cosine_mean < fp32.cosine_mean
    assert timed.ratio is not None
    assert timed.ratio.low < timed.ratio.value < timed.ratio.high
    assert read_bundle(folder).variant("int8").file == VARIANT_FILES["int8"]
