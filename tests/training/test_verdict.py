"""What the verdict says of what was measured, and that a run says it: output, record, card."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")

from mirrorkit import finetune
from mirrorkit.assets.documents import plain_sentences
from mirrorkit.errors import ConfigError
from mirrorkit.formats.training_record import read_training
from mirrorkit.terminal.report import finetune_report
from mirrorkit.training import probe as probing
from mirrorkit.training.probe import Probe
from mirrorkit.training.verdict import Look, judge, look_at

FEW = 300
SETTINGS: dict[str, Any] = {"steps": 2, "batch_size": 8, "device": "cpu", "autocast": "fp32"}


def seen(reciprocal: list[float]) -> Look:
    return Look(np.array(reciprocal), 1.0, -2.0, 10.0)


def asked(count: int) -> Probe:
    return Probe(["q"] * count, ["a"] * (count + 1), "two halves", count)


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        ([0.1, 0.2] * 60, [0.2, 0.3] * 60, "helped"),
        ([0.2, 0.3] * 60, [0.1, 0.2] * 60, "hurt"),
        ([0.2, 0.3] * 60, [0.3, 0.2] * 60, "no change"),
        ([0.2, 0.3] * 60, [0.2, 0.3] * 60, "no change"),
    ],
)
def test_the_interval_decides(before: list[float], after: list[float], outcome: str) -> None:
    verdict = judge(seen(before), seen(after), asked(len(before)))
    assert verdict.outcome == outcome
    assert verdict.change.low <= verdict.change.value <= verdict.change.high
    assert verdict.change.value == pytest.approx(100 * (np.mean(after) - np.mean(before)))
    assert verdict.line.startswith(f"{outcome}: two halves of 120 held-out strings, each among 120 others, MRR ")


def test_ranks_count_those_that_are_nearer() -> None:
    answers = np.eye(4, dtype=np.float32)
    found = look_at(answers[[0, 1]], answers)
    assert found.mrr == 100
    assert found.alignment == pytest.approx(0)
    assert found.rank == pytest.approx(4)
    wrong = look_at(answers[[1, 0]], answers)  # the three others tie behind the one that is nearer, or in part before
    assert wrong.mrr < 50
    one_point = look_at(np.full((2, 4), 0.5, np.float32), np.full((4, 4), 0.5, np.float32))
    assert one_point.mrr == pytest.approx(100 * (1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)  # what guessing gets


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let 200 strings be enough."""
    for name, value in {"SMALLEST": 200, "FEWEST": 20, "OTHERS": 60}.items():
        monkeypatch.setattr(probing, name, value)


@pytest.mark.usefixtures("small")
def test_a_run_says_it_everywhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    topics = tmp_path / "topics.tsv"
    topics.write_text("".join(f"a {a} number {i}\t{a}\n" for i in range(6) for a in ("cat", "car")), encoding="utf-8")
    graded = tmp_path / "graded.tsv"
    graded.write_text("5\ta cat\tthe cat\n1\ta cat\ta car\n3\ta cat\ta dog\n", encoding="utf-8")
    out = tmp_path / "out"
    sets = [f"knn:{topics}", str(graded)]
    result = finetune("tiny", plain_sentences()[:FEW], out, evaluate=sets, dev=f"sts:{graded}", **SETTINGS)
    timed = [each.getMessage().split(":")[0] for each in caplog.records if "the processor's" in each.getMessage()]
    asked = ["asking the strings held out before", "asking the strings held out after"]
    assert [name for name in timed if name in (*asked, "training", "saving")] == [
        asked[0],
        "training",
        asked[1],
        "saving",
    ]
    assert result.verdict is not None
    assert (result.verdict.probe.held_out, result.no_verdict) == (20, None)
    assert [(one.name, one.measure, one.items) for one in result.changes] == [
        ("knn:topics", "kNN accuracy", 12),
        ("sts:graded", "Spearman", 3),
    ]
    record = read_training(out)
    assert record is not None
    assert record.verdict == result.verdict.record()
    assert record.changes == result.changes
    dev = result.runs[0].dev
    assert dev is not None
    assert set(dev.scores) == {0, 1, 2}
    assert dev.scores[dev.step] == max(dev.scores.values())
    card = (out / "README.md").read_text(encoding="utf-8")
    printed = "\n".join(map(str, finetune_report(result)))
    for line in (result.verdict.line, dev.why):
        assert line in card
        assert line in printed
    assert ("labels tell more: --eval" in printed) == (result.verdict.outcome != "helped")
    assert "| knn:topics | kNN accuracy | 12 | " in card
    assert result.changes[0].line in printed
    assert json.loads(json.dumps(result.as_dict()))["verdict"]["outcome"] == result.verdict.outcome


@pytest.mark.usefixtures("small")
def test_it_can_be_left_out_and_changes_nothing_then(tmp_path: Path) -> None:
    texts = plain_sentences()[:FEW]
    without = finetune("tiny", texts, verdict=False, **SETTINGS)
    assert (without.verdict, without.no_verdict) == (None, "it was not asked for")
    assert finetune("tiny", texts[:190], **SETTINGS).no_verdict == (
        "190 strings are too few to hold 20 out; 200 are needed"
    )


def test_the_best_checkpoint_is_the_base_where_training_breaks_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    graded = tmp_path / "graded.tsv"
    rows = [(5, "a small cat", "a little cat"), (4, "two dogs run", "dogs are running"), (0, "a cat", "stock prices")]
    graded.write_text("".join(f"{score}\t{a}\t{b}\n" for score, a, b in rows), encoding="utf-8")
    result = finetune("tiny", plain_sentences()[:40], dev=graded, **SETTINGS | {"learning_rate": 1e-9})
    dev = result.runs[0].dev
    assert dev is not None
    assert dev.step == 0  # of equal ones the first
    assert "no checkpoint beat the base" in dev.why
    assert any("no checkpoint beat the base" in record.getMessage() for record in caplog.records)


def test_a_checkpoint_does_not_hold_the_best_weights(tmp_path: Path) -> None:
    graded = tmp_path / "graded.tsv"
    graded.write_text("5\ta cat\tthe cat\n1\ta cat\ta car\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="`dev` keeps its best weights in memory"):
        finetune("tiny", ["a", "b"], tmp_path / "out", dev=graded, checkpoint_every=1)
