"""Run the command as a user does: good input, bad input, interruption."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")
from typer.testing import CliRunner, Result

import mirrorkit
from mirrorkit import SentenceEncoder
from mirrorkit.assets.paths import GRADED
from mirrorkit.cli.app import app
from mirrorkit.evaluation.sts import SEVEN

ROWS = [line.split("\t") for line in GRADED.read_text(encoding="utf-8").splitlines()]
SENTENCES = [row[1] for row in ROWS]
COMMAND = [sys.executable, "-c", "from mirrorkit.cli.app import app; app()"]
QUICK = ["--epochs", "1", "--batch-size", "16", "--device", "cpu", "--autocast", "fp32"]


def mirrorkit_command(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def as_json(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    file = tmp_path / "corpus.txt"
    file.write_text("\n".join(SENTENCES[:48]), encoding="utf-8")
    return file


@pytest.fixture
def sts(tmp_path: Path) -> Path:
    folder = tmp_path / "sts"
    folder.mkdir()
    for i, task in enumerate([*SEVEN, "mine"]):
        rows = ROWS[i * 30 : i * 30 + 30]
        (folder / f"{task}.tsv").write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def test_version_and_help() -> None:
    assert mirrorkit_command("--version").stdout == f"mirrorkit {mirrorkit.__version__}\n"
    help_text = mirrorkit_command("--help").stdout
    for verb in ("finetune", "eval", "recipes"):
        assert f" {verb} " in help_text
        assert mirrorkit_command(verb, "--help").exit_code == 0


def test_recipes_are_listed() -> None:
    recipes = as_json(mirrorkit_command("recipes", "--json"))
    assert recipes["word-bert"]["temperature"] == 0.2
    table = CliRunner().invoke(app, ["recipes"], env={"COLUMNS": "80"}).stdout
    for word in (*recipes, *recipes["word-bert"]):
        assert word in table
    assert "…" not in table  # nothing is cut off


def test_finetune_prints_json_and_nothing_else(tmp_path: Path, corpus: Path, sts: Path) -> None:
    out = tmp_path / "out"
    result = mirrorkit_command("finetune", "tiny", corpus, "-o", out, "--eval", sts, "--json", *QUICK)
    figures = as_json(result)
    assert (figures["out"], figures["pairs"], figures["steps"]) == (str(out), 48, 3)
    assert set(figures["after"]["tasks"]) == set(SEVEN)
    assert result.stderr == ""
    assert SentenceEncoder.load(out).encode(["a text"]).shape[0] == 1


def test_finetune_prints_a_table_for_people(tmp_path: Path, corpus: Path, sts: Path) -> None:
    result = mirrorkit_command("finetune", "tiny", corpus, "-o", tmp_path / "out", "--eval", sts, *QUICK)
    assert result.exit_code == 0
    for word in ("before", "after", "gain", "stsb-test", "average", "3 steps", f"wrote {tmp_path / 'out'}", "\nread "):
        assert word in result.stdout
    quiet = mirrorkit_command("-q", "finetune", "tiny", corpus, "-o", tmp_path / "quiet", *QUICK)
    assert (quiet.exit_code, quiet.stdout, quiet.stderr) == (0, "", "")


def test_files_are_read_as_the_options_say(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("text\ncafé, s'il vous plaît\nun thé\n".encode("cp1252"))
    (tmp_path / "b.csv").write_bytes(b"text\nbien\n")
    files = [tmp_path / "a.csv", f"{tmp_path}/b*"]
    options = ("--encoding", "cp1252", "--delimiter", "none", "--header", "--recipe", "auto-words")
    report = as_json(mirrorkit_command("finetune", "tiny", *files, "-o", tmp_path / "out", "--json", *options, *QUICK))
    understood = "a.csv, b.csv: 2 files, CP1252, no delimiter, header, column 'text' of 1, 3 rows"
    assert report["corpus"]["understood"] == understood
    assert (report["kind"], report["hyper_parameters"]["temperature"]) == ("words, as asked", 0.2)
    saved = json.loads((tmp_path / "out" / "training.json").read_text(encoding="utf-8"))
    assert saved["corpora"][0]["understood"] == understood


def test_every_hyper_parameter_reaches_the_run(tmp_path: Path, corpus: Path) -> None:
    given = {
        "epochs": 2,
        "batch_size": 12,
        "max_length": 20,
        "weight_decay": 0.02,
        "temperature": 0.1,
        "dropout": 0.2,
        "drophead": 0.3,
        "span_mask": 4,
        "mask_from": 10,
        "pooling": "max",
    }
    options = [text for name, value in given.items() for text in (f"--{name.replace('_', '-')}", value)]
    command = ["finetune", "tiny", corpus, "-o", tmp_path / "out", "--lr", 1e-3, "--recipe", "sentence-roberta"]
    figures = as_json(mirrorkit_command(*command, *options, "--seed", 3, "--seeds", 2, "--limit", 24, "--json"))
    assert {name: figures["hyper_parameters"][name] for name in given} == given
    assert (figures["hyper_parameters"]["learning_rate"], figures["recipe"]) == (1e-3, "sentence-roberta")
    assert [run["seed"] for run in figures["runs"]] == [3, 4]
    assert (figures["corpus"]["strings"], figures["steps"]) == (24, 4)


def test_standard_input_is_a_corpus(tmp_path: Path) -> None:
    text = "\n".join(SENTENCES[:20])
    command = ["finetune", "tiny", "-", "-o", str(tmp_path / "out"), "--json", *QUICK]
    figures = as_json(CliRunner().invoke(app, command, input=text))
    assert (figures["corpus"]["name"], figures["pairs"]) == ("standard input", 20)


def test_eval_prints_what_is_asked_for(tmp_path: Path, sts: Path) -> None:
    words = tmp_path / "words.tsv"
    words.write_text("old\tnew\t1.58\nsmart\tclever\t9.2\nhard\teasy\t0.95\n", encoding="utf-8")
    everything = as_json(mirrorkit_command("eval", "tiny", "--sts", sts, "--lexical", words, "--geometry", "--json"))
    assert set(everything["tasks"]) == set(SEVEN)
    assert set(everything["tasks"]["sts12"]) == {"spearman", "pearson", "pairs"}
    assert everything["lexical"]["words"]["pairs"] == 3
    assert set(everything["geometry"]) >= {"alignment", "uniformity", "mean_cosine"}
    one = as_json(mirrorkit_command("eval", "tiny", "--sts", sts, "--tasks", "mine, sts12", "--json"))
    assert list(one["tasks"]) == ["mine", "sts12"]
    assert one["tasks"]["sts12"] == pytest.approx(everything["tasks"]["sts12"], abs=1e-3)
    assert "sts12" in mirrorkit_command("eval", "tiny", "--sts", sts, "--lexical", words, "--geometry").stdout


FILES = {
    "good": "\n".join(SENTENCES[:48]).encode(),
    "empty": b"",
    "blank": b"\n \n\t\n",
    "binary": bytes(range(256)) * 4,
    "latin": "Das ist schön.\nIch weiß.\n".encode("latin-1"),
    "one": b"only one line\n",
    "ragged.csv": b"id,text\n1,x\n2\n",
    "words.csv": b"apple\npear\nplum\n",
    "gpt2/config.json": b'{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}',
    "nothing/notes.txt": b"no model here",
}

# Arguments of finetune, OUT apart, in a folder that holds FILES, and a part of the message.
BAD_INPUT = {
    "missing base": ("./no-base good", "no such folder"),
    "folder without a model": ("nothing good", "not a model folder"),
    "base is a file": ("good good", "is a file"),
    "causal model": ("gpt2 good", "gpt2 is a causal language model"),
    "hub id without a hub": ("someone/some-model good", "HF_HUB_OFFLINE"),
    "missing corpus": ("tiny no.txt", "No such file"),
    "corpus is a folder": ("tiny nothing", "usable string"),
    "empty corpus": ("tiny empty", "no usable string"),
    "blank corpus": ("tiny blank", "no usable string"),
    "binary corpus": ("tiny binary", "line 1: holds a zero byte"),
    "latin-1 corpus": ("tiny latin", "line 1: byte 0xf6 is not UTF-8"),
    "ragged corpus": (
        "tiny ragged.csv",
        "ragged.csv, line 3: has 1 column between ',', wanted 2; give another --delimiter",
    ),
    "corpus without a header": ("tiny words.csv", "names the columns; give --header or --no-header"),
    "one of several files": ("tiny good no.txt", "no.txt: cannot be read (No such file"),
    "no file of a pattern": ("tiny *.none", "*.none: no file has a name like this"),
    "unknown encoding": ("tiny latin --encoding utf-99", "--encoding 'utf-99': must be one that Python knows"),
    "unknown delimiter": ("tiny words.csv --delimiter ab", "--delimiter 'ab': must be one character"),
    "one-line corpus": ("tiny one", "1 usable string;"),
    "unknown recipe": ("tiny good --recipe sonnet", "must be one of auto"),
    "unknown pooling": ("tiny good --pooling median", "must be one of cls"),
    "unknown device": ("tiny good --device abacus", "must be auto, cpu"),
    "unknown autocast": ("tiny good --autocast int3", "must be auto, fp32"),
    "too long": ("tiny good --max-length 9999", "at most 128 tokens"),
    "bad rate": ("tiny good --lr -1", "must be above 0"),
    "diverging": ("tiny good --lr 1e38", "lower --lr"),
    "no STS files": ("tiny good --eval nothing", "no sts12.tsv"),
    "no labelled file": ("tiny good --eval no.tsv", "no such file or folder of labelled texts"),
    "unknown kind of labels": ("tiny good --eval knm:good", "knm is no kind of labelled file"),
    "labels of no kind": ("tiny good --eval good", "cannot be told what it is; say it as KIND:FILE"),
    "no development set": ("tiny good --dev knn:no.tsv", "no.tsv: no such file"),
    "out is a file": ("tiny good -o good", "good: exists and is not a folder"),
    "out below a file": ("tiny good -o good/below", "good/below: cannot be written"),
    "out with too long a name": (f"tiny good -o {'n' * 300}", "File name too long"),
    "out is full": ("tiny good -o nothing", "not empty; give another folder or --overwrite"),
    "out is no model": ("tiny good --overwrite -o nothing", "was not written by mirrorkit"),
}


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder of FILES the current one."""
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def assert_trap_untouched(trap: Path) -> None:
    found = {str(file.relative_to(trap)): file.read_bytes() for file in trap.rglob("*") if file.is_file()}
    assert found == FILES
    assert not (trap / "out").exists()


def assert_one_line(code: int, stdout: str, stderr: str, part: str) -> None:
    assert (code, stdout) == (2, ""), stderr
    assert stderr.startswith("mirrorkit: ")
    assert stderr.count("\n") == 1
    assert part in stderr


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_line_and_nothing_is_written(trap: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    args, part = BAD_INPUT[case]
    result = mirrorkit_command("finetune", "-o", "out", *QUICK, *args.split())
    assert_one_line(result.exit_code, result.stdout, result.stderr, part)
    assert_trap_untouched(trap)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        "folder without a model",
        "causal model",
        "hub id without a hub",
        "binary corpus",
        "unknown device",
        "diverging",
        "out is no model",
    ],
)
def test_bad_input_is_one_line_in_a_process_of_its_own(trap: Path, case: str) -> None:
    """What libraries write to stderr on their own is seen only here; of each library that gets to speak, one case."""
    args, part = BAD_INPUT[case]
    done = subprocess.run(
        [*COMMAND, "finetune", "-o", "out", *QUICK, *args.split()],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert_one_line(done.returncode, done.stdout, done.stderr, part)
    assert_trap_untouched(trap)


def test_bad_evaluation_input_is_one_line(tmp_path: Path, sts: Path) -> None:
    (sts / "broken.tsv").write_text("1.0\ta\tb\n2.0\tc\n", encoding="utf-8")
    commands: list[tuple[list[object], str]] = [
        (["tiny", "--tasks", "mine"], "--tasks needs --sts"),
        (["tiny", "--sts", sts, "--tasks", "broken"], "broken.tsv, line 2: has 2"),
        (["tiny", "--sts", sts, "--tasks", "nope"], "no nope.tsv"),
        ([tmp_path / "no", "--sts", sts], "no such folder"),
    ]
    for args, part in commands:
        result = mirrorkit_command("eval", *args)
        assert_one_line(result.exit_code, result.stdout, result.stderr, part)
