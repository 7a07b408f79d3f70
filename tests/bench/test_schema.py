"""The published JSON schema holds what a run writes, and nothing else."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest

from mirrorkit.assets.paths import BENCH_SCHEMA
from mirrorkit.bench import result as contract
from mirrorkit.bench.judge.gate import judge, load_gate
from mirrorkit.bench.result import BenchResult, Interval, result_from
from mirrorkit.formats.plain import plain
from tests.bench.results import bench_result, with_subject

SCHEMA = json.loads(BENCH_SCHEMA.read_text(encoding="utf-8"))
CLASSES = {
    "interval": contract.Interval,
    "subject": contract.Subject,
    "quality": contract.Quality,
    "cut_score": contract.CutScore,
    "timing": contract.Timing,
    "speed": contract.Speed,
    "rule": contract.RuleResult,
}


def written(result: BenchResult) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(result.as_dict()))
    return document


def judged() -> BenchResult:
    return replace(bench_result(), gate=judge(bench_result(), load_gate("default")))


def errors(document: object) -> list[str]:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is in the dev group")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return [error.message for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(document)]


@pytest.mark.parametrize(
    "result",
    [
        bench_result(),
        judged(),
        with_subject(bench_result(), "int8", quality=None, speed=None),
        with_subject(bench_result(), "int8", golden_cosine_min=None, gemm_share=None),
    ],
    ids=["no gate", "gate", "nothing measured", "gaps"],
)
def test_what_is_written_is_what_the_schema_says(result: BenchResult) -> None:
    assert errors(written(result)) == []


def test_what_is_written_can_be_read_back() -> None:
    assert result_from(written(judged()), "r.json") == judged()


def test_a_figure_that_was_lost_in_json_is_nan_again() -> None:
    lost = with_subject(bench_result(), "int8", ratio=Interval(float("nan"), 0.9, 1.1))
    document = json.loads(json.dumps(plain(lost.as_dict()), allow_nan=False))
    found = result_from(document, "r.json").subject("int8")
    assert found is not None
    assert found.speed is not None
    assert found.speed.ratio is not None
    assert math.isnan(found.speed.ratio.value)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.update(schema="mirrorkit-bench/2"),
        lambda d: d.pop("plan"),
        lambda d: d.update(extra=1),
        lambda d: d["subjects"][1].pop("speed"),
        lambda d: d["subjects"][1]["quality"].update(cosine_min="high"),
        lambda d: d["subjects"][1]["speed"]["ratio"].pop("low"),
        lambda d: d["subjects"][1]["speed"]["grid"][0].update(batch=0),
        lambda d: d["gate"].pop("passed"),
        lambda d: d["bundle"].update(sha256="abc"),
    ],
)
def test_the_schema_refuses_what_is_not_written(spoil: Callable[[Any], object]) -> None:
    document = copy.deepcopy(written(judged()))
    spoil(document)
    assert errors(document)


@pytest.mark.parametrize("name", CLASSES)
def test_every_field_is_required_and_no_other_allowed(name: str) -> None:
    part = SCHEMA["$defs"][name]
    named = [field.name for field in fields(CLASSES[name])]
    assert part["required"] == list(part["properties"]) == named
    assert part["additionalProperties"] is False


def test_the_whole_and_the_gate_have_every_field() -> None:
    assert set(SCHEMA["required"]) == {field.name for field in fields(BenchResult)} == set(written(bench_result()))
    gate = written(judged())["gate"]
    assert set(SCHEMA["$defs"]["gate"]["required"]) == set(gate)
    assert SCHEMA["properties"]["schema"]["const"] == contract.SCHEMA
