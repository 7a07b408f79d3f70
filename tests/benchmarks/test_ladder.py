"""The ladder: what a cell is, how its record goes on, and what the tables say of it."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")

from benchmarks import processes
from benchmarks.ladder import __main__ as command
from benchmarks.ladder.cells import Cell, Rung, read_corpus
from benchmarks.ladder.own_views import OWN_VIEWS
from benchmarks.ladder.rungs import FINAL, RUNGS
from benchmarks.ladder.table import PAGE, SECTION, difference, rungs_of, section
from mirrorkit.errors import ConfigError
from mirrorkit.training.recipe import Recipe, changed


def cell(name: str, seed: int, steps: dict[str, dict[str, float]]) -> dict[str, Any]:
    return {
        "rung": {"name": name, "corpus": "sentences", "base": "b"},
        "seed": seed,
        "threads": 1,
        "load_average": 3.0,
        "date": "2026-11-30",
        "points": steps,
    }


def scores(sts: float, cpu: float = 10.0) -> dict[str, float]:
    return {"cpu": cpu, "stsb-dev": sts, "sts16": sts, "graded": sts}


RECORD: dict[str, Any] = {
    "hardware": {"cpu": "a CPU", "cores": 2},
    "versions": {"python": "3.11"},
    "cells": {
        "b/sentences: auto/1": cell("sentences: auto", 1, {"10": scores(70)}),
        "b/sentences: auto/2": cell("sentences: auto", 2, {"10": scores(72)}),
        "b/other/1": cell("other", 1, {"5": scores(60), "20": scores(71, 30)}),
        "b/other/2": cell("other", 2, {"20": scores(75, 10)}),
        "b/other/3": cell("other", 3, {"20": scores(99, 20)}),
        "b/broken/1": {**cell("broken", 1, {}), "failed": "no more memory"},
    },
}


def test_every_rung_is_one_of_its_name_and_its_changes_are_a_recipe_s() -> None:
    names = [(rung.base, rung.name) for rung in [*RUNGS, *FINAL]]
    assert len(names) == len(set(names))
    for rung in [*RUNGS, *FINAL]:
        changed(Recipe(), rung.changes)  # type: ignore[arg-type]


def test_differences_are_of_the_same_seeds() -> None:
    found = rungs_of(RECORD["cells"], "b")
    assert list(found) == ["sentences: auto", "other, after 5 steps", "other"]
    values = difference(found["other"], found["sentences: auto"], "stsb-dev")
    assert values == [1, 3]
    text = section(RECORD)
    row = next(line for line in text.splitlines() if line.startswith("| other |"))
    assert f"{statistics.fmean(values):+.2f} ± {statistics.stdev(values):.2f}" in row
    assert row.split("|")[-3:-1] == [" 20 ", " 2.00 "]  # CPU seconds, and their ratio over the seeds of both
    assert "| **sentences: auto** | 2 | 71.00 ± 1.41 |" in text
    assert "broken" not in text
    last = {
        "b/x/1": cell("x", 1, {"10": {"cpu": 9.0, "sts12": 70.0, "seven": 71.0}}),
        "b/y/1": cell("y", 1, {"31": {"cpu": 80.0, "search": 59.0}}),
    }
    text = section({**RECORD, "final": last})
    assert "| b | x | 71.00 | – | 71.00 | 9.00 |" in text
    assert "| b | y | – | 59.00 | 59.00 | 80.00 |" in text
    alone = {name: value for name, value in RECORD.items() if name != "cells"} | {"final": last}
    assert section(alone).count("\n| b |") == 2


def test_it_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def worker(arguments: list[str], name: str, env: object, cwd: object = None) -> dict[str, Any]:
        asked.append(name)
        rung = json.loads(arguments[-1])["rung"]
        if rung["name"] == "mixed: auto":
            raise processes.ProcessError(f"{name}: exit code 1: broken")
        return {"steps": 10, "recipe": {}, "strings": 5, "points": {"10": scores(70)}}

    monkeypatch.setattr(processes, "run_json", worker)
    page = tmp_path / "ladder.md"
    page.write_text(f"<!-- {SECTION}:begin -->\n<!-- {SECTION}:end -->\n", encoding="utf-8")
    shared = ["--results", str(tmp_path), "--page", str(page), "--domains", str(tmp_path), "--only"]
    assert command.main([*shared, "sentences: auto/|mixed: auto/", "--seeds", "1"]) == 0
    assert command.main([*shared, "sentences: auto/", "--seeds", "1", "2"]) == 0
    assert asked == ["minilm-mlm/sentences: auto/1", "minilm-mlm/mixed: auto/1", "minilm-mlm/sentences: auto/2"]
    (file,) = tmp_path.glob("ladder_*.json")  # one a machine
    record = json.loads(file.read_text())
    assert record["cells"]["minilm-mlm/mixed: auto/1"]["failed"].endswith("broken")
    assert "| **sentences: auto** | 2 | 70.00 ± 0.00 |" in page.read_text()
    before = page.read_text()
    page.write_text(before.replace("70.00", "0"), encoding="utf-8")
    assert command.main(["--table", "--results", str(tmp_path), "--page", str(page)]) == 0
    assert page.read_text() == before


def test_a_mixed_corpus_has_as_many_of_each(tmp_path: Path) -> None:
    for name, count in (("one", 30), ("two", 10)):
        (tmp_path / name).mkdir()
        rows = [json.dumps({"text": f"{name} number {i}"}) for i in range(count)]
        (tmp_path / name / "train.jsonl").write_text("\n".join(rows), encoding="utf-8")
    texts = read_corpus("one+two", tmp_path).texts
    assert [sum(text.startswith(name) for text in texts) for name in ("one", "two")] == [10, 10]
    assert list(texts[:2]) == ["one number 0", "one number 3"]
    with pytest.raises(ConfigError, match="corpus three: there is no"):
        read_corpus("three", tmp_path)


@pytest.mark.parametrize("name", OWN_VIEWS)
def test_own_views_are_made_of_the_text_s_words(name: str) -> None:
    text = "a plain sentence of some nine words in all"
    for seed in range(20):
        for view in OWN_VIEWS[name](text, np.random.default_rng(seed)):
            assert view
            assert set(view.split()) <= set(text.split())


def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--results", str(tmp_path)]) == 2
    assert "domains" in capsys.readouterr().err
    (tmp_path / "ladder_here.json").write_text(json.dumps(RECORD), encoding="utf-8")
    assert command.main(["--table", "--results", str(tmp_path), "--page", str(tmp_path / "none.md")]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert Cell(Rung("x", "y"), 3).name == "minilm-mlm/x/3"
    assert PAGE.is_file()
