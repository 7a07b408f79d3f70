"""Hold what the page of expectations says to its record, and a run to going on where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("matplotlib", reason="needs the demo extra")
pytest.importorskip("benchmarks", reason="benchmarks/ is not in sys.path: run python -m pytest from the checkout")

from benchmarks import record as files
from benchmarks.expect import __main__ as command
from benchmarks.expect import cells as planning
from benchmarks.expect import worker
from benchmarks.expect.cells import AS_IS, RECIPES, SIZES, Cell, cells, drawn, texts_of
from benchmarks.expect.page import PREFIX, groups, section, sections, update
from benchmarks.verdict.labels import Labelled
from mirrorkit.errors import ConfigError
from mirrorkit.evaluation.pairs import GradedPairs

MARKED = "# Page\n\n<!-- expect:begin -->\n<!-- expect:end -->\n\nafter\n"
STRINGS = [f"the {colour} {thing} is here" for colour in ("red", "blue", "green") for thing in ("car", "cup", "hat")]


def as_is(base: str, **scores: float) -> dict[str, Any]:
    return {"base": base, "corpus": "", "size": 0, "recipe": AS_IS, "seed": 0, "scores": scores}


def trained(base: str, corpus: str, size: int, recipe: str, seed: int = 42, **scores: float) -> dict[str, Any]:
    about = {"base": base, "corpus": corpus, "size": size, "recipe": recipe, "seed": seed}
    views = recipe if recipe in ("identity", "crop") else "crop" if corpus == "docs" else "identity"
    named = {name.replace("search", "search:docs"): value for name, value in scores.items()}
    made = {"strings": size, "corpus_strings": 2100, "views": views, "steps": 10, "train_cpu_seconds": 5.0}
    return {**about, **made, "scores": {name.replace("_", "-"): value for name, value in named.items()}}


def record_of(*runs: dict[str, Any]) -> dict[str, Any]:
    about = {"hardware": {"cpu": "a cpu", "cores": 2}, "versions": {"python": "3"}, "date": "2026-01-01", "threads": 1}
    return {**about, "skipped": {}, "cells": {str(number): run for number, run in enumerate(runs)}}


RECORD_OF_ALL = record_of(
    as_is("weak", **{"search:docs": 20.0, "stsb-dev": 60.0}),
    trained("weak", "docs", 2000, "auto", search=45.0, stsb_dev=66.0),
    trained("weak", "docs", 2000, "identity", search=30.0, stsb_dev=58.5),
    trained("weak", "lines", 2000, "auto", stsb_dev=70.0),
    trained("weak", "lines", 500, "auto", stsb_dev=69.0),
    trained("weak", "lines", 500, "auto", seed=43, stsb_dev=71.0),
    {**trained("weak", "lines", 500, "every string once"), "failed": "the loss is nan"},
)


def test_the_tables_have_before_and_gain() -> None:
    text = section(RECORD_OF_ALL)
    assert "| weak | docs | 2,000 | auto (crop) | 10 | 20.0 **+25.0** | 60.0 **+6.0** | 5 |" in text
    assert "| weak | lines | 500 | auto (identity) | 10 |  | 60.0 **+10.0** ± 1.4 | 5 |" in text
    assert "| weak | docs | 2,000 | identity | 10 | 20.0 **+10.0** | 60.0 **-1.5** | 5 |" in text
    assert "Gains with a deviation are means over 2 seeds" in text


def test_falls_failures_and_sizes_that_there_are_not_are_told() -> None:
    text = section(RECORD_OF_ALL)
    hurt = text.partition("### Where it hurt")[2].partition("###")[0]
    assert hurt.strip() == "- weak, 2,000 strings of docs, recipe identity: stsb-dev -1.5"
    assert "- docs has 2,100 distinct strings: none of 10,000, 100,000" in text
    assert "- weak, lines, every string once: the loss is nan" in text


def test_a_cell_without_its_base_is_not_shown() -> None:
    assert groups(record_of(trained("strong", "docs", 500, "auto", stsb_dev=1.0))) == []


def test_the_page_and_the_plots_are_made_from_the_record(tmp_path: Path) -> None:
    page = tmp_path / "expect.md"
    page.write_text(MARKED, encoding="utf-8")
    files.write_json(tmp_path / f"{PREFIX}one.json", RECORD_OF_ALL)
    update(tmp_path, page)
    assert page.read_text(encoding="utf-8") == MARKED.replace("begin -->\n", f"begin -->\n{section(RECORD_OF_ALL)}\n")
    for name in ("expect_strings_a-cpu.png", "expect_views_a-cpu.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_machines_are_told_apart(tmp_path: Path) -> None:
    other = {**RECORD_OF_ALL, "hardware": {"cpu": "other cpu", "cores": 2}}
    files.write_json(tmp_path / f"{PREFIX}one.json", RECORD_OF_ALL)
    files.write_json(tmp_path / f"{PREFIX}two.json", other)
    assert sections(tmp_path) == f"## a cpu\n\n{section(RECORD_OF_ALL)}\n\n## other cpu\n\n{section(other)}"


def test_the_tables_on_the_page_are_those_of_the_results() -> None:
    text = command.PAGE.read_text(encoding="utf-8")
    shown = text.partition("<!-- expect:begin -->\n")[2].partition("\n<!-- expect:end -->")[0]
    assert shown == sections(files.RESULTS)


def test_a_corpus_that_nearly_has_a_size_is_taken_whole_for_it() -> None:
    assert [drawn(size, 9_253) for size in SIZES] == [500, 2_000, 9_253, None]
    assert drawn(2_000, 1_599) is None
    assert drawn(2_000, 1_600) == 1_600


def test_every_cell_is_planned_once_and_after_its_base() -> None:
    planned = cells()
    assert len({cell.name for cell in planned}) == len(planned)
    seen: set[str] = set()
    for cell in planned:
        assert cell.recipe == AS_IS or (cell.base in seen and cell.recipe in RECIPES)
        seen.add(cell.base)


def test_what_ships_is_read_and_what_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(texts_of("documentation", tmp_path)) == 2_500
    with pytest.raises(ConfigError, match=r"corpus manuals: .* cannot be read"):
        texts_of("manuals", tmp_path)
    (tmp_path / "manuals").mkdir()
    rows = [json.dumps({"text": text}) for text in [*STRINGS, STRINGS[0]]]
    (tmp_path / "manuals" / "train.jsonl").write_text("\n".join(rows), encoding="utf-8")
    assert texts_of("manuals", tmp_path) == STRINGS
    monkeypatch.setattr(planning, "SHARED", tmp_path)
    with pytest.raises(ConfigError, match=r"base minilm-mlm: .* is not there"):
        planning.base_folder("minilm-mlm")


def test_a_cell_is_trained_and_scored(
    tiny_random: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = GradedPairs("stsb-dev", [1.0, 2.0, 3.0], STRINGS[:3], STRINGS[3:6])
    monkeypatch.setattr(worker, "base_folder", lambda _: str(tiny_random("bert")))
    monkeypatch.setattr(worker, "texts_of", lambda *_: STRINGS)
    monkeypatch.setattr(worker, "labelled", lambda *_: [Labelled("stsb-dev", pairs)])
    start = worker.measure(Cell("tiny"), tmp_path)
    found = worker.measure(Cell("tiny", "words", 8, "every string once", 3), tmp_path)
    assert (found["strings"], found["corpus_strings"], found["views"], found["steps"]) == (8, 9, "identity", 1)
    assert -100 <= found["scores"]["stsb-dev"] <= 100
    assert start["recipe"] == AS_IS
    json.dumps(found, allow_nan=False)
    with pytest.raises(ConfigError, match="the corpus has 9 strings only"):
        worker.measure(Cell("tiny", "words", 500, "auto", 3), tmp_path)


def test_what_is_recorded_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = [Cell("weak"), Cell("weak", "lines", 500, "auto", 42), Cell("weak", "lines", 10_000, "auto", 42)]
    asked: list[str] = []

    def run(line: list[str], what: str, *_: Any) -> dict[str, Any]:
        asked.append(what)
        cell = Cell(**json.loads(line[-2]))
        if cell.recipe == AS_IS:
            return as_is("weak", **{"stsb-dev": 60.0})
        return trained(cell.base, cell.corpus, cell.size, cell.recipe, stsb_dev=61.0)

    monkeypatch.setattr(command, "cells", lambda: planned)
    monkeypatch.setattr(command, "run_json", run)
    monkeypatch.setattr(command, "texts_of", lambda *_: ["x"] * 600)
    monkeypatch.setattr(command, "base_folder", lambda _: "somewhere")
    page = tmp_path / "expect.md"
    page.write_text(MARKED, encoding="utf-8")
    given = ["--domains", str(tmp_path), "--results", str(tmp_path), "--page", str(page)]
    assert command.main([*given, "--only", AS_IS]) == 0
    assert command.main(given) == 0
    assert command.main(given) == 0
    assert asked == [cell.name for cell in planned[:2]]
    (file,) = tmp_path.glob(f"{PREFIX}*.json")
    made = json.loads(file.read_text(encoding="utf-8"))
    assert made["skipped"] == {planned[2].name: "the corpus has 600 strings"}
    assert "| weak | lines | 500 |" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "domains None: must be a folder"),
        (["--domains", "/nowhere/at/all"], "domains /nowhere/at/all: must be a folder"),
        (["--domains", ".", "--threads", "0"], "threads 0: must be at least 1"),
        (["--report"], "page.md: cannot be read"),
    ],
)
def test_bad_input_is_one_line(given: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--results", str(tmp_path / "results"), "--page", str(tmp_path / "page.md")]
    assert command.main([*given, *where]) == 2
    captured = capsys.readouterr().err
    assert captured.startswith("error: ")
    assert captured.count("\n") == 1
    assert said in captured
    assert list(tmp_path.iterdir()) == []
