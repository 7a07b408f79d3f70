"""The run on a GPU: refused without one; a fault of one step is a row and no more; time is kept; the table."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import __main__ as program
from benchmarks.gpu.__main__ import Step, encoding, run_all, table
from mirrorkit.errors import ConfigError


def test_without_a_gpu_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(program, "current_gpu", lambda: None)
    monkeypatch.setattr("sys.argv", ["gpu", str(tmp_path)])
    assert program.main() == 2
    told = capsys.readouterr()
    assert told.err == "error: there is no NVIDIA GPU here (no driver answers); nothing was run\n"
    assert told.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_fails_is_told_and_the_others_are_run() -> None:
    def run(command: list[str], _seconds: float) -> dict[str, Any]:
        if command == ["bad"]:
            raise ConfigError("out of memory")
        return {command[0]: 1}

    steps = [Step("a", ["x"], ["y"]), Step("b", ["bad"]), Step("c", ["z"], ["bad"]), Step("d", ["w"])]
    rows = run_all(steps, time.monotonic() + 60, run)
    assert rows == [
        {"name": "a", "y": 1, "x": 1},
        {"name": "b", "why": "out of memory"},
        {"name": "c", "why": "out of memory"},
        {"name": "d", "w": 1},
    ]


def test_no_step_is_begun_without_time() -> None:
    assert run_all([Step("a", ["x"])], time.monotonic(), lambda *_: {}) == [{"name": "a", "why": "no time was left"}]


def test_a_command_that_fails_or_takes_too_long_gives_its_reason() -> None:
    run = program._run
    assert run(["-c", "print('heard'); print('{\"x\": 2}')"], 60) == {"x": 2}
    assert run(["-c", "print('wrote it')"], 60) == {}
    with pytest.raises(ConfigError, match=r"^ValueError: no$"):
        run(["-c", "raise ValueError('no')"], 60)
    with pytest.raises(ConfigError, match=r"^stopped after 1 s$"):
        run(["-c", "import time; time.sleep(30)"], 1)


def test_every_precision_of_the_bundle_is_run_by_every_engine(tmp_path: Path) -> None:
    steps = list(encoding(tmp_path, ["fp32", "fp32-fused", "int8"], tmp_path))
    assert [step.name for step in steps] == [
        "fp32, ONNX Runtime",
        "fp32, ONNX Runtime, CUDA graphs",
        "int8, ONNX Runtime",
        "int8, ONNX Runtime, CUDA graphs",
        "fp32, TensorRT-RTX",
        "int8, TensorRT-RTX",
        "fp8, TensorRT-RTX",
    ]


def test_the_table_has_figures_and_reasons() -> None:
    shape = {"texts": 32, "words": 64, "calls": 9, "median_ms": 2.0, "per_second": 16_000.0}
    record = {
        "bundle": "some",
        "date": "2026-01-01",
        "hardware": {"cpu": "A CPU", "cores": 4, "gpu": "A Card", "load_average": 0.1},
        "versions": {"python": "3.11"},
        "driver": "1.2",
        "compute_capability": "9.0",
        "threads": 4,
        "rows": [
            {"name": "train", "pairs_per_second": 1234.4, "precision": "bf16"},
            {
                "name": "fp32",
                "first_vector_seconds": 0.5,
                "cosine_mean": 1.0,
                "cosine_min": 0.99999,
                "shapes": [shape],
            },
            {"name": "int8", "why": "no time was left"},
        ],
    }
    told = table(record)
    assert told.startswith("some; A Card (9.0, driver 1.2), A CPU, 4 threads; python 3.11; 2026-01-01")
    assert "| train |  |  |  | 1,234 (bf16) |" in told
    assert "| fp32 | 0.50 | 32 x 64: 16,000 (2.00 ms) | 1.00000 / 0.99999 |  |" in told
    assert "| int8 | no time was left |  |  |  |" in told
