"""Fine-tune the shipped model on a few sentences: what comes out, what is measured, what is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import shutil
import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch

from mirrorkit import FinetuneResult, SentenceEncoder, evaluate_sts, finetune
from mirrorkit.assets.paths import GRADED
from mirrorkit.evaluation.sts import SEVEN
from mirrorkit.formats.plain import plain
from mirrorkit.formats.pooling import Pooling
from mirrorkit.formats.training_record import read_training
from mirrorkit.model.hub import SHIPPED
from mirrorkit.training.recipe import Recipe
from mirrorkit.training.recipes import auto_recipe, choose
from tests.told import Told

ROWS = [line.split("\t") for line in GRADED.read_text(encoding="utf-8").splitlines()]
SENTENCES = list(dict.fromkeys(row[1] for row in ROWS))[:96]
SETTINGS: dict[str, Any] = {"epochs": 1, "batch_size": 32, "device": "cpu", "autocast": "fp32"}


def make_sts(folder: Path) -> Path:
    folder.mkdir()
    for i, task in enumerate(SEVEN):
        rows = ROWS[i * 30 : i * 30 + 30]
        (folder / f"{task}.tsv").write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    return folder


@dataclass
class Trained:
    result: FinetuneResult
    out: Path
    corpus: Path
    sts: Path
    where: Path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Train twice with seeds 7 and 8 from a local folder, so that a path could leak, and score."""
    where = tmp_path_factory.mktemp("somebody")
    base = where / "my-base"
    shutil.copytree(SHIPPED["tiny"], base)
    corpus = where / "notes.txt"
    corpus.write_text("\n".join([*SENTENCES, "", SENTENCES[0]]) + "\n", encoding="utf-8")
    sts = make_sts(where / "sts")
    result = finetune(base, corpus, where / "encoder", seed=7, seeds=2, eval_dir=sts, **SETTINGS)
    return Trained(result, where / "encoder", corpus, sts, where)


def weights(encoder: SentenceEncoder) -> dict[str, torch.Tensor]:
    return dict(encoder.state_dict())


def same(left: SentenceEncoder, right: SentenceEncoder) -> bool:
    return all(torch.equal(tensor, weights(right)[name]) for name, tensor in weights(left).items())


def test_the_same_seed_gives_the_same_bits_and_another_does_not(trained: Trained) -> None:
    torch.manual_seed(12345)  # the caller's generator has no say
    again = finetune("tiny", trained.corpus, seed=7, **SETTINGS)
    assert same(again.encoder, trained.result.encoder)
    assert again.stats.loss == trained.result.stats.loss
    other = finetune("tiny", trained.corpus, seed=8, **SETTINGS)
    assert not same(other.encoder, trained.result.encoder)
    assert other.stats.loss == trained.result.runs[1].stats.loss  # the second of the two seeds above


def test_the_callers_random_numbers_are_left_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    finetune("tiny", SENTENCES[:8], **SETTINGS)
    assert torch.equal(torch.rand(3), expected)


def test_what_is_saved_is_what_was_trained(trained: Trained) -> None:
    loaded = SentenceEncoder.load(trained.out)
    assert same(loaded, trained.result.encoder)
    assert loaded.pooling == trained.result.recipe.pooling
    assert not same(loaded, SentenceEncoder.load("tiny"))
    assert not list(trained.where.glob(".*"))


def test_scores_before_and_after_are_those_of_base_and_result(trained: Trained) -> None:
    result = trained.result
    assert result.before == evaluate_sts(SentenceEncoder.load("tiny", pooling=result.recipe.pooling), trained.sts)
    assert result.after == evaluate_sts(SentenceEncoder.load(trained.out), trained.sts)
    assert result.before != result.after


def test_several_seeds_report_mean_and_spread(trained: Trained) -> None:
    result = trained.result
    averages = [run.after.average for run in result.runs if run.after]
    assert [run.seed for run in result.runs] == [7, 8]
    assert averages[0] != averages[1]
    figures = result.as_dict()
    assert figures["mean"] == pytest.approx(statistics.fmean(averages))
    assert figures["spread"] == pytest.approx(statistics.stdev(averages))
    assert figures["runs"] == [
        {"seed": run.seed, "loss": run.stats.loss, "average": average}
        for run, average in zip(result.runs, averages, strict=True)
    ]


def test_the_json_has_what_is_promised(trained: Trained) -> None:
    figures = json.loads(json.dumps(trained.result.as_dict(), allow_nan=False))
    promised = {"out", "recipe", "pairs", "steps", "seconds", "pairs_per_second", "peak_memory_bytes"}
    assert promised | {"before", "after"} <= set(figures)
    assert {"load", "tokenise", "train", "save", "total"} <= set(figures["seconds"])
    assert (figures["out"], figures["recipe"]) == (str(trained.out), "auto")
    assert (figures["pairs"], figures["steps"]) == (96, 3)
    assert figures["pairs_per_second"] == pytest.approx(96 / trained.result.stats.train_seconds)
    assert figures["peak_memory_bytes"] > 6_000_000
    parts = [figures["seconds"][phase] for phase in ("load", "tokenise", "train", "evaluate", "save")]
    assert all(part > 0 for part in parts)
    assert sum(parts) <= figures["seconds"]["total"]
    for when in ("before", "after"):
        assert set(figures[when]["tasks"]) == set(SEVEN)
        assert set(figures[when]["tasks"]["sts12"]) == {"spearman", "pearson", "pairs"}
        assert figures[when]["average"] == pytest.approx(
            statistics.fmean(task["spearman"] for task in figures[when]["tasks"].values())
        )


def test_the_card_tells_what_was_done(trained: Trained) -> None:
    card = (trained.out / "README.md").read_text(encoding="utf-8")
    result = trained.result
    assert result.before is not None
    assert result.after is not None
    rows = {cells[1]: cells[2:-1] for line in card.splitlines() if (cells := [c.strip() for c in line.split("|")])[1:]}
    assert rows["base"] == ["my-base"]
    assert rows["recipe"] == ["auto"]
    assert rows["seed"] == ["7"]
    assert rows["corpus"] == [f"notes.txt, {trained.corpus.stat().st_size:,} bytes, 96 strings used"]
    assert len(rows["corpus sha256"][0]) == 64
    assert rows["training"][0].startswith("3 steps, 96 pairs, ")
    for package in ("mirrorkit", "torch", "transformers", "python"):
        assert f"{package} " in rows["versions"][0]
    for task in SEVEN:
        assert rows[task] == [f"{report.tasks[task].spearman:.2f}" for report in (result.before, result.after)]
    assert rows["**average**"] == [f"{result.before.average:.2f}", f"**{result.after.average:.2f}**"]
    assert f"{statistics.fmean(result.averages):.2f} ± {statistics.stdev(result.averages):.2f}" in card
    for library in ("mirrorkit", "sentence_transformers"):
        assert f"from {library} import" in card


def test_the_record_beside_the_card_is_the_whole_run_as_data(trained: Trained) -> None:
    result, record = trained.result, read_training(trained.out)
    assert record is not None
    assert replace(record, seconds=result.seconds) == result.record()
    assert (record.base, record.recipe, record.seeds, record.verdict) == ("my-base", "auto", (7, 8), None)
    assert record.hyper_parameters == plain(result.recipe)
    (corpus,) = record.corpora
    assert (corpus.name, corpus.bytes) == ("notes.txt", trained.corpus.stat().st_size)
    assert (corpus.rows, corpus.blank, corpus.repeats, corpus.strings, corpus.pairs) == (98, 1, 1, 96, False)
    assert corpus.sha256 == hashlib.sha256(trained.corpus.read_bytes()).hexdigest()
    assert (record.steps, record.pairs, record.device, record.precision) == (3, 96, "cpu", "fp32")
    assert result.after is not None
    assert record.after is not None
    assert record.after.average == result.after.average
    assert record.after.tasks == {task: score.spearman for task, score in result.after.tasks.items()}
    card = (trained.out / "README.md").read_text(encoding="utf-8")
    for label, value in record.rows().items():
        assert f"| {label} | {value} |" in card


def test_a_recipe_of_ones_own_and_changes_to_it() -> None:
    own = Recipe(batch_size=16, max_length=20, pooling="max")  # type: ignore[arg-type]  # a name will do
    result = finetune("tiny", SENTENCES[:32], recipe=own, decay=True, warmup=0.5, device="cpu", autocast="fp32")
    assert result.recipe == dataclasses.replace(own, decay=True, warmup=0.5)
    assert (result.recipe_name, result.recipe.pooling, result.stats.steps) == ("own", Pooling.MAX, 2)


def test_the_card_names_the_file_by_its_hash(trained: Trained) -> None:
    digest = hashlib.sha256(trained.corpus.read_bytes()).hexdigest()
    assert digest in (trained.out / "README.md").read_text(encoding="utf-8")
    assert trained.result.as_dict()["corpus"]["sha256"] == digest  # type: ignore[index]


def test_no_saved_file_tells_where_it_was_made(trained: Trained) -> None:
    files = [file for file in trained.out.rglob("*") if file.is_file()]
    assert {"README.md", "model.safetensors", "tokenizer_config.json"} <= {file.name for file in files}
    for file in files:
        content = file.read_bytes()
        assert str(trained.where).encode() not in content, file.name
        assert str(Path.home()).encode() not in content, file.name


def test_blank_and_repeated_rows_are_counted(trained: Trained) -> None:
    corpus = trained.result.corpus
    assert (corpus.rows, corpus.blank, corpus.repeats, len(corpus)) == (98, 1, 1, 96)


def test_repeats_are_no_negatives() -> None:
    """With no noise each string's copies are at cosine 1: as negatives they would cost log 39 at the least."""
    quiet = {"dropout": 0.0, "span_mask": 0, "learning_rate": 1e-9, "keep_repeats": True, "allow_equal_views": True}
    two = ["A man is playing a guitar.", "The stock market fell sharply on Monday."] * 20
    result = finetune("tiny", two, **SETTINGS | quiet | {"batch_size": 40})
    assert (result.stats.pairs, result.corpus.repeats) == (40, 0)
    assert result.stats.loss < 1


def test_pairs_train_on_the_partner(tmp_path: Path) -> None:
    quiet = {"dropout": 0.0, "span_mask": 0, "learning_rate": 1e-9, "allow_equal_views": True}
    file = tmp_path / "pairs.txt"
    file.write_text("".join(f"{a} || {b}\n" for _, a, b in ROWS[:64]), encoding="utf-8")
    pairs = finetune("tiny", file, pairs=True, **SETTINGS | quiet)
    itself = finetune("tiny", [row[1] for row in ROWS[:64]], **SETTINGS | quiet)
    assert (pairs.stats.pairs, pairs.stats.steps) == (64, 2)
    assert pairs.corpus.partners == [row[2] for row in ROWS[:64]]
    assert pairs.stats.loss > itself.stats.loss + 0.5  # another sentence is farther away than oneself


def test_a_small_corpus_shrinks_the_batch_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="mirrorkit"):
        result = finetune("tiny", SENTENCES[:5], device="cpu", epochs=1)
    assert [record.getMessage() for record in caplog.records] == [
        f"5 strings, fewer than one batch of {result.recipe.batch_size}: the batch shrinks"
    ]
    assert (result.stats.steps, result.stats.pairs) == (1, 5)
    assert not same(result.encoder, SentenceEncoder.load("tiny"))


def test_words_get_the_word_recipe() -> None:
    words = sorted({word.strip(".,?!").lower() for sentence in SENTENCES for word in sentence.split()})[:60]
    for texts in (words, SENTENCES):
        result = finetune("tiny", texts, device="cpu", batch_size=32, autocast="fp32")
        steps = 0 if texts is words else round(2000 / 32)  # sentences: of 2,000 pairs, whatever the corpus has
        assert result.recipe == choose("auto", width=256, texts=texts, changes={"batch_size": 32})
        assert (result.recipe.steps, result.recipe.shuffle) == (steps, 0.0 if texts is words else 0.5)
        assert result.stats.steps == (steps or result.recipe.epochs * round(len(texts) / 32))
    assert auto_recipe(256, None, words=True) != auto_recipe(256, None, words=False)


def test_without_out_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = finetune("tiny", SENTENCES[:8], **SETTINGS)
    assert (result.out, result.as_dict()["out"]) == (None, None)
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told(tmp_path: Path) -> None:
    told = Told()
    finetune("tiny", SENTENCES, tmp_path / "out", progress=told, eval_dir=make_sts(tmp_path / "sts"), **SETTINGS)
    assert told.phases == [
        "reading the corpus",
        "holding strings out",
        "loading the model",
        "scoring before",
        "training",
        "scoring after",
        "saving",
    ]
    assert all(total is not None and 0 < done <= total for done, total, _ in told.steps)
    trained = [step for step in told.steps if "loss" in step[2]]
    assert trained[-1][:2] == (3, 3)
    assert "pairs/s" in trained[-1][2]
