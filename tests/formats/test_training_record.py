"""What a fine-tune leaves as data: written, read again, and refused where it is damaged."""

from __future__ import annotations

import dataclasses
import json
import math
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from mirrorkit.errors import ModelError
from mirrorkit.formats.plain import plain
from mirrorkit.formats.training_record import (
    SCHEMA_VERSION,
    TRAINING,
    CorpusRecord,
    ScoresRecord,
    TrainingRecord,
    read_training,
    write_training,
)

RECORD = TrainingRecord(
    base="tiny",
    recipe="auto",
    hyper_parameters={"epochs": 1, "learning_rate": 1e-4, "decay": False, "pooling": "mean"},
    corpora=(
        CorpusRecord("a.txt", "0" * 64, 120, 12, 1, 1, 10, False, "line", ()),
        CorpusRecord("b", "1" * 64, 9, 2, 0, 0, 2, True, "document", ("c.png (binary)",)),
    ),
    seeds=(7, 8),
    dim=256,
    max_length=128,
    device="cpu",
    precision="fp32",
    hardware="a processor, 2 cores, 2 threads",
    versions={"python": "3.11.7", "torch": "2.13.0"},
    date="2026-01-31",
    steps=3,
    pairs=10,
    views="identity: no string has room for two crops of 100 characters",
    blend=None,
    seconds={"train": 2.0, "total": 3},
    train_seconds=2,
    before=ScoresRecord({"sts12": 40.0, "sts13": math.nan}, 40.0),
    after=None,
)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    write_training(tmp_path, RECORD)
    found = read_training(tmp_path)
    assert found == dataclasses.replace(RECORD, before=ScoresRecord({"sts12": 40.0, "sts13": None}, 40.0))
    raw = json.loads((tmp_path / TRAINING).read_text(encoding="utf-8"))
    assert (raw["schema_version"], raw["verdict"]) == (SCHEMA_VERSION, None)
    assert set(raw) == {field.name for field in dataclasses.fields(TrainingRecord)}


def test_one_of_an_earlier_release_lacks_what_came_later(tmp_path: Path) -> None:
    later = {"dev", "changes", "verdict", "no_verdict", "kind", "processes"}
    early = {key: value for key, value in plain(RECORD).items() if key not in later}
    (tmp_path / TRAINING).write_text(json.dumps(early), encoding="utf-8")
    found = read_training(tmp_path)
    assert found is not None
    assert (found.steps, found.changes, found.verdict, found.processes) == (3, (), None, 1)


def test_a_folder_without_one_has_none(tmp_path: Path) -> None:
    assert read_training(tmp_path) is None


def test_the_rows_of_a_card_name_every_corpus() -> None:
    rows = RECORD.rows()
    assert rows["corpus"] == "a.txt, 120 bytes, 10 strings used; b, 9 bytes, 2 pairs used"
    assert rows["training"] == "3 steps, 10 pairs, 2.0 s at 5 pairs/s, fp32"
    assert rows["hyper-parameters"] == "epochs 1, learning rate 0.0001, decay False"
    assert rows["pooling"] == "mean, then L2 normalisation"


def spoilt(**changes: Any) -> dict[str, Any]:
    return {**plain(RECORD), **changes}


DAMAGED: dict[str, tuple[object, str]] = {
    "a list": ([], "schema_version must be a whole number"),
    "no version": ({}, "schema_version must be a whole number above 0, is None"),
    "a newer version": (spoilt(schema_version=99), "schema_version 99, this mirrorkit reads up to 1; upgrade"),
    "a key missing": ({k: v for k, v in plain(RECORD).items() if k != "steps"}, "steps is missing"),
    "a number as text": (spoilt(steps="3"), "steps must be a whole number, is '3'"),
    "true for a number": (spoilt(train_seconds=True), "train_seconds must be a number, is True"),
    "no object": (spoilt(versions=[]), "versions must be an object"),
    "no list": (spoilt(corpora={}), "corpora must be a list"),
    "no corpora": (spoilt(corpora=[]), "corpora, seeds and hyper_parameters.pooling must not be empty"),
    "a value within": (spoilt(versions={"torch": 2}), r"versions.torch must be text, is 2"),
    "a corpus within": (spoilt(corpora=[{**plain(RECORD.corpora[0]), "rows": None}]), r"corpora\[0\].rows must be"),
    "a corpus of another kind": (spoilt(corpora=["a.txt"]), r"corpora\[0\] must be an object"),
    "a score": (spoilt(after={"tasks": {"a": "x"}, "average": 1}), "after.tasks.a must be a number"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_one_is_named_with_its_key(tmp_path: Path, case: str) -> None:
    content, complaint = DAMAGED[case]
    (tmp_path / TRAINING).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ModelError, match=complaint) as caught:
        read_training(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / TRAINING))


def test_what_is_not_json_is_named(tmp_path: Path) -> None:
    (tmp_path / TRAINING).write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="not a readable JSON file"):
        read_training(tmp_path)


def test_plain_values_are_what_json_has() -> None:
    class Kind(str, Enum):
        ONE = "one"

    value = {
        "a": (1, Kind.ONE),
        "b": Path("x") / "y",
        "c": [math.nan, math.inf, 1.5],
        "d": RECORD.corpora[0],
        "e": None,
    }
    found = plain(value)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["a"] == [1, "one"]
    assert found["b"] == str(Path("x/y"))
    assert found["c"] == [None, None, 1.5]
    assert found["d"]["name"] == "a.txt"
