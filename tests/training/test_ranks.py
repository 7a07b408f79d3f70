"""Several processes train as one with the whole batch, and end together when one of them does."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch
from safetensors.torch import load_file
from torch import Tensor

from mirrorkit import finetune
from mirrorkit.errors import ConfigError
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.training.ranks import Ranks, joined, launched
from tests.training.rank_worker import BATCHES, LOSSES, batch_gradients

ROOT = Path(__file__).parents[2]
DEADLINE = 120  # seconds until a process that hangs is given up
PROMISED = 30  # seconds after which all have ended when one has


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **more}


@pytest.mark.slow
def test_two_and_three_processes_have_the_gradient_of_one(tiny_random: Callable[[str], Path], tmp_path: Path) -> None:
    model = tiny_random("bert")
    worker = [sys.executable, str(ROOT / "tests" / "training" / "rank_worker.py"), str(model), str(tmp_path)]
    processes = [subprocess.Popen([*worker, str(rank), "2", "3"], env=environment()) for rank in range(3)]
    try:
        assert [process.wait(timeout=DEADLINE) for process in processes] == [0, 0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    encoder = SentenceEncoder.load(model, dropout=0.0).train()
    for pairs, (name, (own, each, parts)) in itertools.product(BATCHES, LOSSES.items()):
        expected = batch_gradients(encoder, Ranks(), pairs, own, each, parts)
        for size in (2, 3):
            for rank in range(size):
                assert_close(load_file(tmp_path / f"{size}-{rank}-{name}-{pairs}"), expected)
    for size in (2, 3):
        ends = [load_file(tmp_path / f"{size}-{rank}-training") for rank in range(size)]
        assert all(torch.equal(end["weights"], ends[0]["weights"]) for end in ends)
        assert len({int(end["seed"]) for end in ends}) == size  # each draws a dropout of its own
        assert {int(end["pairs"]) for end in ends} == {22}  # all, not each its share


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    largest = max(float(gradient.abs().max()) for name, gradient in expected.items() if name != "loss")
    assert largest > 1e-3
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-6 * max(1.0, largest), rtol=1e-5)


def launch(rank: int, port: int, *options: str) -> subprocess.Popen[str]:
    told = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    return subprocess.Popen(
        [sys.executable, "-m", "mirrorkit", "finetune", *options],
        env=environment(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), **told),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_when_one_is_killed_all_end_with_one_line_and_nothing_is_published(
    tiny_random: Callable[[str], Path], tmp_path: Path
) -> None:
    corpus, out, log = tmp_path / "corpus.txt", tmp_path / "out", tmp_path / "log.jsonl"
    corpus.write_text("".join(f"sentence number {i}\n" for i in range(64)), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [str(tiny_random("bert")), str(corpus), "-o", str(out), "--log", str(log), "--device", "cpu"]
    options += ["--steps", "1000000", "--batch-size", "8"]
    processes = [launch(rank, port, *options) for rank in (0, 1)]
    try:
        deadline = time.monotonic() + DEADLINE
        while not (log.exists() and log.stat().st_size):
            assert [process.poll() for process in processes] == [None, None]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        processes[1].send_signal(signal.SIGKILL)
        stdout, stderr = processes[0].communicate(timeout=PROMISED)
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert (processes[0].returncode, stdout) == (2, "")
    assert stderr == "mirrorkit: another of the processes that train together has ended, so this one ends too\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus.txt", "log.jsonl"]


def test_alone_there_is_nobody_to_wait_for() -> None:
    with joined("cpu") as ranks:
        assert (ranks.rank, ranks.count, ranks.leads) == (0, 1, True)


@pytest.mark.parametrize(("rank", "count"), [("2", "2"), ("x", "2"), ("0", ""), ("-1", "2")])
def test_a_launcher_that_tells_nonsense_is_refused(rank: str, count: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", count)
    with pytest.raises(ConfigError, match="must be a process's number and their count"):
        launched()


def test_others_that_cannot_be_reached_are_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(ConfigError, match="process 0 of 2 cannot reach the others"), joined("cpu"):
        pass


def test_processes_do_not_share_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="cannot share standard input"):
        finetune("tiny", "-")
