"""Run the demo on a small corpus, and as a whole: what it writes, what it says, what it refuses."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
image = pytest.importorskip("matplotlib.image", reason="needs the demo extra")
from rich.console import Console
from typer.testing import CliRunner

from mirrorkit import SentenceEncoder
from mirrorkit.cli import app
from mirrorkit.demo import run
from mirrorkit.demo.measure import GRADED, nearest, take_snapshot, topic_map
from mirrorkit.demo.run import find_sts, next_commands, run_demo
from mirrorkit.demo.sentences import QUERIES, TOPICS
from mirrorkit.demo.tell import verdict
from mirrorkit.errors import CorpusError, OutputError
from mirrorkit.evaluation.sts import SEVEN, evaluate_sts

ROWS = GRADED.read_text(encoding="utf-8").splitlines()
SENTENCES = [row.split("\t")[1] for row in ROWS[:60]]
WRITTEN = {"corpus.txt", "model", "bundle", "similarity.png", "bench.html", "demo.json"}


@dataclass
class Shown:
    figures: dict[str, Any]
    text: str
    out: Path
    sts: Path


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """Run every stage on sixty sentences, one of which looks like markup for the terminal."""
    where = tmp_path_factory.mktemp("demo")
    sts = where / "sts"
    sts.mkdir()
    for i, task in enumerate(SEVEN):
        (sts / f"{task}.tsv").write_text("\n".join(ROWS[i * 30 : i * 30 + 30]) + "\n", encoding="utf-8")
    said = io.StringIO()
    console = Console(file=said, width=160, highlight=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "BUDGET", dataclasses.replace(run.BUDGET, seconds=1, texts=8, calls=4, resamples=20))
        patch.setattr(run, "collect_sentences", lambda limit: ["See [/bold] and [red].", *SENTENCES][:limit])
        figures = run_demo(where / "out", sts=sts, sentences=50, console=console)
    return Shown(figures, said.getvalue(), where / "out", sts)


def test_everything_is_written_and_nothing_else(shown: Shown) -> None:
    assert {path.name for path in shown.out.iterdir()} == WRITTEN
    assert {path.name for path in shown.out.parent.iterdir()} == {"out", "sts"}  # no draft is left
    assert len((shown.out / "corpus.txt").read_text(encoding="utf-8").splitlines()) == 50
    assert json.loads((shown.out / "demo.json").read_text(encoding="utf-8")) == shown.figures
    assert ".partial" not in json.dumps(shown.figures)  # the draft's name is nobody's business


def test_the_figures_are_those_of_the_saved_model(shown: Shown) -> None:
    for name, encoder in (
        ("before", SentenceEncoder.load("tiny")),
        ("after", SentenceEncoder.load(shown.out / "model")),
    ):
        figures = shown.figures[name]
        graded = evaluate_sts(encoder, GRADED.parent, ["graded"]).tasks["graded"]
        assert figures["graded"]["spearman"] == pytest.approx(graded.spearman, abs=0.05)
        assert figures["sts"]["average"] == pytest.approx(evaluate_sts(encoder, shown.sts).average, abs=0.05)
    figures = shown.figures
    gain = figures["after"]["graded"]["spearman"] - figures["before"]["graded"]["spearman"]
    assert figures["gain"] == pytest.approx(gain)
    assert figures["before"] != figures["after"]
    stages = [stage.__name__ for stage in run.STAGES]
    assert list(figures["seconds"]) == [*stages, "total"]
    assert sum(figures["seconds"][stage] for stage in stages) <= figures["seconds"]["total"]
    assert {"python", "torch", "matplotlib"} <= set(figures["versions"])


def test_the_narrative_has_every_stage_and_figure(shown: Shown) -> None:
    text = " ".join(shown.text.split())
    for number in range(1, len(run.STAGES) + 1):
        assert f"{number} of {len(run.STAGES)} · " in text
    assert "See [/bold] and [red]." in text
    assert str(shown.sts) in text
    for figures in (shown.figures["before"], shown.figures["after"]):
        assert f"{figures['graded']['spearman']:.2f}" in text
        assert f"{figures['sts']['average']:.2f}" in text
    bench = shown.figures["bench"]
    assert bench["bundle"]["folder"] == str(shown.out / "bundle")
    assert [subject["name"] for subject in bench["subjects"]] == ["baseline", *shown.figures["check"]["variants"]]
    assert shown.figures["check"]["ok"]
    for expected in (*QUERIES, "bench.html", "similarity.png", *SEVEN, *next_commands(shown.out)):
        assert expected in text


def test_the_verdict_follows_the_figures() -> None:
    snapshot = take_snapshot(SentenceEncoder.load("tiny"), None)
    score, geometry = snapshot.graded, snapshot.geometry
    better = dataclasses.replace(
        snapshot,
        graded=dataclasses.replace(score, spearman=score.spearman + 2),
        geometry=dataclasses.replace(geometry, mean_cosine=geometry.mean_cosine - 0.2),
    )
    rose, spread = verdict(snapshot, better)
    assert "rose by 2.00 points" in rose
    assert "spread out" in spread
    fell, shrank = verdict(better, snapshot)
    assert "did not rise (-2.00 points)" in fell
    assert "do not fill" in shrank
    undefined = dataclasses.replace(snapshot, graded=dataclasses.replace(score, spearman=math.nan))
    assert "did not rise" in verdict(snapshot, undefined)[0]


def test_the_picture_is_a_picture(shown: Shown) -> None:
    pixels = image.imread(shown.out / "similarity.png")
    assert pixels.shape[0] > 600
    assert pixels.shape[1] > 1200
    height, width = pixels.shape[:2]
    for left in (pixels[:, : width // 2], pixels[:, width // 2 :]):  # a heat map in either half
        assert len(np.unique((left[height // 4 : -height // 4, :, :3] * 255).astype(int).reshape(-1, 3), axis=0)) > 50


class Axes:
    """An encoder whose vectors can be told beforehand: one axis for each topic, and a little of one's own."""

    def encode(self, texts: Any, /) -> Any:
        vectors = np.zeros((len(texts), 5), dtype=np.float32)
        for row, text in enumerate(texts):
            topic = next((i for i, members in enumerate(TOPICS.values()) if text in members), 4)
            vectors[row, topic] = 1.0
        return vectors


def test_topics_and_neighbours_are_measured_right() -> None:
    found = topic_map(Axes(), TOPICS)
    assert (found.same_topic, found.other_topic) == (1.0, 0.0)
    assert np.array_equal(found.cosines, np.kron(np.eye(4), np.ones((3, 3))))
    encoder = SentenceEncoder.load("tiny")
    texts = sorted({text for row in ROWS for text in row.split("\t")[1:]} - {QUERIES[0]})
    cosines = encoder.encode(texts) @ encoder.encode([QUERIES[0]])[0]
    assert nearest(encoder, QUERIES)[QUERIES[0]][0].text == texts[int(cosines.argmax())]
    assert QUERIES[0] not in [n.text for n in nearest(encoder, QUERIES)[QUERIES[0]]]


def test_sts_is_looked_for_where_it_is_said(shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIRRORKIT_STS", raising=False)
    home = tmp_path / "checkout"
    home.mkdir()
    monkeypatch.chdir(home)
    assert find_sts(None) is None
    beside = tmp_path / "shared" / "data" / "sts"
    beside.mkdir(parents=True)
    for task in SEVEN:
        (beside / f"{task}.tsv").write_text("\n".join(ROWS[:4]), encoding="utf-8")
    assert find_sts(None) == beside
    monkeypatch.setenv("MIRRORKIT_STS", str(shown.sts))
    assert find_sts(None) == shown.sts
    assert find_sts(beside) == beside
    with pytest.raises(CorpusError, match="no such folder"):
        find_sts(tmp_path / "nowhere")


def test_only_a_former_demo_is_replaced(shown: Shown, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="--overwrite"):
        run_demo(shown.out)
    other = tmp_path / "model"
    other.mkdir()
    (other / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(OutputError, match=r"no demo\.json"):
        run_demo(other, overwrite=True)
    assert [path.name for path in other.iterdir()] == ["config.json"]
    refused = CliRunner().invoke(app, ["demo", "--out", str(shown.out)])
    assert (refused.exit_code, refused.stdout, len(refused.stderr.splitlines())) == (2, "", 1)


def test_a_failed_stage_leaves_the_former_demo(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(demo: run.Demo) -> None:
        """Fail."""
        (demo.draft / "half").write_text("x", encoding="utf-8")
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "STAGES", (fails,))
    with pytest.raises(KeyboardInterrupt):
        run_demo(shown.out, sts=shown.sts, overwrite=True)
    assert json.loads((shown.out / "demo.json").read_text(encoding="utf-8")) == shown.figures
    assert {path.name for path in shown.out.parent.iterdir()} == {"out", "sts"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """Run the command twice over: the second replaces what the first left, here an empty demo."""
    where = tmp_path_factory.mktemp("whole")
    out = where / "out"
    out.mkdir()
    (out / "demo.json").write_text("{}", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MIRRORKIT_STS", raising=False)
        patch.chdir(where)
        result = CliRunner().invoke(app, ["demo", "--out", str(out), "--overwrite", "--json"])
    assert result.exit_code == 0, result.stderr
    return Shown(json.loads(result.stdout), result.stdout, out, where)


@pytest.mark.slow
def test_the_whole_command_does_what_it_says(whole: Shown, tmp_path: Path) -> None:
    assert {path.name for path in whole.out.iterdir()} == WRITTEN
    assert json.loads((whole.out / "demo.json").read_text(encoding="utf-8")) == whole.figures
    assert whole.figures["training"]["pairs"] == whole.figures["sentences"] > 5000
    before, after = whole.figures["before"], whole.figures["after"]
    assert after["geometry"]["mean_cosine"] < before["geometry"]["mean_cosine"]
    (tmp_path / "your-text.txt").write_text("\n".join(SENTENCES), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        for command in next_commands(whole.out):
            program, *rest = shlex.split(command)
            assert program == "mirrorkit"
            assert CliRunner().invoke(app, rest).exit_code == 0, command
    assert (tmp_path / "my-model" / "model.safetensors").is_file()
