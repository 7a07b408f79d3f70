"""The table of shorter vectors: means and differences by seed, from a record, between the markers of the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.matryoshka import PAGE, main, section


def record() -> dict[str, Any]:
    def run(seed: int, arm: str, short: float, whole: float, seconds: float) -> dict[str, Any]:
        scores = {"32": short, "384": whole}
        return {"seed": seed, "arm": arm, "scores": scores, "cpu_seconds": seconds, "precision": "bf16"}

    return {
        "base": "tiny-mlm",
        "corpus": "sentences.txt.gz",
        "pairs": "stsb-dev",
        "matryoshka": "32",
        "steps": 10,
        "raw": {"32": 50.0, "384": 60.0},
        "runs": [
            run(1, "without", 60.0, 70.0, 20.0),
            run(1, "with", 63.0, 69.5, 21.0),
            run(2, "without", 62.0, 71.0, 20.0),
            run(2, "with", 63.0, 70.5, 22.0),
        ],
        "date": "2026-01-01",
        "hardware": {"cpu": "a processor", "cores": 2, "gpu": None, "load_average": 9.0},
        "versions": {},
        "threads": 1,
    }


def test_means_differences_and_costs_are_those_of_the_runs() -> None:
    table = section([record()])
    assert "| tiny-mlm as it is | 50.00 | 60.00 |  |" in table
    assert "| fine-tuned | 61.00 ± 1.41 | 70.50 ± 0.71 | 20.0 ± 0.0 |" in table
    assert "| fine-tuned with `--matryoshka` | 63.00 ± 0.00 | 70.00 ± 0.71 | 21.5 ± 0.7 |" in table
    assert "| difference, by seed | +2.00 ± 1.41 | -0.50 ± 0.00 | × 1.08 ± 0.04 |" in table
    assert "seeds 1, 2" in table
    assert "loaded (9 processes waiting)" in table


def test_the_table_goes_between_the_markers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "matryoshka_tiny.json").write_text(json.dumps(record()), encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- matryoshka:begin -->\nold\n<!-- matryoshka:end -->\nafter\n", encoding="utf-8")
    assert main(["--table", "--results", str(tmp_path), "--page", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "old" not in text
    assert text.startswith("before\n<!-- matryoshka:begin -->\n|  | 32 | 384 | CPU s |")
    page.write_text("no markers", encoding="utf-8")
    assert main(["--table", "--results", str(tmp_path), "--page", str(page)]) == 2
    assert "must have a line <!-- matryoshka:begin -->" in capsys.readouterr().err
    assert "<!-- matryoshka:begin -->" in PAGE.read_text(encoding="utf-8")
