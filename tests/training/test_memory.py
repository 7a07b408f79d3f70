"""Hold the promise of `--memory` in a process of its own, whose peak is that of the training alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the train extra")

from mirrorkit.assets.paths import GRADED, TINY
from mirrorkit.machine.memory import free_bytes, resident_bytes

pytestmark = pytest.mark.skipif(resident_bytes() is None, reason="the system does not tell what a process holds")

ASKED = 1_500_000_000


@pytest.mark.slow
def test_the_peak_is_as_predicted_and_within_what_was_asked_for(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.txt"
    lines = dict.fromkeys(line.split("\t")[1] for line in GRADED.read_text(encoding="utf-8").splitlines())
    corpus.write_text("\n".join([f"{line} {other}" for line, other in zip(lines, list(lines)[7:], strict=False)][:300]))
    command = [sys.executable, "-m", "mirrorkit", "finetune", str(TINY), str(corpus), "-o", str(tmp_path / "out")]
    command += ["--batch-size", "150", "--steps", "2", "--device", "cpu", "--memory", "1500MB", "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}, check=False
    )
    assert done.returncode == 0, done.stderr
    memory = json.loads(done.stdout)["memory"]
    assert memory["limit"] == ASKED
    assert memory["twice"]
    assert memory["measured"] <= ASKED
    assert memory["predicted"] == pytest.approx(memory["measured"], rel=0.2)


def test_what_is_free_is_told() -> None:
    free, held = free_bytes(), resident_bytes()
    assert free is not None
    assert held is not None
    assert 1_000_000 < held < 1 << 42
    assert 0 < free < 1 << 50
