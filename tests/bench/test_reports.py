"""The terminal and Markdown reports: what they say, that it fits, and that names in them stay names."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType

from mirrorkit.bench.judge.compare import compare_results
from mirrorkit.bench.judge.gate import judge, load_gate
from mirrorkit.bench.report.markdown import markdown_report
from mirrorkit.bench.report.tables import sections
from mirrorkit.bench.report.terminal import bench_report, compare_report
from mirrorkit.bench.result import BASELINE, BenchResult, Interval
from tests.bench.results import VARIANTS, around, bench_result, subject, timing, with_subject

HOSTILE = "[red]a[/red]|<b>&`*_x"


def printed(parts: list[RenderableType], width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(*parts, sep="\n")
    return out.getvalue()


def judged(result: BenchResult) -> BenchResult:
    return replace(result, gate=judge(result, load_gate("default")))


def row(text: str, title: str, name: str) -> str:
    lines = text.partition(title)[2].splitlines()
    return next(line for line in lines if line.lstrip("| ").startswith(name))


@pytest.mark.parametrize("report", [lambda r: printed(bench_report(r)), markdown_report], ids=["terminal", "Markdown"])
def test_every_figure_of_note_is_there(report: object) -> None:
    text = report(judged(bench_result()))  # type: ignore[operator]
    for name in (BASELINE, *VARIANTS):
        assert row(text, "STS, Spearman", name)
    assert re.search(r"78\.77.*-0\.110.*-0\.160 … -0\.060.*significant", row(text, "STS, Spearman", "int8"))
    assert "not significant" in row(text, "STS, Spearman", "fp16")
    assert re.search(r"0\.998000.*0\.987750.*0\.977500.*0\.977500", row(text, "Vectors", "int8"))
    assert "82.03" in row(text, "STS by set", "stsb")
    batches = row(text, "Real texts in batches", "int8")
    assert re.search(r"724.*10,140.*44\.2.*48\.6.*61\.9.*0\.47 \(0\.46–0\.48\).*faster", batches)
    assert "not significant" in row(text, "Real texts in batches", "fp16")
    assert re.search(r"2\.87.*faster", row(text, "One short text", "int8"))
    assert re.search(r"115.*107", row(text, "Token ids to vectors", "8 × 128"))
    assert re.search(r"23\.4.*0\.40.*113.*136.*3\.0%", row(text, "What it costs", "int8"))
    assert re.search(r"cosine(\\)?_min.*0\.999999.*pass", row(text, "Gate: default", "fp32"))
    assert "gate default: passed, all" in text
    assert "Intel(R) Xeon(R) Processor" in text


def test_a_failure_is_a_word_and_says_why() -> None:
    result = with_subject(
        bench_result(), "int8", cosine_mean=0.98, ratio=Interval(1.5, 1.4, 1.6), golden_cosine_min=None
    )
    text = printed(bench_report(judged(result)), width=200)
    assert "FAIL int8: cosine_mean 0.98, allowed >= 0.99\n" in text
    assert "FAIL int8: golden_cosine_min not measured, allowed >= 0.85\n" in text
    assert "FAIL int8: latency_ratio 1.5, allowed <= 1.05 beyond noise (95 % interval 1.400 to 1.600)" in text
    assert text.rstrip().endswith("rules (int8)")
    assert "gate default: FAILED, 3 of" in text
    assert "slower" in row(text, "Real texts in batches", "int8")


def test_without_a_gate_nothing_is_said_to_have_passed() -> None:
    text = printed(bench_report(bench_result()))
    assert "no gate: nothing was judged" in text
    assert "pass" not in text.replace("passed", "")


def test_a_run_without_variants_has_failed() -> None:
    assert "no variant to judge" in printed(bench_report(judged(bench_result(subjects=(subject(BASELINE),)))))


def test_it_fits_a_terminal_of_80() -> None:
    lines = printed(bench_report(judged(bench_result())), width=400).splitlines()
    tables = [line for line in lines if "─" in line]
    assert len(tables) == len(sections(judged(bench_result())))
    assert max(len(line.rstrip()) for line in tables) <= 80


def test_noise_is_told() -> None:
    quiet, loud = bench_result(), bench_result()
    assert "known to ±5% or better" in printed(bench_report(quiet))
    speed = subject("int8").speed
    assert speed is not None
    loud = with_subject(loud, "int8", ragged=replace(speed.ragged, p50=around(0.044, 0.12)))
    text = printed(bench_report(loud), width=200)
    assert "noisy: p50 is not known to ±5% for int8 ±12% (batches)" in text


def test_a_stand_in_for_the_baseline_is_told() -> None:
    result = bench_result(baseline="fp32", plan={**bench_result().plan, "baseline_stands_in": True})
    assert "the bundle's own fp32 stands in" in printed(bench_report(result), width=200)
    assert "stands in" not in printed(bench_report(bench_result()), width=200)


def test_what_was_not_measured_is_a_dash_and_no_zero() -> None:
    result = with_subject(bench_result(), "int8", average_difference=None, ratio=None, gemm_share=None)
    result = with_subject(result, "fp16", speed=None)
    text = printed(bench_report(result))
    assert row(text, "STS, Spearman", "int8").rstrip().endswith("not measured")
    assert row(text, "Real texts in batches", "int8").rstrip().endswith("not measured")
    assert row(text, "What it costs", "int8").rstrip().endswith("–")
    assert row(text, "What it costs", "fp16").count("–") == 5
    nothing = bench_result(subjects=tuple(replace(s, quality=None, speed=None) for s in bench_result().subjects))
    assert [section.title for section in sections(nothing)] == ["What it costs"]


def test_names_in_a_report_are_only_names() -> None:
    hostile = bench_result(
        bundle={**bench_result().bundle, "folder": HOSTILE},
        baseline=HOSTILE,
        environment={"cpu": HOSTILE},
        subjects=(subject(BASELINE), replace(subject("int8"), name=HOSTILE)),
    )
    shown = printed(bench_report(judged(hostile)), width=300)
    assert shown.splitlines()[0].count(HOSTILE) == 2
    assert shown.count(HOSTILE) >= 6
    text = markdown_report(judged(hostile))
    assert HOSTILE not in text
    assert r"\[red\]a\[/red\]\|\<b\>\&\`\*\_x" in text
    bars = [len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("| ")]
    assert set(bars) <= {len(section.columns) + 1 for section in sections(judged(hostile))}


def test_the_comparison_says_what_counts_first() -> None:
    environment = {**bench_result().environment, "cpu": "Another"}
    other = with_subject(bench_result(environment=environment), "int8", ratio=around(0.6), cosine_mean=0.9)
    other = replace(other, subjects=other.subjects[:-1])
    text = printed(compare_report(compare_results(bench_result(), other, "a.json", "b.json")), width=120)
    assert text.index("TIMINGS AND MEMORY ARE NOT COMPARABLE: cpu differ") < text.index("cpu: Intel")
    assert re.search(r"int8 +ratio +0\.47 +0\.6 +\+0\.13 +not comparable", text)
    assert re.search(r"int8 +cosine_mean +0\.998 +0\.9 +-0\.098 +worse, exact", text)
    assert "only in a.json: static" in text
    assert "changed: 1 exact, 1 not comparable" in text


def test_the_comparison_tells_a_slowdown_once() -> None:
    slow = subject("int8").speed
    assert slow is not None
    grid = tuple(timing(t.batch, t.length, t.p50.value * 2) for t in slow.grid)
    slow = replace(slow, grid=grid, single=timing(1, None, slow.single.p50.value * 2))
    found = compare_results(bench_result(), with_subject(bench_result(), "int8", speed=slow))
    told = {change.figure for change in found.changes if change.shown}
    cells = {f"speed.grid.{t.batch}x{t.length}.p50" for t in grid}
    assert told == cells | {"speed.single.p50", "speed.single.p90", "speed.single.p99"}
    assert len(found.changes) == 5 * (len(grid) + 1)
    assert "+100.0%" in row(printed(compare_report(found), width=120), "figure", "int8")
