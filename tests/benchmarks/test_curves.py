"""The curve over the steps of a fine-tune, on a few documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch

from benchmarks.curves.__main__ import main
from benchmarks.curves.page import section
from benchmarks.curves.scores import Scores, curve
from mirrorkit.progress import Silent
from mirrorkit.training.attempt import attempt
from mirrorkit.training.base import load_base
from mirrorkit.training.blend import weights_of
from mirrorkit.training.corpus import load_corpus
from mirrorkit.training.loop import train
from mirrorkit.training.watch import TrainStats

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


def cells(out: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((out / "curves.json").read_text(encoding="utf-8"))["cells"]
    return found


def test_a_curve_has_a_point_for_each_step(corpus: Path, search: Path, tmp_path: Path, tiny: Path) -> None:
    given = ["--base", str(tiny), "--corpus", str(corpus), "--text-column", "text", "--search", str(search)]
    out = tmp_path / "results"
    given += ["--set", "batch_size=4", "--results", str(out)]
    assert main([*given, "--at", "1,2,3"]) == 0
    assert main([*given, "--at", "1", "--seed", "2", "--name", "handbook"]) == 0
    first, second = cells(out).values()
    assert list(cells(out)) == [f"{tiny.name}/train/batch_size=4/1", f"{tiny.name}/handbook/batch_size=4/2"]
    assert [point["step"] for point in first["points"]] == [0, 1, 2, 3]
    assert [point["step"] for point in second["points"]] == [0, 1]
    assert all(0 <= point["search"] <= 100 for point in first["points"])
    assert first["recipe"]["batch_size"] == 4
    told = section({"cells": cells(out)})
    assert "### train: search, MRR@10" in told
    assert "documents, search, MRR@10, minilm-mlm: all;" in told


@pytest.mark.parametrize("changes", [{"average_last": 0.5}, {"average_last": 0.0}, {"blend": "0.5"}])
def test_a_point_is_what_a_run_of_that_length_keeps(
    changes: dict[str, Any], corpus: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The draw of the batches depends on how many steps a run has, so the curve's end is held to a run as long."""
    seen: list[dict[str, torch.Tensor]] = []

    def look(scores: Scores) -> dict[str, float]:
        seen.append(weights_of(scores._encoder))
        return {}

    monkeypatch.setattr(Scores, "_found", look)
    texts = load_corpus(corpus, text_column="text")
    recipe, points = curve(tiny, texts, {"batch_size": 4, "dropout": 0.0, **changes}, [2, 4], seed=5)
    assert [point["step"] for point in points] == [0, 2, 4]
    encoder = load_base(tiny, recipe, "cpu", trust_remote_code=False, compare=False)

    def fit(*given: Any, **more: Any) -> TrainStats:
        return train(*given, seed=5, **more)

    attempt(fit, encoder, texts, recipe, 5, Silent(), leads=True, dev=[])
    for name, weight in weights_of(encoder).items():
        torch.testing.assert_close(seen[-1][name], weight)
    last = seen[-2] if "blend" in changes else seen[-1]
    assert any(not torch.equal(last[name], seen[1][name]) for name in last)  # it went on after two steps


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (["--at", "x"], "at 'x': must be whole numbers above 0"),
        (["--at", "0"], "at '0': must be whole numbers above 0"),
        (["--set", "colour=red"], "set 'colour=red': must be NAME=VALUE"),
        (["--set", "batch_size=many"], "set 'batch_size=many': must be a number"),
        (["--set", "batch_size=1"], "batch_size 1: must be at least 2"),
        ([], "give --search, --sts or both"),
        (["--base", ""], "give --base and --corpus, or --page"),
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
