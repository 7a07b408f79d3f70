"""A sample of the spoilt inputs, another one for each commit; `make sweeps` tries two thousand."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the export extra")

from tests.faults.test_faults import seed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="cases run in forks with limits as on Linux"),
]


def test_spoilt_input_is_one_line() -> None:
    first = random.Random(seed()).randrange(1_000_000)
    command = [sys.executable, "-m", "tests.hostile.sweep", "--cases", "40", "--seed", str(first)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
