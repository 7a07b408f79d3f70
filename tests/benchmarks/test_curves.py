"""The curve over the steps of a fine-tune, on a few documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the train extra")

from benchmarks.curves import main

DOCUMENTS = [
    f"{thing} are kept in the {place}. Ask the {who} before you take one of them, and bring it back when you are done."
    for thing in ("Keys", "Tools", "Ladders", "Lamps")
    for place, who in (("cellar", "porter"), ("office", "clerk"), ("garage", "driver"))
]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    file = tmp_path / "handbook" / "train.jsonl"
    file.parent.mkdir()
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in DOCUMENTS), encoding="utf-8")
    return file


@pytest.fixture
def search(tmp_path: Path) -> Path:
    home = tmp_path / "search"
    (home / "qrels").mkdir(parents=True)
    rows = [json.dumps({"_id": f"d{i}", "text": text}) for i, text in enumerate(DOCUMENTS)]
    (home / "corpus.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (home / "queries.jsonl").write_text('{"_id": "q", "text": "where are the keys"}\n', encoding="utf-8")
    (home / "qrels" / "dev.tsv").write_text("q\td0\t1\n", encoding="utf-8")
    return home


def test_a_curve_has_a_point_for_each_step(corpus: Path, search: Path, tmp_path: Path, tiny: Path) -> None:
    given = ["--base", str(tiny), "--corpus", str(corpus), "--text-column", "text", "--search", str(search)]
    out = tmp_path / "results"
    # One step is the last of its run as well, and the last is always reported, however short it is.
    assert main([*given, "--at", "1", "--set", "batch_size=4", "--results", str(out)]) == 0
    (file,) = out.iterdir()
    record = json.loads(file.read_text(encoding="utf-8"))
    assert [point["step"] for point in record["points"]] == [0, 1]
    assert all(0 <= point["mrr_at_10"] <= 100 for point in record["points"])
    assert record["recipe"]["batch_size"] == 4


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (["--at", "x"], "at 'x': must be whole numbers above 0"),
        (["--at", "0"], "at '0': must be whole numbers above 0"),
        (["--set", "colour=red"], "set 'colour=red': must be NAME=VALUE"),
        (["--set", "batch_size=many"], "set 'batch_size=many': must be a number"),
        (["--set", "batch_size=1"], "batch_size 1: must be at least 2"),
        ([], "give --search, --sts or both"),
    ],
)
def test_bad_input_is_one_line(
    given: list[str], complaint: str, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results"
    assert main(["--base", "tiny", "--corpus", str(corpus), "--results", str(out), *given]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {complaint}")
    assert said.count("\n") == 1
    assert not out.exists()
