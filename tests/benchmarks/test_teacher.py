"""What the study of teachers measures, and the section that its record makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")

from benchmarks import teacher
from benchmarks.record import RESULTS, read_json
from benchmarks.teacher_report import section, sections


def cell(seed: int, taught: bool, score: float) -> dict[str, Any]:
    return {
        "part": "teacher",
        "base": "b",
        "corpus": "c",
        "seed": seed,
        "taught": taught,
        "changes": {},
        "marks_asked": [10],
        "marks": {"10": {"stsb-dev": score, "sts16": score - 2}},
        "seven": {"sts12": score - 5, "sts13": score - 3},
        "cpu_seconds": {"teacher": 1.0, "training": 50.0 + seed},
    }


def test_cells_have_names_of_their_own() -> None:
    names = [one.name for one in teacher.cells([1, 2])]
    assert len(names) == len(set(names))


def test_the_section_is_of_what_is_measured() -> None:
    assert section({}) == "Nothing is measured yet."
    cells = {
        f"{seed}{taught}": cell(seed, taught, 70.0 + seed + 5 * taught) for seed in (1, 3) for taught in (False, True)
    }
    about = {"hardware": {"cpu": "a cpu"}, "versions": {"torch": "1"}, "threads": 1, "date": "2000-01-01"}
    found = section({**about, "cells": cells})
    assert "| b | c | none | as `auto` has it | 10 | 1, 3 | 72.0 ± 1.4 | 70.0 ± 1.4 | 52 | 68.0 ± 1.4 |" in found
    assert "| b | c | all-MiniLM-L6-v2 | as `auto` has it | 10 | 1, 3 | 77.0 ± 1.4 |" in found
    assert "the seven sets were looked at once" in found
    alone = {name: {**one, "seven": None} for name, one in cells.items()}
    assert "seven" not in section({**about, "cells": alone, "note": "A note."})
    assert "A note." in section({**about, "cells": alone, "note": "A note."})
    assert found.endswith("a cpu, 1 thread, 2000-01-01, torch 1.")


def test_a_page_without_the_markers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing", encoding="utf-8")
    options = ["--report", "--results", str(tmp_path), "--page", str(page)]
    monkeypatch.setattr("sys.argv", ["benchmarks.teacher", *options])
    assert teacher.main() == 2
    page.write_text("<!-- teacher:begin -->\n<!-- teacher:end -->\n", encoding="utf-8")
    assert teacher.main() == 0
    assert "Nothing is measured yet." in page.read_text(encoding="utf-8")


def test_the_tables_on_the_page_are_those_of_the_records() -> None:
    shown = teacher.PAGE.read_text(encoding="utf-8").partition("<!-- teacher:begin -->\n")[2]
    assert shown.partition("\n<!-- teacher:end -->")[0] == sections(read_json(RESULTS, teacher.PREFIX))
