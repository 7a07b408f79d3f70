"""The commands `bench` and `compare`: reports, exit codes, bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnx", reason="makes its graphs with the export extra")
from typer.testing import CliRunner, Result

from mirrorkit.bench.measure.plan import BUDGETS
from mirrorkit.bench.result import result_from
from mirrorkit.cli.app import app
from tests.evaluation.fakes import write_beir
from tests.lookups import SMALL, end_with, work_here


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mirrorkit.bench.run.run_worker", work_here)
    monkeypatch.setitem(BUDGETS, "quick", SMALL)


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [*map(str, args)])


def command(*args: object) -> Result:
    return run("bench", *args)


@pytest.mark.usefixtures("at_once")
def test_the_command_prints_writes_and_judges(made: Path, tmp_path: Path) -> None:
    files = {kind: tmp_path / "out" / f"bench.{kind}" for kind in ("json", "html", "markdown")}
    asked: list[object] = ["--report", files["json"], "--html", files["html"], "--markdown", files["markdown"]]
    options: tuple[object, ...] = ("--variants", "int8", "--threads", 1, "--lengths", "4", "--batches", "1, 2")
    write_beir(tmp_path / "pets", {"d1": "cats sleep", "d2": "dogs bark"}, {"q1": "cats"}, [("q1", "d1", 1)])
    options += ("--retrieval", tmp_path / "pets")
    rules = "cosine_mean = 0.9\nretrieval_difference = 100\n"
    (tmp_path / "gate.toml").write_text(f"[precision.int8]\n{rules}", encoding="utf-8")
    passed = command(made, *options, "--gate", tmp_path / "gate.toml", *asked)
    assert passed.exit_code == 0, passed.stderr
    assert "int8" in passed.stdout
    found = result_from(json.loads(files["json"].read_text(encoding="utf-8")), "x")
    assert found.gate is not None
    assert found.gate.passed
    assert [rule.rule for rule in found.gate.rules] == ["cosine_mean", "retrieval_difference"]
    assert "retrieval:pets, nDCG@10 × 100" in passed.stdout
    assert found.plan["tasks"]["retrieval:pets"]["queries"] == 1
    assert "<html" in files["html"].read_text(encoding="utf-8")
    assert "int8" in files["markdown"].read_text(encoding="utf-8")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(f.name for f in files.values())
    same = run("compare", files["json"], files["json"])
    assert same.exit_code == 0, same.stderr
    assert json.loads(run("compare", files["json"], files["json"], "--json").stdout)["changes"] == []


@pytest.mark.usefixtures("at_once")
def test_a_gate_that_fails_is_exit_code_1_and_the_report_is_written(own: Path, tmp_path: Path) -> None:
    end_with("Neg", own)
    out = tmp_path / "bench.json"
    options = ["--variants", "int8", "--threads", 1, "--lengths", 4, "--batches", 1, "--gate", "default"]
    done = command(own, *options, "--report", out, "--json")
    assert done.exit_code == 1, done.stderr
    assert json.loads(done.stdout) == json.loads(out.read_text(encoding="utf-8"))
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
        (["--retrieval", "/nowhere"], "/nowhere: no such folder of a retrieval set"),
        (["--search", "/nowhere"], "/nowhere: no such file or folder of documents"),
        (["--knn", "/nowhere"], "/nowhere: no such file of labelled texts"),
        (["--gate", "/nowhere.toml"], "/nowhere.toml"),
        (["--baseline", "/nowhere"], "/nowhere: no such folder"),
        (["--report", "/proc/bench.json"], "/proc/bench.json: cannot be written"),
        (["--report", "/dev/null"], "/dev/null: is a folder, a link or a device"),
        (["--report", "INSIDE/bench.json"], "is inside the bundle"),
        (["--report", "OUT/x", "--html", "OUT/./x"], "is asked for twice"),
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
    done = command(made, "--variants", "fp32", "--lengths", 4, "--report", tmp_path / "bench.json")
    assert done.exit_code == 130
    assert "interrupted, nothing was written" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_compare_is_a_command_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "compare").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert "no such file" in run("compare", "a.json", "b.json").stderr.lower()
        assert "no mirrorkit.json in it" in command("compare").stderr  # here it is a folder like any other
    shown = run("compare", "--help").stdout
    assert " compare " in shown
    assert "--lengths" not in shown
