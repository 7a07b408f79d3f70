"""Run the training benchmark on a handful of strings, and hold the official procedure in it to what it stands for."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("benchmarks", reason="benchmarks/ is not in sys.path: run python -m pytest from the checkout")
import torch

from benchmarks import processes, record
from benchmarks import train as bench
from benchmarks.training import official, report
from benchmarks.training import runs as train_runs
from benchmarks.training.worker import PRECISIONS, Job, measure
from mirrorkit.assets.paths import GRADED
from mirrorkit.errors import ConfigError, OutputError
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.training.loss import nt_xent

ROWS = [line.split("\t")[1] for line in GRADED.read_text(encoding="utf-8").splitlines()]
SENTENCES = list(dict.fromkeys(ROWS))[:24]
SETTINGS = official.Settings(batch_size=8)
EMPTY = "# Figures\n\n<!-- train:begin -->\n<!-- train:end -->\n\nafter\n"


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any]:
    encoder, tokenizer = official.load("tiny", SETTINGS, "cpu")
    return encoder.eval(), tokenizer


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    file = tmp_path / "corpus.txt"
    file.write_text("\n".join([*SENTENCES, SENTENCES[0]]) + "\n", encoding="utf-8")
    return file


def make_job(tmp_path: Path, variant: str) -> Job:
    sample = tmp_path / "sample.txt"
    sample.write_text("\n".join(SENTENCES), encoding="utf-8")
    threads = torch.get_num_threads()  # the other tests' setting stays
    return Job(variant, "tiny", str(sample), 2, 1, 8, 50, "mean", "cpu", threads, 42, 0)


def plain_nt_xent(first: list[list[float]], second: list[list[float]], temperature: float) -> float:
    """Row by row, from the definition."""
    rows, total = [*first, *second], 0.0

    def cosine(i: int, j: int) -> float:
        dot = sum(a * b for a, b in zip(rows[i], rows[j], strict=True))
        return dot / math.hypot(*rows[i]) / math.hypot(*rows[j])

    for i in range(len(rows)):
        partner = (i + len(first)) % len(rows)
        others = [math.exp(cosine(i, j) / temperature) for j in range(len(rows)) if j != i]
        total -= math.log(math.exp(cosine(i, partner) / temperature) / sum(others))
    return total / len(rows)


def test_the_official_loss_is_nt_xent() -> None:
    generator = torch.Generator().manual_seed(3)
    first, second = torch.randn(2, 5, 16, generator=generator, dtype=torch.float64)
    loss = official.contrastive_loss(first, second, 0.2)
    assert float(loss) == pytest.approx(plain_nt_xent(first.tolist(), second.tolist(), 0.2), rel=1e-12)


def test_both_sides_of_the_race_minimise_the_same_loss() -> None:
    first, second = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(4))
    ours = nt_xent(torch.nn.functional.normalize(torch.cat([first, second]), dim=-1), 0.04)
    assert float(official.contrastive_loss(first, second, 0.04)) == pytest.approx(float(ours), rel=1e-5)


def test_the_official_loss_of_a_batch_of_text(loaded: tuple[Any, Any]) -> None:
    encoder, tokenizer = loaded
    first, second = next(iter(official.batches(SENTENCES, tokenizer, SETTINGS)))
    with torch.no_grad():
        left, right = (official.embed(encoder, view, "mean") for view in (first, second))
        hidden = [encoder(**view).last_hidden_state.double() for view in (first, second)]
    padded_means = [(h.sum(dim=1) / SETTINGS.max_length).tolist() for h in hidden]
    expected = plain_nt_xent(padded_means[0], padded_means[1], SETTINGS.temperature)
    assert float(official.contrastive_loss(left, right, SETTINGS.temperature)) == pytest.approx(expected, rel=1e-4)


def test_every_string_is_padded_and_the_pooler_is_on(loaded: tuple[Any, Any]) -> None:
    encoder, tokenizer = loaded
    seen = list(official.batches(SENTENCES[:20], tokenizer, SETTINGS))
    assert len(seen) == 2  # what does not fill a batch is dropped
    for first, second in seen:
        assert first["input_ids"].shape == second["input_ids"].shape == (8, 50)
        assert (first["attention_mask"].sum(dim=1) < 50).all()
        assert not torch.equal(first["input_ids"], second["input_ids"])  # one side is masked
        assert tokenizer.mask_token_id in second["input_ids"]
        assert tokenizer.mask_token_id not in first["input_ids"]
    with torch.no_grad():
        assert encoder(**first).pooler_output.shape == (8, encoder.config.hidden_size)


def test_the_official_vectors_are_those_of_the_padded_mean(loaded: tuple[Any, Any]) -> None:
    encoder, tokenizer = loaded
    reference = SentenceEncoder.load("tiny", pooling="mean-padded", max_length=50).encode(SENTENCES[:8])
    view = tokenizer(SENTENCES[:8], max_length=50, padding="max_length", truncation=True, return_tensors="pt")
    with torch.no_grad():
        vectors = torch.nn.functional.normalize(official.embed(encoder, dict(view), "mean"), dim=-1)
    assert torch.allclose(vectors, torch.from_numpy(reference), atol=1e-5)


class Fixed(random.Random):
    def randrange(self, *_: Any) -> int:
        return 7


def test_the_mask_hides_the_first_occurrence_of_the_span() -> None:
    text = "abcde" * 8
    assert official.mask_span(text, 5, Fixed()) == f"ab [MASK] {text[7:]}"
    assert official.mask_span(text, 0, Fixed()) == text
    assert official.mask_span(text[:29], 5, Fixed()) == text[:29]


def test_the_official_training_trains_and_repeats_itself() -> None:
    losses = []
    for _ in range(2):
        encoder, tokenizer = official.load("tiny", SETTINGS, "cpu")
        before = encoder.encoder.layer[0].output.dense.weight.detach().clone()
        stats = official.train(encoder, tokenizer, SENTENCES[:20], SETTINGS)
        assert not torch.equal(before, encoder.encoder.layer[0].output.dense.weight)
        assert (stats.steps, stats.pairs) == (2, 16)
        assert min(stats.tokenise_seconds, stats.train_seconds) > 0
        losses.append(stats.loss)
    assert losses[0] == losses[1]
    with pytest.raises(ConfigError, match=r"7 strings: .* one batch of 8"):
        official.train(encoder, tokenizer, SENTENCES[:7], SETTINGS)


@pytest.mark.parametrize("variant", PRECISIONS)
def test_a_worker_times_the_steps_after_the_warm_up(variant: str, tmp_path: Path) -> None:
    figures = json.loads(json.dumps(measure(make_job(tmp_path, variant)), allow_nan=False))
    assert (figures["variant"], figures["steps"], figures["pairs"]) == (variant, 2, 16)
    seconds = figures["tokenise_seconds"] + figures["train_seconds"]
    assert figures["pairs_per_second"] == pytest.approx(16 / seconds)
    assert figures["precision"] in ({"fp32", "bf16"} if variant == "ours" else {"fp32"})
    assert figures["peak_memory_bytes"] > 6_000_000


def test_every_variant_runs_each_round_and_the_order_rotates() -> None:
    order: list[str] = []

    def fake(variant: str) -> dict[str, Any]:
        order.append(variant)
        return {"pairs_per_second": len(order), "command_seconds": 1.0}

    runs = processes.race(["a", "b", "c"], 3, fake, bench.tell)
    assert order == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
    assert [run["pairs_per_second"] for run in runs["a"]] == [1, 6, 8]


def test_ratios_are_those_within_a_round() -> None:
    memory = {"peak_memory_bytes": 5, "peak_device_memory_bytes": None}
    speeds = {"official": [10.0, 20.0, 10.0], "ours": [50.0, 60.0, 40.0]}
    runs = {v: [{"pairs_per_second": s, "command_seconds": 1 / s, **memory} for s in speeds[v]] for v in speeds}
    for figure in ("pairs_per_second", "command_seconds"):
        ours = report.summarise(runs, figure)["ours"]
        assert [ours[key] for key in ("ratio_low", "ratio", "ratio_high")] == pytest.approx([3, 4, 5])
        assert ours["peak_memory_bytes"] == 5
        assert "peak_device_memory_bytes" not in ours
    summary = report.summarise(runs, "pairs_per_second")
    assert (summary["official"]["median"], summary["official"]["best"]) == (10, 20)
    assert "ratio" not in summary["official"]
    assert report.summarise(runs, "command_seconds")["ours"]["best"] == pytest.approx(1 / 60)


def test_ratios_to_another_trainer_stand_beside_those_to_the_official_procedure() -> None:
    speeds = {"official": [10, 20], "sentence-transformers-bf16": [20, 50], "ours": [80, 100]}
    runs = {
        v: [{"pairs_per_second": s, "peak_memory_bytes": 5, "peak_device_memory_bytes": None} for s in speeds[v]]
        for v in speeds
    }
    summary = report.summarise(runs, "pairs_per_second")
    assert [summary["ours"][key] for key in ("ratio_peer_low", "ratio_peer", "ratio_peer_high")] == [2, 3, 4]
    assert "ratio_peer" not in summary["sentence-transformers-bf16"]
    assert summary["sentence-transformers-bf16"]["ratio"] == pytest.approx(2.25)


def test_another_trainer_that_is_not_set_up_is_left_out_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "PEER_PYTHON", Path("/nowhere/python"))
    asked = bench.build_parser().parse_args([])
    assert bench.check(asked) == list(PRECISIONS)
    asked = bench.build_parser().parse_args(["--variants", "ours,sentence-transformers-bf16"])
    with pytest.raises(ConfigError, match="setup trainer"):
        bench.check(asked)


def test_only_what_is_between_the_markers_changes(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(EMPTY, encoding="utf-8")
    for content in ("first", "second"):
        record.update_section(readme, "train", content)
        assert readme.read_text(encoding="utf-8") == EMPTY.replace("begin -->\n", f"begin -->\n{content}\n")
    with pytest.raises(OutputError, match="<!-- other:begin -->"):
        record.update_section(readme, "other", "x")
    assert list(tmp_path.iterdir()) == [readme]


def test_the_tables_in_the_readme_are_those_of_the_results() -> None:
    text = record.README.read_text(encoding="utf-8")
    section = text.partition("<!-- train:begin -->\n")[2].partition("\n<!-- train:end -->")[0]
    assert section == report.training_section(report.read_records(record.RESULTS))


def test_what_is_not_there_is_replaced_aloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train_runs, "DEFAULT_BASE", tmp_path / "no-model")
    monkeypatch.setattr(train_runs, "DEFAULT_CORPUS", tmp_path / "no-corpus.txt")
    monkeypatch.setattr(train_runs, "document_sentences", lambda: SENTENCES)
    assert Path(train_runs.find_base(None)).name == "tiny-mlm"
    assert train_runs.find_corpus(None, tmp_path).read_text(encoding="utf-8").splitlines() == SENTENCES
    said = capsys.readouterr().err
    assert "no-model is not there" in said
    assert "no-corpus.txt is not there" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--variants", "official,theirs"], "variant 'theirs'"),
        (["--variants", "ours,sentence-transformers-fp32", "--whole-run"], "variant 'sentence-transformers-fp32'"),
        (["--rounds", "0"], "rounds 0: must be at least 1"),
        (["--base", "/nowhere/at/all"], "/nowhere/at/all: no such folder"),
        (["--corpus", "/nowhere.txt"], "/nowhere.txt"),
        (["--steps", "4", "--batch-size", "8"], "24 distinct strings, but 2 + 4 steps of 8 need 48"),
        pytest.param(
            ["--device", "cuda", "--random", "bert-base"],
            "device cuda: torch",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here"),
        ),
    ],
)
def test_what_cannot_be_measured_is_one_line_and_exit_code_2(
    options: list[str],
    said: str,
    corpus: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = corpus.parent
    monkeypatch.setattr(bench, "PEER_PYTHON", Path("/nowhere/python"))  # as on a fresh machine
    where = ["--results", str(folder / "results"), "--readme", str(folder / "README.md")]
    assert bench.main(["--base", "tiny", "--corpus", str(corpus), *where, *options]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err
    assert list(folder.iterdir()) == [corpus]


def test_a_process_that_fails_is_named_with_its_last_words() -> None:
    with pytest.raises(processes.ProcessError, match=r"ours: exit code 1: ValueError: too small"):
        train_runs.run_process(["-c", "raise ValueError('too small')"], "ours", 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [["--steps", "2", "--warmup-steps", "1"], ["--whole-run"], ["--random", "bert-tiny"]],
    ids=["steps", "whole-run", "random"],
)
def test_the_benchmark_in_fresh_processes(
    options: list[str], corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readme, results = tmp_path / "README.md", tmp_path / "results"
    readme.write_text(EMPTY, encoding="utf-8")
    small = ["--rounds", "1", "--batch-size", "8", "--threads", "1", "--variants", ",".join(PRECISIONS)]
    where = ["--base", "tiny", "--corpus", str(corpus), "--results", str(results), "--readme", str(readme)]
    assert bench.main([*where, *small, *options]) == 0, capsys.readouterr().err
    (file,) = results.iterdir()
    record = json.loads(file.read_text(encoding="utf-8"))
    assert str(tmp_path) not in file.read_text(encoding="utf-8")
    assert record["base"] == ("random bert-tiny" if "--random" in options else "tiny-mlm")
    assert (record["threads"], record["rounds"], record["corpus"]["strings"]) == (1, 1, 24)
    assert {"torch", "transformers", "mirrorkit"} <= set(record["versions"])
    assert record["hardware"]["cpu"]
    assert list(record["runs"]) == list(record["summary"]) == list(PRECISIONS)
    steps = 2 if "--steps" in options else 3
    for variant, (run,) in record["runs"].items():
        assert (run["steps"], run["pairs"]) == (steps, steps * 8)
        assert run["command_seconds"] > run.get("seconds", {"total": run.get("train_seconds")})["total"] > 0
        assert ("ratio" in record["summary"][variant]) == (variant != "official")
        assert f"| {variant} | {run['precision']} |" in readme.read_text(encoding="utf-8")
    assert report.training_section([record]) in readme.read_text(encoding="utf-8")
