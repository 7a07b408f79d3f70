"""The command `bench`, and `bench compare` beside it: reports, exit codes, bad input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnx", reason="makes its graphs with the export extra")
import typer
from typer.testing import CliRunner, Result

from mirrorkit.bench.plan import BUDGETS
from mirrorkit.bench.result import result_from
from mirrorkit.commands.bench import BenchCommand, bench
from tests.lookups import SMALL, end_with, lookup_bundle, work_here


@pytest.fixture(scope="module")
def made(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle; do not write into it."""
    return lookup_bundle(tmp_path_factory.mktemp("made") / "bundle", tiny)


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Path:
    """Return a copy of the bundle, to be spoilt."""
    return Path(shutil.copytree(made, tmp_path / "own"))


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mirrorkit.bench.run.run_worker", work_here)
    monkeypatch.setitem(BUDGETS, "quick", SMALL)


app = typer.Typer()


@app.callback()
def main(quiet: bool = False) -> None: ...


app.command(cls=BenchCommand)(bench)


def command(*args: object) -> Result:
    return CliRunner().invoke(app, ["bench", *map(str, args)])


@pytest.mark.usefixtures("at_once")
def test_the_command_prints_writes_and_judges(made: Path, tmp_path: Path) -> None:
    files = {kind: tmp_path / "out" / f"bench.{kind}" for kind in ("json", "html", "markdown")}
    asked = [part for kind, file in files.items() for part in (f"--{kind}", file)]
    options = ("--variants", "int8", "--threads", 1, "--lengths", "4", "--batches", "1, 2")
    (tmp_path / "gate.toml").write_text("[precision.int8]\ncosine_mean = 0.9\n", encoding="utf-8")
    passed = command(made, *options, "--gate", tmp_path / "gate.toml", *asked)
    assert passed.exit_code == 0, passed.stderr
    assert "int8" in passed.stdout
    found = result_from(json.loads(files["json"].read_text(encoding="utf-8")), "x")
    assert found.gate is not None
    assert found.gate.passed
    assert "<html" in files["html"].read_text(encoding="utf-8")
    assert "int8" in files["markdown"].read_text(encoding="utf-8")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(f.name for f in files.values())
    same = command("compare", files["json"], files["json"])
    assert same.exit_code == 0, same.stderr


@pytest.mark.usefixtures("at_once")
def test_a_gate_that_fails_is_exit_code_1_and_the_report_is_written(own: Path, tmp_path: Path) -> None:
    end_with("Neg", own)
    out = tmp_path / "bench.json"
    done = command(
        own, "--variants", "int8", "--threads", 1, "--lengths", 4, "--batches", 1, "--gate", "default", "--json", out
    )
    assert done.exit_code == 1, done.stderr
    found = result_from(json.loads(out.read_text(encoding="utf-8")), "x")
    assert found.gate is not None
    failed = {rule.rule: rule.measured or 0 for rule in found.gate.rules if not rule.passed}
    assert failed["cosine_mean"] < -1


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test if anything is measured."""

    def run(*_: Any, **__: Any) -> None:
        raise AssertionError("measured although the options are wrong")

    monkeypatch.setattr("mirrorkit.bench.run.measure_quality", run)


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--variants", "fp64"], "variant 'fp64'"),
        (["--lengths", "4,64"], "lengths 64"),
        (["--lengths", "four"], "lengths 'four': must be whole numbers"),
        (["--batches", "0"], "batches 0"),
        (["--budget", "slow"], "budget 'slow'"),
        (["--sts", "/nowhere"], "/nowhere: no such folder of STS files"),
        (["--gate", "/nowhere.toml"], "/nowhere.toml"),
        (["--baseline", "/nowhere"], "/nowhere: no such folder"),
        (["--json", "/proc/bench.json"], "/proc/bench.json: cannot be written"),
        (["--json", "/dev/null"], "/dev/null: is a folder, a link or a device"),
        (["--json", "INSIDE/bench.json"], "is inside the bundle"),
        (["--json", "OUT/x", "--html", "OUT/./x"], "is asked for twice"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_measured(
    options: list[str], message: str, made: Path, tmp_path: Path
) -> None:
    filled = [option.replace("INSIDE", str(made)).replace("OUT", str(tmp_path)) for option in options]
    done = command(made, *filled)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_nothing(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mirrorkit.bench.run.measure_speed", interrupted)
    done = command(made, "--variants", "fp32", "--lengths", 4, "--json", tmp_path / "bench.json")
    assert done.exit_code == 130
    assert "interrupted, nothing was written" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_compare_is_a_command_and_a_folder_of_that_name_can_be_reached(tmp_path: Path) -> None:
    (tmp_path / "compare").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert "no such file" in command("compare", "a.json", "b.json").stderr.lower()
        assert "no mirrorkit.json in it" in command("./compare").stderr
    shown = command("compare", "--help").stdout
    assert "bench compare" in shown
    assert "--lengths" not in shown
