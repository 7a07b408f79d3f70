"""Hold the reproduction to the published recipe, its verdicts to their rule, and a run to its record."""

from __future__ import annotations

import json
import random
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("benchmarks", reason="benchmarks/ is not in sys.path: run python -m pytest from the checkout")
import torch

from benchmarks.reproduce import __main__ as command
from benchmarks.reproduce import worker
from benchmarks.reproduce.arms import AUTO, BASE, CORRECTED, OFFICIAL, OURS, Training, arms_of, make, read_lines
from benchmarks.reproduce.faults import NAMES, NONE, Faults, cleaned, embed, mask_with, without
from benchmarks.reproduce.match import FEWEST, is_match, obstacles, verdict
from benchmarks.reproduce.models import ENGLISH, MODELS, PAIRS, STS_AVERAGE, find_model
from benchmarks.reproduce.sets import Given, read, score
from benchmarks.reproduce.table import page
from benchmarks.training import official
from mirrorkit.assets.paths import GRADED
from mirrorkit.errors import ConfigError, CorpusError
from tests.evaluation.fakes import Drawn

ROWS = [line.split("\t") for line in GRADED.read_text(encoding="utf-8").splitlines()]
LINES = [row[1] for row in ROWS[:20]]
BERT = MODELS["sentence-bert"]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    file = tmp_path / "corpus.txt"
    file.write_text("\n".join([*LINES, "", LINES[0]]) + "\n", encoding="utf-8")
    return file


@pytest.fixture
def sts(tmp_path: Path) -> Path:
    home = tmp_path / "sts"
    home.mkdir()
    for name in PAIRS:
        rows = random.Random(name).sample(ROWS, 12)
        (home / f"{name}.tsv").write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    return home


def test_the_settings_are_those_of_the_published_scripts() -> None:
    # mirror_scripts/*.sh of cambridgeltl/mirror-bert: epoch, max_length, infoNCE_tau, dropout_rate, drophead_rate,
    # random_span_mask, agg_mode; batch 200, rate 2e-5 and train.py's weight decay everywhere.
    scripts = {
        "sentence-bert": (1, 50, 0.04, 0.1, 0.0, 5, "mean"),
        "sentence-bert-drophead": (1, 50, 0.04, 0.0, 0.2, 5, "mean"),
        "sentence-roberta": (1, 50, 0.04, 0.1, 0.0, 5, "cls"),
        "sentence-roberta-drophead": (1, 50, 0.04, 0.0, 0.05, 5, "cls"),
        "word-bert": (2, 25, 0.2, 0.1, 0.0, 0, "cls"),
    }
    assert list(MODELS) == list(scripts)
    for name, model in MODELS.items():
        used = model.settings(seed=7, batch_size=200)
        found = (used.epochs, used.max_length, used.temperature, used.dropout, model.recipe.drophead)
        assert (*found, used.span_mask, used.pooling) == scripts[name]
        assert (used.batch_size, used.learning_rate, used.weight_decay, used.seed) == (200, 2e-5, 0.01, 7)


def test_what_was_published_is_one_figure_a_model() -> None:
    figures = {name: dict(model.published) for name, model in MODELS.items()}
    sentences = {name: {STS_AVERAGE: value} for name, value in zip(MODELS, (74.51, 75.16, 75.08, 76.67), strict=False)}
    assert figures == {**sentences, "word-bert": {ENGLISH: 55.60}}


@pytest.mark.parametrize("text", ["short", "x" * 29, "abcde" * 8, "A man plays a violin in an old orchestra."])
def test_with_every_fault_the_second_view_is_the_published_one(text: str) -> None:
    mask = mask_with(Faults(), "<mask>")
    for seed in range(20):
        published = official.mask_span(text, 5, random.Random(seed))
        assert mask(text, 5, random.Random(seed)) == published


def test_each_fault_of_the_mask_can_be_left_out() -> None:
    class Fixed(random.Random):
        def randrange(self, *_: Any) -> int:
            return 7

    repeated = "abcde" * 8
    assert mask_with(without("first_occurrence"), "<mask>")(repeated, 5, Fixed()) == "abcdeab [MASK] " + repeated[12:]
    assert mask_with(without("literal_mask"), "<mask>")(repeated, 5, Fixed()) == "ab <mask> " + repeated[7:]
    assert mask_with(without("short_unmasked"), "<mask>")("abcdefghijklmnop", 5, Fixed()) == "abcdefg [MASK] mnop"
    assert mask_with(NONE, "<mask>")("abcde", 5, Fixed()) == "abcde"  # nothing would be left of it
    assert mask_with(NONE, "<mask>")(repeated, 0, Fixed()) == repeated


def test_repeats_and_blank_lines_stay_or_go() -> None:
    lines = ["a", "", "b", "a", " "]
    assert cleaned(lines, Faults()) == lines
    assert cleaned(lines, without("repeats")) == ["a", "", "b", " "]
    assert cleaned(lines, without("blank_lines")) == ["a", "b", "a"]
    assert cleaned(lines, NONE) == ["a", "b"]


def test_the_corrected_mean_takes_real_tokens_alone() -> None:
    hidden = torch.arange(12.0).reshape(1, 4, 3)

    class Model:
        def __call__(self, **_: Any) -> Any:
            return type("Output", (), {"last_hidden_state": hidden})

    view = {"attention_mask": torch.tensor([[1, 1, 0, 0]])}
    assert embed(Model(), view, "mean").tolist() == [[1.5, 2.5, 3.5]]
    assert official.embed(Model(), view, "mean").tolist() == [[4.5, 5.5, 6.5]]
    assert embed(Model(), view, "cls").tolist() == [[0.0, 1.0, 2.0]]


def test_the_official_arm_is_the_published_training(tiny_random: Callable[[str], Path], corpus: Path) -> None:
    base = str(tiny_random("bert"))
    encoder, tokenizer = official.load(base, settings := BERT.settings(42, 8), "cpu")
    stats = official.train(encoder, tokenizer, read_lines(corpus, None), settings)
    made, figures = make(BERT, Training(OFFICIAL, 42, base, str(corpus), 8, device="cpu"))
    assert (figures["loss"], figures["steps"], figures["strings"]) == (stats.loss, 2, 22)
    view = tokenizer(LINES[:4], max_length=64, padding="max_length", truncation=True, return_tensors="pt")
    with torch.no_grad():
        reference = torch.nn.functional.normalize(encoder.eval()(**view).last_hidden_state.mean(dim=1), dim=-1)
    assert torch.allclose(torch.from_numpy(made.encode(LINES[:4])), reference, atol=1e-5)
    _, corrected = make(BERT, Training(CORRECTED, 42, base, str(corpus), 8, device="cpu"))
    assert (corrected["steps"], corrected["strings"], corrected["pairs"]) == (3, 20, 20)  # the last batch of 4 stays


@pytest.mark.parametrize(("model", "kind"), [(name, "roberta" if "roberta" in name else "bert") for name in MODELS])
def test_every_model_is_made_in_every_arm(
    model: str, kind: str, tiny_random: Callable[[str], Path], corpus: Path
) -> None:
    base = str(tiny_random(kind))
    for arm in (BASE, OFFICIAL, CORRECTED, OURS, AUTO):
        encoder, figures = make(find_model(model), Training(arm, 42, base, str(corpus), 8, steps=1, device="cpu"))
        assert encoder.max_length == 64
        assert encoder.encode(LINES[:2]).shape[0] == 2
        assert figures.get("steps") == (None if arm == BASE else 1)


def test_more_steps_than_the_corpus_has_batches_go_over_it_again(tiny_random: Callable[[str], Path]) -> None:
    encoder, tokenizer = official.load(str(tiny_random("bert")), settings := BERT.settings(42, 8), "cpu")
    stats = official.train(encoder, tokenizer, LINES, settings, steps=3)
    assert (stats.steps, stats.pairs) == (3, 24)


def test_a_match_is_within_two_deviations_and_three_tenths() -> None:
    scores = [74.0, 75.0, 76.0]
    width = 2 * statistics.stdev(scores) + 0.3
    assert width == pytest.approx(2.3)
    assert is_match(75 + width, scores)
    assert is_match(75 - width, scores)
    assert not is_match(75 + width + 0.01, scores)
    assert verdict(BERT, STS_AVERAGE, [74.5, 74.4, 74.6], [], OFFICIAL) == "match"
    assert verdict(BERT, STS_AVERAGE, [70.0, 70.1, 70.2], [], OFFICIAL) == "no match"
    assert verdict(BERT, STS_AVERAGE, [74.5] * (FEWEST - 1), [], OURS) == "no verdict: 2 of 3 seeds"
    assert verdict(BERT, STS_AVERAGE, [74.5] * 3, ["8 steps are asked for"], OURS).startswith("no verdict: 8 steps")
    assert verdict(BERT, "STS sts12", [74.5] * 3, [], OURS) == "no published figure"


def test_only_the_paper_s_base_and_corpus_are_held_against_its_figures(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    shape = {"model_type": "bert", "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12}
    file = tmp_path / "config.json"
    file.write_text(json.dumps(shape), encoding="utf-8")
    whole = {"limit": None, "steps": 0, "batch_size": 200, "corpus": "c", "sha256": BERT.lines_sha256}
    assert obstacles(BERT, tmp_path, whole, []) == []
    other = {**whole, "limit": 9, "steps": 2, "batch_size": 8, "sha256": "x"}
    assert len(obstacles(BERT, tmp_path, other, [])) == 4
    file.write_text(json.dumps({**shape, "num_hidden_layers": 6}), encoding="utf-8")
    (said,) = obstacles(BERT, tmp_path, whole, [])
    assert said == "the base is not bert-base-uncased (num_hidden_layers 6, not 12)"


def test_every_kind_of_set_has_its_rows(tmp_path: Path, sts: Path) -> None:
    def write(name: str, text: str) -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return str(tmp_path / name)

    words = [("cat", "dog", 5), ("cat", "sky", 1), ("sun", "moon", 6)]
    pairs = "".join(f"{a}\t{b}\t{n}\n" for a, b, n in words)
    write("translation.csv", "ID,ENG 1,ENG 2\n" + "".join(f"{i},{a},{b}\n" for i, (a, b, _) in enumerate(words)))
    write("scores.csv", "ID,ENG\n" + "".join(f"{i},{n}\n" for i, (*_, n) in enumerate(words)))
    linking = write("names.tsv", "fever\tD1\npain\tD2\n"), write("mentions.tsv", "hot\tD1\nache\tD2\n")
    given = Given(
        sts=str(sts),
        multisimlex=str(tmp_path),
        lexical=[write("words.tsv", pairs)],
        qnli=[
            write("qnli.tsv", "q?\ta\tentailment\nr?\tb\tnot_entailment\ns?\tc\tentailment\nt?\td\tnot_entailment\n")
        ],
        bli=[write("en-de.tsv", "cat\tKatze\ndog\tHund\n")],
        entities=[",".join(linking)],
        crosslingual=[write("en-fr.tsv", "1\ta cat\tun chat\n2\ta dog\tun chien\n3\tit\tcela\n")],
    )
    rows = list(score(Drawn(), read(given)))
    assert rows[:8] == [*(f"STS {name}" for name in PAIRS), STS_AVERAGE]
    assert rows[8:11] == ["lexical words", ENGLISH, "cross-lingual en-fr"]
    assert rows[11:13] == ["QNLI qnli accuracy", "QNLI qnli AUC"]
    assert [row.split(",")[0] for row in rows[13:15]] == ["BLI en-de accuracy@1", "BLI en-de MRR"]
    assert rows[-1].startswith("entities")
    with pytest.raises(ConfigError, match="NAMES,MENTIONS"):
        read(Given(entities=["names.tsv"]))


def test_arms_by_name() -> None:
    assert arms_of("official, ours,official") == [OFFICIAL, OURS]
    assert arms_of("each") == [f"official but {name}" for name in NAMES]
    with pytest.raises(ConfigError, match="arm 'best'"):
        arms_of("best")
    with pytest.raises(ConfigError, match="fault 'typo'"):
        arms_of("official but typo")


def test_lines_are_drawn_evenly_and_in_their_order(corpus: Path, tmp_path: Path) -> None:
    assert read_lines(corpus, None) == [*LINES, "", LINES[0]]
    assert read_lines(corpus, 100) == read_lines(corpus, None)
    some = read_lines(corpus, 5)
    assert len(some) == 5
    assert some == read_lines(corpus, 5)
    with pytest.raises(CorpusError, match=r"none\.txt: cannot be read"):
        read_lines(tmp_path / "none.txt", None)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run what would be a process of its own here, and note it."""
    ran: list[str] = []

    def run(line: list[str], what: str, *_: Any) -> dict[str, Any]:
        ran.append(what)
        model, job, given = line[-3:]
        made = worker.run(model, Training(**json.loads(job)), Given(**json.loads(given)))
        printed: dict[str, Any] = json.loads(json.dumps(made))
        return printed | {"command_seconds": 1.0}

    monkeypatch.setattr(command, "run_json", run)
    return ran


def test_a_stopped_run_goes_on_and_writes_its_page(
    tiny_random: Callable[[str], Path], corpus: Path, sts: Path, tmp_path: Path, in_process: list[str]
) -> None:
    out = tmp_path / "results"
    given = ["sentence-bert", "--base", str(tiny_random("bert")), "--corpus", str(corpus), "--sts", str(sts)]
    given += ["--steps", "1", "--batch-size", "8", "--threads", "1", "--device", "cpu", "--results", str(out)]
    assert command.main([*given, "--seeds", "1", "--arms", "base,official"]) == 0
    assert in_process == ["base/0", "official/42"]
    assert command.main([*given, "--seeds", "2", "--arms", "base,official,ours"]) == 0
    assert in_process[2:] == ["official/43", "ours/42", "ours/43"]
    (file,) = out.glob("*.json")
    record = json.loads(file.read_text(encoding="utf-8"))
    assert str(tmp_path) not in file.read_text(encoding="utf-8")
    assert record["hardware"]["cpu"]
    assert {"torch", "transformers", "mirrorkit"} <= set(record["versions"])
    assert record["date"]
    text = file.with_suffix(".md").read_text(encoding="utf-8")
    assert text == page(record, BERT) + "\n"
    scores = [record["runs"][f"official/{seed}"]["scores"][STS_AVERAGE] for seed in (42, 43)]
    shown = f"{statistics.fmean(scores):.2f} ± {statistics.stdev(scores):.2f}"
    assert f"| STS average | 74.51 | {record['runs']['base/0']['scores'][STS_AVERAGE]:.2f} | {shown} |" in text
    assert f"`official`: {shown} against 74.51: **no verdict: the base is not bert-base-uncased" in text
    assert "No published figure of this model is known for STS sts12" in text


def test_a_record_of_other_settings_is_not_mixed_with(
    tiny_random: Callable[[str], Path],
    corpus: Path,
    sts: Path,
    tmp_path: Path,
    in_process: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "results"
    given = ["sentence-bert", "--base", str(tiny_random("bert")), "--corpus", str(corpus), "--sts", str(sts)]
    given += ["--seeds", "1", "--arms", "base", "--results", str(out), "--device", "cpu"]
    assert command.main([*given, "--steps", "1"]) == 0
    kept = {file: file.read_bytes() for file in out.iterdir()}
    capsys.readouterr()
    assert command.main([*given, "--steps", "2"]) == 2
    assert "is of a run with steps 1, not 2; give another folder as `results`" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in out.iterdir()} == kept
    assert in_process == ["base/0"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["sentence-gpt"], "model 'sentence-gpt': must be one of sentence-bert, sentence-bert-drophead"),
        (["sentence-bert", "--base", "/nowhere/at/all"], "/nowhere/at/all: no such folder"),
        (["sentence-bert", "--sts", "/nowhere/at/all"], "/nowhere/at/all: no such folder of STS files"),
        (["word-bert", "--multisimlex", "/nowhere/at/all"], "/nowhere/at/all"),
        (["sentence-bert", "--corpus", "/nowhere.txt"], "/nowhere.txt: cannot be read"),
        (["sentence-bert", "--seeds", "0"], "seeds 0: must be at least 1"),
        (["sentence-bert", "--limit", "1"], "limit 1: must be at least 2"),
        (["sentence-bert", "--threads", "0"], "threads 0: must be at least 1"),
        (["sentence-bert", "--arms", "theirs"], "arm 'theirs'"),
        (["sentence-bert", "--autocast", "int8"], "autocast 'int8'"),
        (["sentence-bert", "--device", "tpu"], "device 'tpu'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    options: list[str], said: str, corpus: Path, sts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results"
    given = ["--base", "tiny", "--corpus", str(corpus), "--sts", str(sts), "--results", str(out)]
    assert command.main([options[0], *given, *options[1:]]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err
    assert not out.exists()


def test_a_model_needs_what_its_figure_was_published_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["sentence-bert", "--base", "tiny"]) == 2
    assert "sentence-bert needs `sts`" in capsys.readouterr().err
    assert command.main(["word-bert", "--base", "tiny"]) == 2
    assert "without them nothing is scored" in capsys.readouterr().err
