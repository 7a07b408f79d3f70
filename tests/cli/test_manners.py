"""What all commands have in common: options before or after the verb, colour, flags in messages, order of the help."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

import mirrorkit
from mirrorkit.cli.app import app
from mirrorkit.cli.command import command
from mirrorkit.cli.export import LIMITS, TRIM_LIMITS
from mirrorkit.cli.flags import as_flags
from mirrorkit.terminal.console import stdout
from mirrorkit.training.recipe import Recipe

VERBS = [
    *("finetune", "recipes", "eval", "export", "check", "bench", "compare", "encode", "similarity", "search", "adapt"),
    *("engine", "triton", "operators", "demo"),
]


def run(*args: object, **env: str) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": "100", "NO_COLOR": "1", **env})


def test_the_commands_are_listed_in_the_order_of_the_job() -> None:
    shown = run("--help").stdout
    assert re.findall(rf"^│ ({'|'.join(VERBS)}) ", shown, re.MULTILINE) == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_the_common_options(verb: str) -> None:
    shown = run(verb, "--help").stdout
    for flag in ("--verbose", "--quiet", "--color", "--version", "--json"):
        assert re.search(rf"{flag}\b", shown), flag
    assert not re.search(r"--json +<?path", shown, re.IGNORECASE)  # a flag everywhere
    assert run(verb, "--version").stdout == run("--version", verb).stdout == f"mirrorkit {mirrorkit.__version__}\n"


def test_every_field_of_a_recipe_has_an_option() -> None:
    shown = run("finetune", "--help").stdout
    for field in fields(Recipe):
        flag = "--lr" if field.name == "learning_rate" else f"--{field.name.replace('_', '-')}"
        assert re.search(rf"{flag}\b", shown), field.name


def test_every_limit_has_an_option() -> None:
    from mirrorkit.formats.bundle import Precision
    from mirrorkit.verification.thresholds import THRESHOLDS

    assert set(LIMITS) == set(THRESHOLDS[Precision.FP32].limits())


def test_every_limit_of_a_trim_is_one_that_a_user_may_set() -> None:
    pytest.importorskip("torch", reason="needs the train extra")
    pytest.importorskip("onnx", reason="needs the export extra")
    from mirrorkit.exporter.trim.gate import trim_limits

    own = {name.removeprefix("trim_"): 0.5 for name in TRIM_LIMITS}
    assert set(trim_limits(own).overridden) == set(own)


@pytest.mark.parametrize("args", [("-q", "check", "FOLDER"), ("check", "FOLDER", "-q"), ("check", "-q", "FOLDER")])
def test_quiet_is_heard_before_and_after_the_verb(args: tuple[str, ...], tmp_path: Path) -> None:
    loud = run("check", tmp_path)
    assert (loud.exit_code, "does not pass" in loud.stdout) == (1, True)
    quiet = run(*(tmp_path if arg == "FOLDER" else arg for arg in args))
    assert (quiet.exit_code, quiet.stdout, quiet.stderr) == (1, "", "")


def speaking() -> typer.Typer:
    """Return a command line with one command, which says a little of everything."""
    from mirrorkit.cli.command import before_the_verb

    own = typer.Typer()
    own.callback()(before_the_verb)

    @own.command()
    @command
    def speak(overwrite: bool = False, max_length: int = 3) -> None:
        import logging

        log = logging.getLogger("mirrorkit.speak")
        log.warning("give `overwrite=True`")
        log.info("told on request")
        log.debug("told on insistence")
        stdout().print("[red]coloured[/]")

    return own


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["speak"], 1),
        (["-v", "speak"], 2),
        (["speak", "-v"], 2),
        (["-v", "speak", "-v"], 3),
        (["speak", "-vv"], 3),
        (["-q", "speak"], 0),
        (["speak", "-q"], 0),
        (["-v", "speak", "-q"], 0),
    ],
)
def test_the_log_is_as_loud_as_asked_and_speaks_of_flags(args: list[str], told: int) -> None:
    done = CliRunner().invoke(speaking(), args)
    lines = done.stderr.splitlines()
    assert len(lines) == told
    assert lines[:1] == ["WARNING: give --overwrite"][:told]


@pytest.mark.parametrize(
    ("args", "env", "coloured"),
    [
        (["speak"], {}, False),  # not a terminal
        (["speak"], {"FORCE_COLOR": "1"}, True),
        (["speak"], {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (["--color", "always", "speak"], {}, True),
        (["speak", "--color", "always"], {}, True),
        (["--color", "never", "speak", "--color", "always"], {"NO_COLOR": "1"}, True),
        (["speak", "--color", "never"], {"FORCE_COLOR": "1"}, False),
        (["--color", "never", "speak"], {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colour_is_as_asked(
    args: list[str], env: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    done = CliRunner().invoke(speaking(), args, env={"TERM": "xterm-256color", **env})
    assert "coloured" in done.stdout
    assert ("\x1b[31m" in done.stdout) == coloured


def test_a_color_that_there_is_not_is_refused() -> None:
    assert run("recipes", "--color", "sometimes").exit_code == 2


MESSAGES = [
    ("finetune", "give another folder or `overwrite=True`", "give another folder or --overwrite"),
    ("finetune", "lower `learning_rate`, or `drophead=0`", "lower --lr, or --drophead 0"),
    ("finetune", "max_length 9999: this model takes 128", "--max-length 9999: this model takes 128"),
    ("finetune", "pooling 'median': must be one of cls", "--pooling 'median': must be one of cls"),
    ("finetune", "out of GPU memory; lower `batch_size`", "out of GPU memory; lower --batch-size"),
    ("finetune", "`decay=False` and `decay=True`", "--no-decay and --decay"),
    ("finetune", "`unheard_of` and `mirrorkit recipes`", "`unheard_of` and `mirrorkit recipes`"),
    ("finetune", "corpus.txt: no text in it", "corpus.txt: no text in it"),
    ("export", "precision 'fp64': must be among fp32", "--variants 'fp64': must be among fp32"),
    ("export", "threshold max_abs 5: must be from 0 to 2", "--max-abs 5: must be from 0 to 2"),
    ("export", "`trim.min_count` 0: must be", "--trim-min-count 0: must be"),
    ("export", "`trim.cosine_mean` 7: must be", "--trim-min-cosine 7: must be"),
    ("export", "`trim`: the tokenizer of this bert", "--trim-vocab: the tokenizer of this bert"),
    ("engine", "precision fp64: an engine is fp16", "--precision fp64: an engine is fp16"),
    ("engine", "build with `backend=tensorrt-rtx`", "build with --backend tensorrt-rtx"),
]


@pytest.mark.parametrize(("verb", "message", "flags"), MESSAGES)
def test_parameters_become_the_flags_of_the_command(verb: str, message: str, flags: str) -> None:
    chosen = typer.main.get_command(app).commands[verb]  # type: ignore[attr-defined]
    assert as_flags(message, chosen.make_context(verb, [], resilient_parsing=True)) == flags


def test_an_error_is_one_line_of_flags(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine", encoding="utf-8")

    def refused(*args: object) -> str:
        done = run(*args)
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        return done.stderr

    pytest.importorskip("torch", reason="needs the train extra")
    full = tmp_path / "full"
    assert "give another folder or --overwrite" in refused("finetune", "tiny", "no.txt", "-o", full)
    assert refused("finetune", "tiny", "no.txt", "-o", full, "--epochs", 0).startswith("mirrorkit: --epochs 0: must")
    assert "--tasks needs --sts" in refused("eval", "tiny", "--tasks", "a")
    several = ("--bli", 1, "--bli", 2, "--bli-candidates", "words")
    assert "--bli-candidates goes with one file of --bli" in refused("eval", "tiny", *several)
    assert "--threads is for bundles" in refused("eval", "tiny", "--threads", 2)


def test_json_is_one_document_and_nothing_else() -> None:
    done = run("-v", "recipes", "--json")
    assert set(json.loads(done.stdout)["word-bert"]) == {field.name for field in fields(Recipe)}


def test_a_broken_promise_is_told_as_a_bug_of_ours() -> None:
    own = typer.Typer()

    @own.command()
    @command
    def broken() -> None:
        raise ZeroDivisionError

    done = CliRunner().invoke(own, [])
    assert done.exit_code == 70
    assert "this is a bug in mirrorkit" in done.stderr
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize("args", [["--version"], ["encode", "--help"], ["encode", "nowhere", "nothing", "-o", "x.npy"]])
def test_what_was_loaded_is_left_to_the_system_to_free(args: list[str], tmp_path: Path) -> None:
    """What is registered first is called last, so after what the command registers; what it prints still comes out."""
    code = f"""
import atexit, gc
atexit.register(lambda: print("frozen", gc.get_freeze_count() > 1000))
from mirrorkit.cli.app import app
app({args!r})"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == (2 if "nowhere" in args else 0), done.stderr
    assert done.stdout.endswith("frozen True\n")
