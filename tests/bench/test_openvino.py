"""OpenVINO among the subjects of a benchmark: measured, written and judged like the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("openvino", reason="needs the openvino extra; `make test-consumers` has it")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnx", reason="makes its graphs with the export extra")
jsonschema = pytest.importorskip("jsonschema", reason="a tool of the tests")

from mirrorkit.assets.paths import BENCH_SCHEMA
from mirrorkit.bench.judge.gate import judge, load_gate
from mirrorkit.bench.result import OPENVINO, BenchResult
from mirrorkit.bench.run import run_bench
from mirrorkit.formats.plain import plain
from mirrorkit.runtime.openvino.library import available
from tests.lookups import SHAPES, work_here


@pytest.fixture(scope="module")
def result(made: Path, tmp_path_factory: pytest.TempPathFactory) -> BenchResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mirrorkit.bench.run.run_worker", work_here)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return run_bench(made, engine="openvino", **SHAPES)


def test_every_precision_of_this_machine_is_a_subject(result: BenchResult) -> None:
    here = [precision.variant for precision in available("cpu")]
    assert [subject.name for subject in result.subjects] == ["baseline", "fp32", "int8", *here]
    assert set(here) <= set(OPENVINO)
    for name in here:
        subject = result.subject(name)
        assert subject is not None
        assert subject.quality is not None
        assert subject.speed is not None
        assert subject.quality.golden_cosine_min == pytest.approx(1, abs=1e-3)
        assert 0 <= subject.quality.invariance < 1e-2
    jsonschema.validate(plain(result.as_dict()), json.loads(BENCH_SCHEMA.read_text(encoding="utf-8")))


def test_the_shipped_gate_has_rules_for_all_of_them(result: BenchResult) -> None:
    verdict = judge(result, load_gate("default"))
    judged = {rule.subject for rule in verdict.rules if rule.rule == "golden_cosine_min"}
    assert judged == {subject.name for subject in result.subjects} - {"baseline"}
    assert all(rule.passed for rule in verdict.rules if rule.rule in ("golden_cosine_min", "cosine_min", "invariance"))
