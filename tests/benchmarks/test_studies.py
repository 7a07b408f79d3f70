"""Hold the studies of training to what they promise: equal strings, resumable records, tables from records alone."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("matplotlib", reason="needs the demo extra")
pytest.importorskip("benchmarks", reason="benchmarks/ is not in sys.path: run python -m pytest from the checkout")
from benchmarks import quality, record, report, train
from benchmarks.peers import quality as peers_quality
from benchmarks.training import score as train_score
from benchmarks.training import studies as train_studies
from benchmarks.training import study_plot, study_report
from benchmarks.training import texts as train_texts
from benchmarks.training.texts import Strings
from mirrorkit.errors import ConfigError

EMPTY = "".join(f"<!-- {name}:begin -->\n<!-- {name}:end -->\n" for name in report.SECTIONS)
LINES = [f"a sentence about the number {i}" for i in range(40)]


def run_of(variant: str, point: str, pairs_per_second: float, **more: Any) -> dict[str, Any]:
    seconds = {"load": 1.0, "tokenise": 0.5, "train": 8.0, "save": 0.5, "total": 10.0}
    return {
        "variant": variant,
        "point": point,
        "round": 0,
        "load_average": 0.5,
        "pairs_per_second": pairs_per_second,
        "precision": "fp32",
        "steps": 5,
        "pairs": 1000,
        "seconds": seconds,
        "command_seconds": 1000 / pairs_per_second,
        "peak_memory_bytes": 2e9,
        "peak_device_memory_bytes": None,
        **more,
    }


def study_of(name: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    study = train_studies.STUDIES[name]
    settings = {"threads": 2, "batch_size": 200, "max_length": 50, "pooling": "mean", "steps": 2, "warmup_steps": 1}
    return {
        "study": name,
        "what": study.what,
        "whole": study.whole,
        "date": "2026-01-01",
        "hardware": {"cpu": "a cpu", "cores": 2, "gpu": None, "load_average": 0.25},
        "versions": {"python": "3"},
        "base": "base",
        "corpus": {"name": "lines.txt", "strings": 1000, "paired": 100, "mean_words": 9.5},
        "settings": {**settings, "sts_pairs": 8},
        "runs": runs,
        "skipped": {"9000/official": "about 9 minutes by the speed of the smaller corpus"},
    }


RECORDS = [
    study_of("phases", [run_of("official", "1000", 20), run_of("ours", "1000", 80)]),
    study_of("size", [run_of(v, p, 20) for p in ("1000", "9000") for v in ("official", "ours")]),
    study_of("batch", [run_of(v, p, 20) for p in ("64", "128") for v in ("official", "ours")]),
    study_of("length", [run_of(v, p, 20) for p in ("16", "50") for v in ("official", "ours")]),
    study_of("model", [run_of(v, p, 20) for p in ("tiny", "bert-base") for v in ("official", "ours")]),
    study_of("layers", [run_of("ours", p, 20, cpu_seconds=s) for p, s in (("0", 8.0), ("2", 3.0))]),
    study_of(
        "seeds",
        [run_of("ours", seed, 20, sts={"average": score}) for seed, score in (("42", 70.0), ("43", 72.0))],
    ),
]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return train_texts.write(LINES, tmp_path / "corpus.txt")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Replace the processes by one that writes down what it was asked."""
    asked: list[str] = []

    def whole(variant: str, _: str, corpus: Path, args: argparse.Namespace, sts: Path | None = None) -> dict[str, Any]:
        strings = corpus.read_text(encoding="utf-8").splitlines()
        asked.append(f"{variant} {len(strings)} seed {args.seed}")
        assert len(set(strings)) == len(strings)
        return run_of(variant, "", 2.0, **({"sts": {"average": 70.0 + args.seed}} if sts else {}))

    def steps(variant: str, _: str, sample: Path, args: argparse.Namespace) -> dict[str, Any]:
        strings = sample.read_text(encoding="utf-8").split("\n")
        assert len(strings) == (args.steps + args.warmup_steps) * args.batch_size
        shortest = min(len(text.split()) for text in strings)
        layers = f" layers {args.train_layers}" if "train_layers" in args else ""
        asked.append(f"{variant} batch {args.batch_size} length {args.max_length} words {shortest}{layers}")
        return run_of(variant, "", 2.0, cpu_seconds=3.0)

    monkeypatch.setattr(train_studies, "run_whole", whole)
    monkeypatch.setattr(train_studies, "run_steps", steps)
    monkeypatch.setattr(train_studies, "run_score", lambda *_: {"average": 50.0})
    monkeypatch.setattr(train_studies, "make_random", lambda *_: "random")
    monkeypatch.setattr(peers_quality, "STS", tmp_path / "no-sts")
    monkeypatch.setattr(train_studies, "LARGEST", 40)
    monkeypatch.setattr(study_plot, "draw", lambda *_: None)  # seconds; the tables' own test draws
    return asked


def start(corpus: Path, *options: str) -> int:
    folder = corpus.parent
    (folder / "README.md").write_text(EMPTY, encoding="utf-8")
    where = ["--results", str(folder / "results"), "--readme", str(folder / "README.md")]
    return train.main(["--base", "tiny", "--corpus", str(corpus), "--threads", "1", *where, *options])


def only_record(corpus: Path) -> dict[str, Any]:
    (file,) = (corpus.parent / "results").glob("study_*.json")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def without_points(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: run[key] for key in ("point", "variant", "round")} for run in runs]


def test_a_study_goes_on_where_it_was_stopped(
    corpus: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = vars(train_studies)["run_steps"], [0]

    def stopped(*args: Any) -> dict[str, Any]:
        calls[0] += 1
        if calls[0] == 3:
            raise KeyboardInterrupt
        found: dict[str, Any] = real(*args)
        return found

    monkeypatch.setattr(train_studies, "run_steps", stopped)
    with pytest.raises(KeyboardInterrupt):
        start(corpus, "--study", "batch", "--values", "4,2")
    assert len(only_record(corpus)["runs"]) == 2
    assert start(corpus, "--study", "batch", "--values", "4,2") == 0
    assert measured == [f"{v} batch {b} length 50 words 6" for b in (2, 4) for v in ("official", "ours")]
    assert start(corpus, "--study", "batch", "--values", "8") == 0  # further points, nothing measured again
    assert measured[4:] == [f"{v} batch 8 length 50 words 6" for v in ("official", "ours")]
    runs = only_record(corpus)["runs"]
    assert [(run["point"], run["variant"]) for run in runs] == [
        (b, v) for b in ("2", "4", "8") for v in ("official", "ours")
    ]
    assert all(run["date"] and "load_average" in run for run in runs)


def test_a_record_of_other_settings_is_not_added_to(
    corpus: Path, measured: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(corpus, "--study", "batch", "--values", "2") == 0
    assert start(corpus, "--study", "batch", "--values", "2", "--max-length", "20") == 2
    assert "was measured with max_length 50, now 20; --fresh begins it anew" in capsys.readouterr().err
    assert start(corpus, "--study", "batch", "--values", "2", "--max-length", "20", "--fresh") == 0
    assert measured[-1] == "ours batch 2 length 20 words 6"
    assert only_record(corpus)["settings"]["max_length"] == 20


def test_what_would_take_too_long_is_left_out_aloud(
    corpus: Path, measured: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--study", "size", "--values", "4,30", "--batch-size", "2", "--most-minutes"]
    assert start(corpus, *options, "0.2") == 0  # 30 strings at the 2 pairs/s of the stand-in are 15 seconds
    assert measured == ["official 4 seed 42", "ours 4 seed 42"]
    assert "30/ours left out: about 0 minutes" in (corpus.parent / "README.md").read_text(encoding="utf-8")
    assert "size, 30, official: left out" in capsys.readouterr().err
    assert start(corpus, *options, "1") == 0
    assert measured[2:] == ["official 30 seed 42", "ours 30 seed 42"]
    assert only_record(corpus)["skipped"] == {}


def test_seeds_are_scored_and_the_base_once(corpus: Path, measured: list[str]) -> None:
    options = ["--study", "seeds", "--strings", "8", "--batch-size", "4", "--seeds", "2", "--sts-pairs", "4"]
    assert start(corpus, *options) == 0
    assert measured == [f"{v} 8 seed {s}" for s in (42, 43) for v in ("official", "ours")]
    found = study_report.sts_by_variant(only_record(corpus))
    assert found["before"] == {"42": 50.0}
    assert found["ours"] == {"42": 112.0, "43": 113.0}
    shown = (corpus.parent / "README.md").read_text(encoding="utf-8")
    assert "| ours | 5 | 112.00, 113.00 | 112.50 ± 0.71 | 500.0 | 2,000 | – |" in shown


def test_long_strings_and_models_reach_the_worker(corpus: Path, measured: list[str]) -> None:
    assert start(corpus, "--study", "length", "--values", "12", "--batch-size", "2") == 0
    assert measured == ["official batch 2 length 12 words 12", "ours batch 2 length 12 words 12"]
    assert start(corpus, "--study", "model", "--values", "tiny,bert-tiny", "--batch-size", "2") == 0
    assert len(measured) == 6
    assert start(corpus, "--study", "layers", "--values", "2,0", "--batch-size", "2") == 0
    assert measured[6:] == [f"ours batch 2 length 50 words 6 layers {count}" for count in (0, 2)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--study", "batch", "--values", "4,1"], "batch size [pairs] '1': must be a number of at least 2"),
        (["--study", "batch", "--variants", "ours-auto"], "variant 'ours-auto': must be of official, ours-fp32, ours"),
        (["--study", "phases", "--variants", "before"], "variant 'before'"),
        (["--study", "layers", "--variants", "official"], "variant 'official': must be of ours-fp32, ours"),
        (["--study", "layers", "--values", "all"], "layers trained 'all': must be a number of at least 0"),
        (["--study", "all", "--values", "4"], "--values and --variants go with one study"),
        (["--study", "size", "--random", "bert-tiny"], "--whole-run and --random are not for --study"),
        (["--study", "seeds", "--seeds", "0"], "seeds 0: must be at least 1"),
        (["--study", "phases", "--strings", "9999"], "40 distinct strings are too few to make 9999 of"),
        (["--study", "length", "--values", "9"], "40 distinct strings are too few to make 96 long ones of"),
    ],
)
def test_what_cannot_be_studied_is_one_line_and_exit_code_2(
    options: list[str], said: str, corpus: Path, measured: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(corpus, *options) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert measured == []


def test_strings_grow_by_joining_two_and_smaller_corpora_are_the_beginning_of_larger_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = train_texts.grow(Strings(LINES, "lines"), 100, 1)
    assert len(set(found.texts)) == 100
    assert found.paired == 60
    assert "lines: 40 distinct strings, and 60 made by joining two of them" in capsys.readouterr().err
    assert {*LINES} < {*found.texts}
    assert found.texts == train_texts.grow(Strings(LINES, "lines"), 100, 1).texts
    assert train_texts.sentences("One has four words. Two. Is it?") == ["One has four words."]
    assert train_texts.sentences("Too short.") == ["Too short."]
    few = train_texts.grow(Strings(LINES, "lines"), 10, 1)
    assert (len(few.texts), few.paired) == (10, 0)
    assert found.about()["strings"] == 100
    with pytest.raises(ConfigError, match="too few"):
        train_texts.grow(Strings(["a", "b"], "two"), 3, 1)


def test_the_tables_say_what_was_measured(tmp_path: Path) -> None:
    text = study_report.studies_section(RECORDS)
    assert "| 1,000 | ours | fp32 | 5 | 12.5 | 2.5 | 1.0 | 0.5 | 8.0 | 0.5 | 80.0 | **4.00** | 2,000 | – |" in text
    assert "| 64 | official | fp32 | 20.0 | – | 2,000 | – |" in text
    assert "| all | ours | fp32 | 4.00 | **1.00** | 2,000 | – |" in text
    assert "| the last 2 | ours | fp32 | 1.50 | **0.38** | 2,000 | – |" in text
    assert "| ours | 5 | 70.00, 72.00 | 71.00 ± 1.41 | 50.0 | 2,000 | – |" in text
    assert "1,000 distinct strings of 9.5 words on average, 100 of them two sentences joined" in text
    assert "9000/official left out: about 9 minutes by the speed of the smaller corpus." in text
    assert text.startswith("![What training costs and gives](results/studies_a-cpu-2-threads.png)")
    for one in RECORDS:
        record.write_json(tmp_path / f"{train_studies.study_stem(one)}.json", one)
    (tmp_path / "README.md").write_text(EMPTY, encoding="utf-8")
    report.update(tmp_path, tmp_path / "README.md")
    assert text in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert (tmp_path / "studies_a-cpu-2-threads.png").read_bytes().startswith(b"\x89PNG")


def test_the_readme_shows_the_committed_figures() -> None:
    for name, section in report.SECTIONS.items():
        text = record.page_of(record.README, name).read_text(encoding="utf-8")
        shown = text.partition(f"<!-- {name}:begin -->\n")[2].partition(f"\n<!-- {name}:end -->")[0]
        assert shown == section(record.RESULTS), name
    for machine in map(study_report.machine_slug, study_report.read_studies(record.RESULTS)):
        assert (record.RESULTS / f"studies_{machine}.png").is_file()


def test_quality_is_recorded_with_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "README.md").write_text(EMPTY, encoding="utf-8")
    made = json.loads((record.RESULTS / "quality_minilm-mlm_auto.json").read_text(encoding="utf-8"))
    made |= {"hardware": "as the command says it, in a line", "versions": {}, "date": ""}
    monkeypatch.setattr(quality, "run_process", lambda *_: {"out": "gone", **made})
    corpus = train_texts.write(LINES, tmp_path / "corpus.txt")
    where = ["--results", str(tmp_path), "--readme", str(tmp_path / "README.md")]
    assert quality.main(["--base", "tiny", "--corpus", str(corpus), *where]) == 0
    written = json.loads((tmp_path / "quality_minilm-mlm_auto.json").read_text(encoding="utf-8"))
    assert written["hardware"]["cpu"]
    assert "out" not in written
    shown = (tmp_path / "README.md").read_text(encoding="utf-8")
    scores = ", ".join(f"{run['average']:.2f}" for run in made["runs"])
    mean = f"{made['mean']:.2f} ± {made['spread']:.2f}"
    assert f"| after, seeds 42, 43, 44 | {scores} |\n| mean ± standard deviation | {mean} |" in shown


@pytest.mark.slow
def test_a_model_folder_is_scored_the_way_it_was_trained(tmp_path: Path, tiny: Path) -> None:
    from mirrorkit import SentenceEncoder
    from mirrorkit.evaluation.sts import evaluate_sts

    rows = [f"{i % 5}\t{LINES[i]}\t{LINES[-i]} and more" for i in range(12)]
    train_texts.write(rows, tmp_path / "set.tsv")
    for pooling, length in (("mean", None), ("mean-padded", "16")):
        encoder = SentenceEncoder.load(tiny, pooling=pooling, max_length=int(length) if length else None)
        found = train_score.score(str(tiny), str(tmp_path), "cpu", pooling, length)
        assert found["average"] == pytest.approx(evaluate_sts(encoder, tmp_path, ["set"]).average, abs=1e-6)
        assert [*found["sets"]] == ["set"]
