"""The commands `export` and `check`: what they print and their exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the export extra")

from typer.testing import CliRunner

from mirrorkit import SentenceEncoder
from mirrorkit.cli.app import app
from tests.exports import traced_once

RUN = CliRunner()


@pytest.fixture(scope="module")
def model(tiny_random: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cli") / "model"
    SentenceEncoder.load(tiny_random("bert"), pooling="cls").save(folder)
    with traced_once(tmp_path_factory):
        yield folder


def test_export_and_check_speak_json(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    done = RUN.invoke(app, ["export", str(model), "-o", str(out), "--variants", "fp32", "--json"])
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert printed["bundle"] == str(out)
    assert {"file", "bytes", "published", "cosine_min", "cosine_mean", "max_abs"} <= set(printed["variants"]["fp32"])
    done = RUN.invoke(app, ["check", str(out), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["ok"] is True
    (out / "tokenizer.json").write_text("{}", encoding="utf-8")
    done = RUN.invoke(app, ["check", str(out), "--json"])
    assert done.exit_code == 1
    printed = json.loads(done.stdout)
    assert printed["ok"] is False
    assert "tokenizer.json" in printed["problems"][0]["what"]


def test_a_failed_gate_exits_with_1_and_bad_input_with_2(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    strict = ["--variants", "fp32", "--no-optimize", "--max-abs", "0"]
    done = RUN.invoke(app, ["export", str(model), "-o", str(out), *strict])
    assert done.exit_code == 1
    assert "not published fp32: max_abs" in done.stdout
    assert "wrote nothing" in done.stdout
    assert not out.exists()
    for arguments in (["export", str(tmp_path / "none"), "-o", str(out)], ["check", str(tmp_path / "none")]):
        done = RUN.invoke(app, arguments)
        assert done.exit_code == 2
        assert len(done.stderr.splitlines()) == 1
