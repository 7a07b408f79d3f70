"""Two results side by side: what counts as a change, what as noise, and what cannot be told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mirrorkit.bench.judge.changes import Change, Verdict
from mirrorkit.bench.judge.compare import Comparison, compare, compare_results
from mirrorkit.bench.result import BASELINE, BenchResult, Interval
from mirrorkit.errors import ConfigError
from tests.bench.results import TASKS, around, bench_result, points, subject, timing, with_subject


def changed(result: BenchResult, other: BenchResult | None = None) -> dict[str, Change]:
    found = compare_results(other or bench_result(), result)
    return {f"{change.subject} {change.figure}": change for change in found.changes}


def with_environment(**values: Any) -> BenchResult:
    return bench_result(environment={**bench_result().environment, **values})


def with_plan(**values: Any) -> BenchResult:
    return bench_result(plan={**bench_result().plan, **values})


def test_the_same_result_has_no_changes() -> None:
    found = compare_results(bench_result(), bench_result())
    assert (found.changes, found.only_a, found.only_b) == ((), (), ())
    assert found.same > 300
    assert not found.warnings
    assert not found.differences


def test_a_time_is_beyond_noise_when_the_intervals_have_nothing_in_common() -> None:
    def slower(share: float, width: float) -> Change:
        longer = replace(timing(32, None, 0.0442), p50=around(0.0442 * share, width))
        before = with_subject(bench_result(), "int8", ragged=timing(32, None, 0.0442))
        return changed(with_subject(before, "int8", ragged=longer), before)["int8 speed.ragged.p50"]

    assert (slower(1.1, 0.02).verdict, slower(1.1, 0.02).better) == (Verdict.BEYOND, False)
    assert (slower(0.9, 0.02).verdict, slower(0.9, 0.02).better) == (Verdict.BEYOND, True)
    assert (slower(1.1, 0.2).verdict, slower(1.1, 0.2).better) == (Verdict.WITHIN, None)
    assert slower(1.1, 0.02).difference() == "+10.0%"
    assert slower(1.1, 0.02).text(0.0442) == "44.2 ms"


def test_throughput_is_better_when_it_is_higher() -> None:
    faster = replace(subject("int8").speed.ragged, sentences_per_second=around(2000.0))  # type: ignore[union-attr]
    found = changed(with_subject(bench_result(), "int8", ragged=faster))
    assert found["int8 speed.ragged.sentences_per_second"].better is True


def test_a_cosine_is_exact_and_memory_has_an_unknown_one() -> None:
    found = changed(with_subject(bench_result(), "int8", cosine_min=0.9, peak_bytes=1.0, file_bytes=10))
    assert {name: (change.verdict, change.better) for name, change in found.items()} == {
        "int8 quality.cosine_min": (Verdict.REAL, False),
        "int8 speed.peak_bytes": (Verdict.UNKNOWN, None),
        "int8 file_bytes": (Verdict.REAL, True),
    }


def test_a_score_counts_when_the_paired_differences_do_not_overlap() -> None:
    old = subject("int8").quality
    assert old is not None
    for points_more, verdict in ((0.02, Verdict.WITHIN), (0.2, Verdict.BEYOND)):
        gain = old.average_difference.value + points_more  # type: ignore[union-attr]
        better = with_subject(
            bench_result(), "int8", sts_average=old.sts_average + points_more, average_difference=points(gain)
        )
        assert changed(better)["int8 quality.sts_average"].verdict is verdict


@pytest.mark.parametrize(
    "values", [{"cpu": "Another"}, {"threads": 4}, {"versions": {"onnxruntime": "1.30.0"}}, {"governor": "powersave"}]
)
def test_timings_of_another_environment_are_not_compared(values: dict[str, Any]) -> None:
    slow = replace(with_environment(**values), subjects=())
    slow = replace(
        with_subject(bench_result(), "int8", ratio=around(3.0), cosine_min=0.9), environment=slow.environment
    )
    found = compare_results(bench_result(), slow)
    assert "TIMINGS AND MEMORY ARE NOT COMPARABLE" in found.warnings[0]
    assert next(iter(values)) in found.warnings[0]
    verdicts = {change.figure: change.verdict for change in found.changes}
    assert verdicts == {"speed.ratio": Verdict.INCOMPARABLE, "quality.cosine_min": Verdict.REAL}


def test_what_one_wants_to_compare_is_named_and_allowed() -> None:
    versions = {**bench_result().environment["versions"], "mirrorkit": "0.4.0"}
    found = compare_results(bench_result(), with_environment(date="tomorrow", revision="abc", versions=versions))
    assert not found.warnings
    assert {line.partition(":")[0] for line in found.differences} == {"date", "revision", "versions.mirrorkit"}


@pytest.mark.parametrize("values", [{"threads": 1}, {"ragged_tokens": 9}, {"short_text": "other"}])
def test_timings_of_another_plan_are_not_compared(values: dict[str, Any]) -> None:
    assert "TIMINGS" in compare_results(bench_result(), with_plan(**values)).warnings[0]


@pytest.mark.parametrize("values", [{"sets": {"stsb": 10}}, {"pool": 10}])
def test_quality_on_other_texts_is_not_compared(values: dict[str, Any]) -> None:
    worse = with_subject(with_plan(**values), "int8", cosine_min=0.5)
    found = compare_results(bench_result(), worse)
    assert "QUALITY IS NOT COMPARABLE" in found.warnings[0]
    assert [change.verdict for change in found.changes] == [Verdict.INCOMPARABLE]


def test_what_a_run_found_is_no_part_of_the_plan() -> None:
    assert not compare_results(with_plan(measured={"seconds": 3}), with_plan(measured={"seconds": 4})).differences


def test_another_baseline_is_seen_by_its_scores_and_not_by_its_folder() -> None:
    moved = bench_result(baseline="/elsewhere/all-MiniLM-L6-v2")
    assert not compare_results(bench_result(), moved).warnings
    filled_anew = with_subject(bench_result(), BASELINE, sts_average=70.0)
    filled_anew = with_subject(filled_anew, "int8", cosine_min=0.5, golden_cosine_min=0.5)
    found = compare_results(bench_result(), filled_anew)
    assert "THE BASELINES DIFFER" in found.warnings[0]
    verdicts = {(change.subject, change.figure): change.verdict for change in found.changes}
    assert verdicts == {
        (BASELINE, "quality.sts_average"): Verdict.REAL,
        ("int8", "quality.cosine_min"): Verdict.INCOMPARABLE,
        ("int8", "quality.golden_cosine_min"): Verdict.REAL,
    }


def test_the_same_model_run_by_something_else_is_another_baseline() -> None:
    stand_in = with_subject(bench_result(), BASELINE, graph="onnx")
    found = compare_results(bench_result(), with_subject(stand_in, "int8", ratio=around(2)))
    assert "THE BASELINES DIFFER" in found.warnings[0]
    assert [change.verdict for change in found.changes] == [Verdict.INCOMPARABLE]


def test_what_only_one_has_is_named() -> None:
    less = bench_result(subjects=tuple(s for s in bench_result().subjects if s.name != "int4"))
    less = with_subject(less, "int8", gemm_share=None)
    found = compare_results(bench_result(), less)
    assert (found.only_a, found.only_b) == (("int8: speed.gemm_share", "int4"), ())
    assert compare_results(less, bench_result()).only_b == found.only_a


def test_a_figure_that_is_no_number_is_a_missing_one() -> None:
    broken = with_subject(bench_result(), "int8", ratio=Interval(float("nan"), 0, 0))
    assert compare_results(bench_result(), broken).only_a == ("int8: speed.ratio",)


def save(file: Path, document: object) -> Path:
    file.write_text(json.dumps(document), encoding="utf-8")
    return file


def test_files_are_compared_as_they_were_written(tmp_path: Path) -> None:
    a = save(tmp_path / "a.json", bench_result().as_dict())
    b = save(tmp_path / "b.json", with_subject(bench_result(), "int8", cosine_mean=0.5).as_dict())
    found = compare(a, b)
    assert isinstance(found, Comparison)
    assert [(c.figure, c.a, c.b) for c in found.changes] == [("quality.cosine_mean", 0.998, 0.5)]
    document = json.loads(json.dumps(found.as_dict()))
    assert document["changes"][0]["verdict"] == "exact"


def test_a_file_that_is_no_result_is_refused(tmp_path: Path) -> None:
    good = save(tmp_path / "good.json", bench_result().as_dict())
    spoilt = bench_result().as_dict()
    spoilt["subjects"][1]["quality"]["sts_average"] = "high"
    listed = bench_result().as_dict()
    listed["environment"] = [1]
    bad: dict[str, tuple[object, str]] = {
        "none.json": (None, "cannot be read"),
        "list.json": ([], "not a benchmark result"),
        "other.json": ({"schema": "other"}, "not a benchmark result"),
        "half.json": ({"schema": "mirrorkit-bench/1"}, "malformed benchmark result"),
        "word.json": (spoilt, "quality.sts_average must be a number, is 'high'"),
        "environment.json": (listed, "malformed benchmark result"),
    }
    for name, (document, says) in bad.items():
        file = tmp_path / name
        if document is not None:
            save(file, document)
        with pytest.raises(ConfigError, match=says) as caught:
            compare(good, file)
        assert name in str(caught.value)
    (tmp_path / "text.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="not a readable JSON file"):
        compare(tmp_path / "text.json", good)


def test_a_set_counts_where_both_have_it_with_the_same_texts() -> None:
    lower = {name: replace(one, score=one.score - 2, difference=points(-2)) for name, one in TASKS.items()}
    a, b = bench_result(), with_subject(bench_result(), "int8", tasks=lower)
    found = {change.figure: change for change in compare_results(a, b).changes}
    assert set(found) == {f"quality.tasks.{name}" for name in TASKS}
    assert {change.verdict for change in found.values()} == {Verdict.BEYOND}
    assert not any(change.better for change in found.values())
    tasks = {**a.plan["tasks"], "knn:topics": {"queries": 900, "sha256": "others"}}
    del tasks["search:handbook"]
    other = compare_results(a, replace(b, plan={**b.plan, "tasks": tasks}))
    verdicts = {change.figure.removeprefix("quality.tasks."): change.verdict for change in other.changes}
    assert verdicts["retrieval:scifact"] is Verdict.BEYOND
    assert verdicts["knn:topics"] is Verdict.INCOMPARABLE
    assert other.warnings == ("SEARCH AND LABELS ARE NOT COMPARABLE: the texts of knn:topics differ",)
