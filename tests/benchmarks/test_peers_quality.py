"""Hold the scores, the samples and the Pareto front of the peers to their definitions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("benchmarks", reason="benchmarks/ is not in sys.path: run python -m pytest from the checkout")
pytest.importorskip("matplotlib", reason="needs the demo extra")
from benchmarks.peers import plot as peers_plot
from benchmarks.peers import quality
from mirrorkit.evaluation.pairs import GradedPairs


def test_likeness_is_the_cosine_row_by_row(tmp_path: Path) -> None:
    reference = np.array([[1, 0], [0, 2]], dtype=np.float32)
    vectors = np.array([[3, 0], [1, 1]], dtype=np.float32)
    for name, values in (("a", vectors), ("b", reference), ("wide", np.ones((2, 3), dtype=np.float32))):
        values.tofile(tmp_path / name)
    found = quality.likeness(tmp_path / "a", tmp_path / "b", 2)
    assert found.pop("spearman") == 0  # of a single pair there is no order
    assert found == pytest.approx({"cosine_mean": (1 + 0.5**0.5) / 2, "cosine_min": 0.5**0.5})
    assert "cosine_mean" not in quality.likeness(tmp_path / "wide", tmp_path / "b", 2)


def test_scores_are_those_of_the_vectors(tmp_path: Path) -> None:
    pairs = GradedPairs("set", [1.0, 2.0, 3.0], ["a", "a", "a"], ["b", "c", "a"])
    texts = quality.distinct([pairs])
    assert texts == ["a", "b", "c"]
    np.array([[1, 0], [0, 1], [1, 1]], dtype=np.float32).tofile(tmp_path / "right")
    np.array([[1, 0], [1, 1], [0, 1]], dtype=np.float32).tofile(tmp_path / "swapped")
    assert quality.score(tmp_path / "right", texts, [pairs]) == {
        "average": pytest.approx(100),
        "sets": {"set": pytest.approx(100)},
    }
    assert quality.score(tmp_path / "swapped", texts, [pairs])["average"] == pytest.approx(50)


def test_a_sample_of_pairs_is_even_and_the_shipped_set_stands_in(tmp_path: Path) -> None:
    numbers = [str(i) for i in range(10)]
    drawn = quality.draw(GradedPairs("set", [float(i) for i in range(10)], numbers, numbers), 5)
    assert drawn.score == [0, 2, 4, 6, 8]
    assert drawn.left == drawn.right == ["0", "2", "4", "6", "8"]
    (tmp_path / "sts13.tsv").write_text("1\ta\tb\n2\tc\td\n", encoding="utf-8")
    assert [data.name for data in quality.read_sets(None, tmp_path)] == ["sts13"]
    assert [data.name for data in quality.read_sets(None, tmp_path / "nothing")] == ["graded"]


def test_rows_are_of_whom_was_timed_and_scored_and_the_fastest_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = {
        "slow": [2.0, 1.0, 3.0],
        "sentence-transformers torch": [4.0, 5.0, 6.0],
        "mirrorkit int8": [9.0, 8.0, 7.0],
    }
    monkeypatch.setattr(peers_plot, "speeds", lambda _, name: measured[name])
    monkeypatch.setattr(peers_plot, "latencies", lambda *_: [1.0])
    scores = {"slow": 71.0, "sentence-transformers torch": 72.0, "mirrorkit int8": 71.75}
    record = {"runs": [*measured, "not scored"], "scores": {name: {"average": score} for name, score in scores.items()}}
    found = [(row.name, row.score, row.ours) for row in peers_plot.rows(record)]
    assert found == [
        ("mirrorkit int8", -0.25, True),
        ("sentence-transformers torch", 0.0, False),
        ("slow", -1.0, False),
    ]
