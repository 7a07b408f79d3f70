"""What a trimmed vocabulary is held to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")

from mirrorkit import SentenceEncoder
from mirrorkit.assets.paths import GRADED
from mirrorkit.evaluation.graded import read_pairs
from mirrorkit.evaluation.pairs import score_pairs
from mirrorkit.exporter.trim.gate import TrimReport, trim_limits
from mirrorkit.exporter.trim.vocabulary import Trim, trim_vocabulary

CORPUS = ["The museum opens at nine on weekdays.", "A photograph of the old museum", "the museum, on a weekday"]


@pytest.mark.slow
def test_the_gate_names_what_was_lost_and_takes_limits_of_the_users_own(shipped: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(CORPUS), encoding="utf-8")
    report = trim_vocabulary(SentenceEncoder.load(shipped), Trim(corpus, limits={"cosine_mean": 0.999}))
    assert {problem.what for problem in report.problems} == {"cosine_mean", "graded_drop"}
    assert report.as_dict()["overridden"] == ["cosine_mean"]
    problems: Any = report.as_dict()["problems"]
    assert {p["where"] for p in problems} == {"trimmed vocabulary"}
    assert report.figures["graded_drop"] == report.graded_before - report.graded_after > report.limits.graded_drop
    untouched = score_pairs(SentenceEncoder.load(shipped), [read_pairs(GRADED, score_column=0)])["graded"]
    assert report.graded_before == pytest.approx(untouched.spearman, abs=0.01)
    again = replace(report, limits=trim_limits({"cosine_mean": -1.0, "graded_drop": 200.0}))
    assert again.passed
    assert json.loads(json.dumps(again.as_dict()))["limits"]["graded_drop"] == 200


def test_every_limit_is_held() -> None:
    good = {"corpus_max_abs": 0.0, "unchanged": 1.0, "new_unknown": 0.0, "cosine_mean": 1.0, "graded_drop": 0.0}
    bad = {"corpus_max_abs": 1e-4, "unchanged": 0.5, "new_unknown": 1.0, "cosine_mean": 0.5, "graded_drop": 9.0}
    assert set(good) == set(trim_limits().limits())
    for name in good:
        for value in (bad[name], float("nan")):
            assert [problem.what for problem in report_with({**good, name: value}).problems] == [name]
    assert report_with(good).passed


def report_with(figures: dict[str, float]) -> TrimReport:
    return TrimReport(
        corpus="corpus.txt",
        sha256="",
        texts=1,
        min_count=1,
        vocabulary_before=9,
        vocabulary_after=5,
        bytes_before=90,
        bytes_after=50,
        figures=figures,
        unseen_unchanged=0.5,
        cosine_min=1.0,
        built_in_texts=9,
        built_in_unchanged=1.0,
        graded_before=80.0,
        graded_after=80.0,
        limits=trim_limits(),
    )
