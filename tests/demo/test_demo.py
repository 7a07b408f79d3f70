"""Run the demo on a slice of the shipped model and a few documents: what it writes, what it says, what it refuses."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
image = pytest.importorskip("matplotlib.image", reason="needs the demo extra")
from rich.console import Console
from typer.testing import CliRunner

from mirrorkit import SentenceEncoder, evaluate_search
from mirrorkit.assets.documents import Document, document_sentences, plain_sentences, read_documents
from mirrorkit.assets.paths import GRADED, HELD_OUT
from mirrorkit.cli.app import app
from mirrorkit.demo import run
from mirrorkit.demo.documents import QUERIES
from mirrorkit.demo.measure import BINS, SHOWN, Hit, Search, Snapshot, search
from mirrorkit.demo.picture import draw
from mirrorkit.demo.run import next_commands, run_demo
from mirrorkit.demo.tell import score_table, verdict
from mirrorkit.errors import OutputError
from mirrorkit.evaluation.intervals import Interval
from mirrorkit.evaluation.pairs import Score
from mirrorkit.evaluation.sts import evaluate_sts

WRITTEN = {"corpus.jsonl", "held-out.jsonl", "your-text.txt", "NOTICE.txt", "model", "bundle", "demo.json"}
WRITTEN |= {"demo.html", "ranks.png", "ranks-dark.png"}
FEW = 60


@dataclass
class Shown:
    figures: dict[str, Any]
    text: str
    out: Path


def few(file: Path) -> list[Document]:
    """Return some of the documents: with the queries where they are held out, and one that looks like markup."""
    found = read_documents(file)
    kept = [document for document in found if document.title in QUERIES]
    kept += [document for document in found if document.title not in QUERIES][: FEW - len(kept)]
    return [dataclasses.replace(kept[0], text=f"See [/bold] and [red]. {kept[0].text}"), *kept[1:]]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    out, said = tmp_path_factory.mktemp("demo") / "out", io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "read_documents", few)
        patch.setattr(run, "plain_sentences", lambda: plain_sentences()[:FEW])
        patch.setattr(run, "SAMPLE", 20)
        figures = run_demo(out, steps=1, console=Console(file=said, width=160, highlight=False))
    return Shown(figures, said.getvalue(), out)


def test_everything_is_written_and_nothing_else(shown: Shown) -> None:
    assert {path.name for path in shown.out.iterdir()} == WRITTEN
    assert [path.name for path in shown.out.parent.iterdir()] == ["out"]  # no draft is left
    assert json.loads((shown.out / "demo.json").read_text(encoding="utf-8")) == shown.figures
    assert ".mirrorkit" not in json.dumps(shown.figures)  # the draft's name is nobody's business
    assert shown.figures["training"]["steps"] == 1


def test_the_figures_are_those_of_the_saved_model(shown: Shown) -> None:
    encoders = {"before": SentenceEncoder.load("tiny"), "after": SentenceEncoder.load(shown.out / "model")}
    for name, encoder in encoders.items():
        figures = shown.figures[name]
        graded = evaluate_sts(encoder, GRADED.parent, ["graded"]).tasks["graded"]
        found = evaluate_search(encoder, shown.out / "held-out.jsonl")
        assert figures["graded"]["spearman"] == pytest.approx(graded.spearman, abs=0.05)
        for measure in ("mrr_at_10", "recall_at_1", "recall_at_10"):
            assert figures["search"][measure]["value"] == pytest.approx(getattr(found, measure).value, abs=0.5)
        assert list(figures["search"]["shown"]) == list(QUERIES)
        assert {len(hits) for hits in figures["search"]["shown"].values()} == {SHOWN}
    stages = [stage.__name__ for stage in run.STAGES]
    assert list(shown.figures["seconds"]) == [*stages, "total"]


def test_the_narrative_has_every_stage_and_figure(shown: Shown) -> None:
    text = " ".join(shown.text.split())
    for number in range(1, len(run.STAGES) + 1):
        assert f"{number} of {len(run.STAGES)} · " in text
    assert "See [/bold] and [red]." in text
    for figures in (shown.figures["before"], shown.figures["after"]):
        assert f"{figures['graded']['spearman']:.1f}" in text
        assert f"{figures['search']['mrr_at_10']['value']:.1f}" in text
    for expected in (*QUERIES, "demo.html", "ranks.png", *next_commands(), f"cd {shown.out}"):
        assert expected in text
    for variant in shown.figures["export"]["variants"]:
        assert variant in text


def test_the_page_stands_alone_and_shows_the_same(shown: Shown) -> None:
    page = (shown.out / "demo.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "prefers-color-scheme: dark" in page
    assert "<script" not in page
    assert "://" not in page
    for expected in (*QUERIES, f"{shown.figures['after']['search']['mrr_at_10']['value']:.1f}", "int8"):
        assert expected in page


def found(ranks: list[int]) -> Search:
    first = Interval(10.0, 5.0, 15.0)
    hits = {"[q]": [Hit("a.b._c.d", 0.5, right=True)]}
    mrr = Interval(float(100 * np.mean([1 / r if r <= 10 else 0 for r in ranks])), 0.0, 100.0)
    return Search(np.array(ranks), mrr, first, first, hits, 1.0)


def snapshot(ranks: list[int], spearman: float) -> Snapshot:
    return Snapshot(found(ranks), Score(spearman, spearman, 240))


def test_the_verdict_follows_the_figures() -> None:
    worse, better = snapshot([4, 9, 60, 2], 70.0), snapshot([1, 2, 3, 2], 72.0)
    rose, agreed = verdict(worse, better)
    assert rose.startswith("Search rose by")
    assert agreed.endswith("rose by 2.0 points.")
    fell, less = verdict(better, worse)
    assert fell.startswith("[red]Search did not rise (-")
    assert "[red]Agreement with people on the graded pairs did not rise (-2.0 points)" in less
    undefined = dataclasses.replace(worse, graded=Score(math.nan, math.nan, 240))
    assert "did not rise" in verdict(worse, undefined)[1]
    said = io.StringIO()
    Console(file=said, force_terminal=True, color_system="standard").print(score_table(better, worse))
    assert "\x1b[31m-2.0" in said.getvalue()


@pytest.mark.parametrize("dark", [False, True])
def test_the_picture_is_a_picture(tmp_path: Path, dark: bool) -> None:
    draw(tmp_path / "ranks.png", found([1, 2, 80]), found([1, 1, 2]), dark=dark)
    pixels = image.imread(tmp_path / "ranks.png")
    assert pixels.shape[0] > 500
    assert pixels.shape[1] > 1000
    assert (pixels[0, 0, :3].mean() < 0.5) == dark
    assert len(np.unique((pixels[..., :3] * 255).astype(int).reshape(-1, 3), axis=0)) > 20


def test_ranks_are_counted_in_bins_that_leave_none_out() -> None:
    ranks = list(range(1, 121))
    assert sum(found(ranks).bins()) == len(ranks)
    assert found([1, 3, 10, 50, 51]).bins() == [1, 1, 1, 1, 1]
    assert len(BINS) == 5


class Words:
    """An encoder whose vectors can be told beforehand: one axis for each first letter."""

    def encode(self, texts: Any, /) -> Any:
        return np.array([[text[0].lower() == letter for letter in "abc"] for text in texts], dtype=np.float32)


def test_ranks_are_those_of_the_own_text() -> None:
    documents = [Document(f"id.{t[0]}", title, t, "s") for title, t in (("a", "a x"), ("b", "c x"), ("c", "b x"))]
    measured = search(Words(), documents, ["a"])
    by_id = dict(zip(sorted((d.id for d in documents), reverse=True), measured.ranks, strict=True))
    assert by_id["id.a"] == 1
    assert min(by_id["id.b"], by_id["id.c"]) > 1
    assert measured.shown["a"][0] == Hit("id.a", 1.0, right=True)


@pytest.mark.parametrize(
    ("dotted", "name"),
    [
        ("numpy._core.fromnumeric.sort", "numpy.sort"),
        ("cmd", "cmd"),
        ("cmd.Cmd", "cmd.Cmd"),
        ("concurrent.futures._base.Future.result", "concurrent.Future.result"),
        ("_a", "_a"),
    ],
)
def test_a_long_name_is_shown_short(dotted: str, name: str) -> None:
    assert Hit(dotted, 1.0, right=False).name == name


def test_the_queries_are_titles_that_are_held_out() -> None:
    assert set(QUERIES) <= {document.title for document in read_documents(HELD_OUT)}


def test_sentences_of_the_documents_are_distinct_and_evenly_drawn() -> None:
    every, some = document_sentences(), document_sentences(100)
    assert len(set(every)) == len(every) > 5000
    assert len(some) == 100
    assert some == [sentence for sentence in every if sentence in set(some)]


def test_only_a_former_demo_is_replaced(shown: Shown, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="`overwrite=True`"):
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
        run_demo(shown.out, overwrite=True)
    assert json.loads((shown.out / "demo.json").read_text(encoding="utf-8")) == shown.figures
    assert [path.name for path in shown.out.parent.iterdir()] == ["out"]


def test_a_full_disk_is_told_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1_000_000}))
    refused = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "out")])
    assert (refused.exit_code, refused.stdout, len(refused.stderr.splitlines())) == (2, "", 1)
    assert "MB free" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_installed_is_named_with_the_extra_of_the_demo(tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from mirrorkit.cli.app import app; app(['demo'])"
    refused = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "mirrorkit: torch is not installed; run: pip install 'mirrorkit[demo]'\n"
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """Run the command as a newcomer does, on the shipped model, in a narrow terminal without a locale.

    MIRRORKIT_DEMO names what such a run, just before, has left.
    """
    if "MIRRORKIT_DEMO" in os.environ:
        return Path(os.environ["MIRRORKIT_DEMO"])
    environment = {**os.environ, "LC_ALL": "C", "COLUMNS": "40"}
    command = [sys.executable, "-m", "mirrorkit", "demo", "--out", "out"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return tmp_path / "out"


@pytest.mark.slow
def test_the_whole_command_does_what_it_says(whole: Path) -> None:
    figures = json.loads((whole / "demo.json").read_text(encoding="utf-8"))
    assert {path.name for path in whole.iterdir()} == WRITTEN
    before, after = figures["before"], figures["after"]
    assert after["search"]["mrr_at_10"]["value"] > before["search"]["mrr_at_10"]["value"] + 10
    assert after["graded"]["spearman"] > before["graded"]["spearman"] + 1
    for variant in figures["export"]["variants"].values():
        assert variant["published"]
        assert variant["problems"] == []
    training, *others = next_commands()
    for line in (f"{training} --steps 1", *others):
        ran = subprocess.run(["bash", "-c", line], cwd=whole, capture_output=True, check=False)
        assert ran.returncode == 0, ran.stderr.decode()
