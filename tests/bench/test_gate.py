"""The gate: what it lets pass, what it stops, and how it says why."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from mirrorkit.assets.paths import GATE
from mirrorkit.bench.judge.gate import RULES, Gate, judge, load_gate
from mirrorkit.bench.result import BASELINE, BenchResult, Interval, RuleResult
from mirrorkit.errors import ConfigError
from mirrorkit.formats.bundle import VARIANT_FILES
from tests.bench.results import TASKS, bench_result, points, subject, with_subject


def failures(result: BenchResult, gate: Gate | None = None) -> list[RuleResult]:
    return [rule for rule in judge(result, gate or load_gate("default")).rules if not rule.passed]


def gate_of(tmp_path: Path, text: str) -> Gate:
    file = tmp_path / "gate.toml"
    file.write_text(text, encoding="utf-8")
    return load_gate(file)


def test_a_good_run_passes_the_shipped_gate_and_every_rule_is_shown() -> None:
    judged = judge(bench_result(), load_gate("default"))
    assert judged.passed
    assert {rule.subject for rule in judged.rules} == set(VARIANT_FILES)
    for rule in judged.rules:
        assert rule.measured is not None
        assert rule.allowed


def test_the_shipped_limits_are_the_promised_ones() -> None:
    gate = load_gate("default")
    limits = {name: gate.limits(subject(name)) for name in VARIANT_FILES}
    assert (limits["fp32"]["cosine_min"], limits["fp32"]["sts_difference"]) == (0.99999, 0.01)
    assert (limits["fp16"]["cosine_min"], limits["fp16"]["sts_difference"]) == (0.9999, 0.05)
    assert (limits["int8"]["cosine_mean"], limits["int8"]["sts_difference"]) == (0.99, 0.3)
    for name, rules in limits.items():
        assert {"golden_cosine_min", "invariance", "sts_difference"} <= set(rules)
        allowed = {"fp32": 1.5, "static": 0.5}.get(name, 1.05)
        assert rules["latency_ratio"] == rules["single_latency_ratio"] == allowed


@pytest.mark.parametrize(
    ("variant", "rule", "bad", "good"),
    [
        ("fp32", "cosine_min", {"cosine_min": 0.99998}, {"cosine_min": 0.99999}),
        ("fp32", "golden_cosine_min", {"golden_cosine_min": 0.9999}, {"golden_cosine_min": 1.0000001}),
        ("fp32", "sts_difference", {"average_difference": Interval(-0.011, -0.03, 0.01)},
         {"average_difference": Interval(0.009, -0.1, 0.1)}),
        ("fp32", "sts_difference", {"average_difference": Interval(0.02, 0.01, 0.03)}, {}),
        ("fp32", "invariance", {"invariance": 5.1e-5}, {"invariance": 5e-5}),
        ("fp16", "cosine_min", {"cosine_min": 0.99985}, {"cosine_min": 0.9999}),
        ("int8", "cosine_mean", {"cosine_mean": 0.9899}, {"cosine_mean": 0.99}),
        ("int8", "cosine_p1", {"cosine_p1": 0.94}, {"cosine_p1": 0.95}),
        ("int4", "golden_cosine_min", {"golden_cosine_min": 0.6}, {"golden_cosine_min": 0.75}),
        ("int8", "latency_ratio", {"ratio": Interval(1.2, 1.06, 1.3)}, {"ratio": Interval(1.2, 1.04, 1.3)}),
        ("fp32-fused", "latency_ratio", {"ratio": Interval(1.06, 1.051, 1.07)}, {"ratio": Interval(1.0, 0.9, 1.1)}),
        ("fp16", "single_latency_ratio", {"single_ratio": Interval(2.0, 1.9, 2.1)}, {"ratio": Interval(0.5, 0.4, 0.6)}),
    ],
)  # fmt: skip
def test_each_rule_can_say_no(variant: str, rule: str, bad: dict[str, object], good: dict[str, object]) -> None:
    stopped = failures(with_subject(bench_result(), variant, **bad))
    assert [(r.subject, r.rule) for r in stopped] == [(variant, rule)]
    assert not failures(with_subject(bench_result(), variant, **good))


def test_a_plain_fp32_may_be_slower_than_the_baseline_but_not_by_far() -> None:
    assert not failures(with_subject(bench_result(), "fp32", ratio=Interval(1.3, 1.25, 1.35)))
    assert failures(with_subject(bench_result(), "fp32", ratio=Interval(3.0, 2.9, 3.1)))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
@pytest.mark.parametrize("rule", RULES)
def test_what_is_no_number_or_was_not_measured_fails(tmp_path: Path, rule: str, value: float | None) -> None:
    limit = 1.0 if RULES[rule].limits[0] < 0 else 0.0
    gate = gate_of(tmp_path, f"[precision.int8]\n{rule} = {limit}\n")
    figure = RULES[rule].figure
    timed = figure in ("ratio", "single_ratio") or figure.endswith("_difference")
    broken = Interval(value, value, value) if timed and value is not None else value  # type: ignore[arg-type]
    only = replace(bench_result(), subjects=(subject("int8"),))
    changes: dict[str, object] = {figure: broken}
    kind = figure.partition("_")[0]
    if any(one.kind == kind for one in TASKS.values()):  # of several sets the one that is no number counts
        sets = {name: replace(one, difference=points(0.1)) for name, one in TASKS.items() if one.kind == kind}
        assert broken is None or isinstance(broken, Interval)
        added = replace(next(iter(sets.values())), difference=broken)
        changes = {"tasks": {} if value is None else {**sets, "another": added}}
    (found,) = judge(with_subject(only, "int8", **changes), gate).rules
    assert not found.passed
    assert found.measured is None
    assert ("not measured" if value is None else "not a finite number") in found.note


@pytest.mark.parametrize("bounds", [(math.nan, 1.1), (-math.inf, 1.1), (0.9, math.nan), (1.01, 1.1), (0.9, 0.95)])
def test_a_ratio_without_a_sound_interval_fails(bounds: tuple[float, float]) -> None:
    (found,) = failures(with_subject(bench_result(), "int8", ratio=Interval(1.0, *bounds)))
    assert (found.rule, found.measured) == ("latency_ratio", 1.0)
    assert "no interval" in found.note


@pytest.mark.parametrize("part", ["quality", "speed"])
def test_a_variant_that_was_not_measured_at_all_fails_every_rule_on_it(part: str) -> None:
    stopped = failures(with_subject(bench_result(), "fp16", **{part: None}))
    assert {r.rule for r in stopped} == {
        name for name in load_gate("default").limits(subject("fp16")) if RULES[name].part == part
    }
    assert {(r.measured, r.note) for r in stopped} == {(None, "not measured")}


def test_a_variant_without_rules_fails(tmp_path: Path) -> None:
    gate = gate_of(tmp_path, "[precision.int8]\ncosine_mean = 0.9\n")
    stopped = failures(bench_result(), gate)
    assert {r.subject for r in stopped} == set(VARIANT_FILES) - {"int8", "int8-fused"}
    assert all("no rules" in r.note for r in stopped)


def test_a_run_without_variants_does_not_pass() -> None:
    assert not judge(bench_result(subjects=(subject(BASELINE),)), load_gate("default")).passed


def test_a_cosine_above_one_tells_of_vectors_that_are_not_normalised() -> None:
    (found,) = failures(with_subject(bench_result(), "fp32", golden_cosine_min=6.3))
    assert "unit length" in found.note


def test_the_note_says_whether_a_difference_is_significant() -> None:
    def note(interval: Interval) -> str:
        result = with_subject(bench_result(), "int8", average_difference=interval)
        return next(
            r.note
            for r in judge(result, load_gate("default")).rules
            if (r.subject, r.rule) == ("int8", "sts_difference")
        )

    assert "includes 0: not significant" in note(Interval(-0.1, -0.3, 0.1))
    assert "excludes 0: significant" in note(Interval(-0.4, -0.5, -0.3))
    slow = with_subject(bench_result(), "int8", ratio=Interval(1.08, 1.01, 1.2))
    (ratio,) = [r for r in judge(slow, load_gate("default")).rules if r.measured == 1.08]
    assert ratio.passed
    assert "not beyond noise" in ratio.note


def test_the_rules_of_a_variant_win_over_those_of_its_precision(tmp_path: Path) -> None:
    gate = gate_of(
        tmp_path, "[precision.fp32]\ncosine_min = 0.9\ninvariance = 1\n[variant.fp32-fused]\ncosine_min = 0.5\n"
    )
    assert gate.limits(subject("fp32")) == {"cosine_min": 0.9, "invariance": 1.0}
    assert gate.limits(subject("fp32-fused")) == {"cosine_min": 0.5, "invariance": 1.0}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[precision.fp32]\ncosine = 1.0", r"\[precision.fp32\] cosine: unknown rule; must be one of cosine_mean"),
        ("[precision.fp64]\ncosine_min = 1.0", r"\[precision.fp64\]: must be one of fp32, fp16"),
        ("[variant.fast]\ncosine_min = 1.0", r"\[variant.fast\]: must be one of fp32, fp32-fused"),
        ("[fp32]\ncosine_min = 1.0", r"\[fp32\] must be one of \[precision.NAME\]"),
        ("[precision]\nfp32 = 1", "precision.fp32 must be a table of rules, is 1"),
        ("precision = 1", "precision must be tables"),
        ("[precision.fp32]\ncosine_min = '0.9'", "must be a number, is '0.9'"),
        ("[precision.fp32]\ncosine_min = true", "must be a number, is True"),
        ("[precision.fp32]\ncosine_min = nan", "must be a number, is nan"),
        ("[precision.fp32]\ncosine_min = 1.1", "cosine_min = 1.1: must be from -1 to 1"),
        ("[precision.fp32]\nsts_difference = -0.1", "sts_difference = -0.1: must be from 0"),
        ("[precision.fp32]\ncosine_min = 1\ncosine_min = 1", "not a TOML file"),
        ("[precision.fp32", "not a TOML file"),
        ("", "has no rules"),
        ("[precision.fp32]", "has no rules"),
    ],
)
def test_a_gate_that_makes_no_sense_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        gate_of(tmp_path, text)
    assert str(tmp_path / "gate.toml") in str(caught.value)


def test_a_gate_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read \(No such file"):
        load_gate(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_gate(tmp_path)
    (tmp_path / "gate.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not a TOML file"):
        load_gate(str(tmp_path / "gate.toml"))


def test_the_comments_of_the_shipped_gate_name_every_rule() -> None:
    text = GATE.read_text(encoding="utf-8")
    for rule in RULES:
        assert f"# {rule} " in text


def test_the_documented_gate_and_limits_are_true(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "bench.md").read_text(encoding="utf-8")
    example = text.partition("```toml\n")[2].partition("```")[0]
    assert gate_of(tmp_path, example).limits(subject("int8"))["latency_ratio"] == 0.8
    gate = load_gate("default")
    for rule in RULES:
        (line,) = [line for line in text.splitlines() if line.startswith(f"| `{rule}` |")]
        for cell, name in zip(line.split(" |")[2:7], ("fp32", "fp16", "int8", "int4", "bf16"), strict=True):
            held = subject(name) if name != "bf16" else replace(subject("fp16"), name="openvino-bf16", precision="bf16")
            limit = gate.limits(held).get(rule)
            assert (float(cell.partition(",")[0]) if cell.strip() else None) == limit


def test_the_set_farthest_off_is_judged_each_kind_by_its_own_rule(tmp_path: Path) -> None:
    limits = "".join(f"{kind}_difference = 0.5\n" for kind in ("retrieval", "search", "knn"))
    gate = gate_of(tmp_path, f"[precision.int8]\n{limits}")
    near, far = (replace(TASKS["knn:topics"], difference=points(value)) for value in (0.2, -0.9))
    sets = {"knn:a": near, "knn:b": far, "knn:c": near}
    others = {name: replace(one, difference=points(-0.4)) for name, one in TASKS.items() if one.kind != "knn"}
    only = replace(bench_result(), subjects=(subject("int8"),))
    found = judge(with_subject(only, "int8", tasks=sets | others), gate).rules
    assert [(rule.rule, rule.measured, rule.passed) for rule in found] == [
        ("retrieval_difference", -0.4, True),
        ("search_difference", -0.4, True),
        ("knn_difference", -0.9, False),
    ]
    assert "significant" in found[2].note
