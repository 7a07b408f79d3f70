"""How the verdict is held against labels: directions, confusion, and the table of a record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")

from benchmarks import record
from benchmarks.verdict import __main__ as command
from benchmarks.verdict.cells import CORPORA, RECIPES, Cell, Workshop
from benchmarks.verdict.labels import Labelled, Memo
from benchmarks.verdict.table import (
    confusion,
    correlation,
    false_help,
    is_right,
    may_decide,
    verdict_section,
    verdicts_section,
)
from mirrorkit.evaluation.pairs import GradedPairs
from tests.evaluation.fakes import Drawn


def cell(outcome: str, change: float, labels: float, recipe: str = "auto") -> dict[str, Any]:
    return {
        "base": "b",
        "corpus": "c",
        "recipe": recipe,
        "seed": 1,
        "steps": 5,
        "outcome": outcome,
        "change": {"value": change, "low": change - 1, "high": change + 1},
        "looks": {"before": {"mrr": 10.0}, "after": {"mrr": 10.0 + change}},
        "labels": {"x": {"change": labels - 1}, "y": {"change": labels + 1}},
    }


@pytest.mark.parametrize(
    ("outcome", "labels", "right", "false"),
    [
        ("helped", 3.0, True, False),
        ("helped", 0.2, True, False),
        ("helped", -0.2, False, False),
        ("helped", -1.0, False, True),
        ("no change", 0.9, True, False),
        ("no change", 1.0, False, False),
        ("no change", -5.0, False, False),
        ("hurt", -5.0, True, False),
        ("hurt", 0.1, False, False),
    ],
)
def test_a_direction_is_right_or_not(outcome: str, labels: float, right: bool, false: bool) -> None:
    one = cell(outcome, 0.0, labels)
    assert (is_right(one), bool(false_help([one]))) == (right, false)


def test_it_may_decide_from_85_percent_on_and_with_no_false_help() -> None:
    good, wrong = cell("helped", 2, 2), cell("no change", 0, 2)
    assert may_decide([good] * 17 + [wrong] * 3)
    assert not may_decide([good] * 16 + [wrong] * 4)
    assert not may_decide([good] * 99 + [cell("helped", 2, -1)])


def test_the_section_counts_and_shows_every_cell() -> None:
    cells = [cell("helped", 3, 4), cell("no change", 0.1, 2), cell("hurt", -4, -6, "hot")]
    made = {str(i): one for i, one in enumerate(cells)} | {"4": {"failed": "the loss is nan"}}
    about = {"hardware": {"cpu": "a cpu", "cores": 2}, "versions": {"python": "3"}, "date": "2026-01-01"}
    text = verdict_section({"cells": made, **about})
    assert "3 cells, seed 1; 1 more broke the weights" in text
    assert "Direction right in **2 of 3** (67%)" in text
    assert f"rank correlation of the two changes **{correlation(cells):.2f}**" in text
    assert correlation(cells) == pytest.approx(1)
    assert "| hot | 1 | 1 | 0 | – |" in text
    assert "| b | c | hot, 5 steps | 10.0 → 6.0 (-5.0 to -3.0) | hurt | x -7.0, y -5.0 | -6.0 |  |" in text
    assert "| no change | 1 | 0 | 0 |" in confusion(cells)


def test_a_text_is_encoded_once() -> None:
    encoder = Drawn()
    memo = Memo(encoder)
    labelled = Labelled("graded", GradedPairs("graded", [1.0, 2.0], ["a", "b"], ["b", "c"]))
    first = labelled.items(memo)
    assert labelled.items(memo) == pytest.approx(first)
    assert sorted(text for each in encoder.asked for text in each) == ["a", "b", "c"]


def test_what_is_recorded_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def run(_self: object, one: Cell) -> dict[str, Any]:
        asked.append(one.name)
        return cell("helped", 1, 1)

    every = [Cell("b", corpus, recipe, 1) for recipe in RECIPES for corpus in CORPORA]
    monkeypatch.setattr(command, "cells", lambda _seeds: iter(every))
    monkeypatch.setattr(Workshop, "run", run)
    readme = tmp_path / "README.md"
    readme.write_text("<!-- verdict:begin -->\n<!-- verdict:end -->\n", encoding="utf-8")
    where = ["--domains", str(tmp_path), "--results", str(tmp_path), "--readme", str(readme)]
    assert command.main([*where, "--minutes", "1e-9"]) == 0
    assert asked == []
    assert command.main(where) == 0
    assert command.main(where) == 0
    assert asked == [one.name for one in every]
    assert verdicts_section(tmp_path) in readme.read_text(encoding="utf-8")
    assert len(record.read_json(tmp_path, "verdict")[0]["cells"]) == len(every)
