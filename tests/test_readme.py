"""Run every example of the README as a reader would: the commands and the Python, in one folder, on `tiny`."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
from mirrorkit.demo.measure import GRADED
from mirrorkit.evaluation.sts import SEVEN

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


def examples(language: str) -> list[str]:
    return [code for name, code in BLOCKS if name == language]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a corpus and seven small STS files, as the README supposes."""
    folder = tmp_path_factory.mktemp("reader")
    rows = GRADED.read_text(encoding="utf-8").splitlines()
    sentences = [sentence for row in rows for sentence in row.split("\t")[1:]]
    (folder / "corpus.txt").write_text("\n".join(sentences) + "\n", encoding="utf-8")
    (folder / "sts").mkdir()
    for number, task in enumerate(SEVEN):
        (folder / "sts" / f"{task}.tsv").write_text("\n".join(rows[number::7]) + "\n", encoding="utf-8")
    return folder


def run(arguments: list[str], folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_the_commands_run_in_order(reader: Path) -> None:
    commands = [line for block in examples("bash") for line in block.splitlines()]
    assert len(commands) == 9
    printed = [run(shlex.split(command), reader) for command in commands]
    assert "average" in printed[1]
    assert "uniformity" in printed[1]
    assert "over 2 seeds" in printed[2]
    assert '"pairs_per_second"' in printed[3]
    assert "sentence-roberta-drophead" in printed[4]
    assert "my-bundle" in printed[5]
    assert "the bundle is fit" in printed[6]
    assert len(np.load(reader / "vectors.npy")) == len((reader / "corpus.txt").read_text("utf-8").splitlines())
    assert printed[8].count("\n") == 2
    for model in ("my-encoder", "scored", "dropheaded"):
        assert (reader / model / "model.safetensors").is_file()


@pytest.mark.slow
def test_the_python_runs_in_order(reader: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="needs sentence-transformers")
    first, second, third = examples("python")
    assert "cosine" in run([sys.executable, "-c", first], reader)
    assert run([sys.executable, "-c", second], reader).strip().endswith("(1, 256)")
    assert run([sys.executable, "-c", third], reader).startswith("int8-fused (2, 256)")


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    targets = re.findall(r"^([a-z-]+):", (README.parent / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    named = re.findall(r"^    make ([a-z-]+)", README.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert named == ["demo", "test"]
    assert set(named) <= set(targets)
