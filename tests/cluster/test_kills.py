"""The job of shards under kills: no row is lost, none is there twice, nothing is left over."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mirrorkit import encode_shards
from mirrorkit.runtime.encoder import Encoder
from tests.cluster.texts import ROWS, check_shards, make_input

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here"),
]
FILES = 24


def worker(bundle: Path, texts: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    given = [str(bundle), str(texts), "-o", f"{out}/", "--id-column", "id", "--threads", "1", "--resume", *options]
    code = "from mirrorkit.cli.app import app; app()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "-q", "encode", *given], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(out: Path, shards: int, process: subprocess.Popen[str]) -> None:
    """Wait until so many shards are done, or the process has ended."""
    deadline = time.monotonic() + 120
    while len(list(out.glob("_shards/**/*.json"))) < shards and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_worker_that_is_killed_again_and_again(bundle: Path, encoder: Encoder, tmp_path: Path, seed: int) -> None:
    texts, out, draw = make_input(tmp_path / "texts", FILES), tmp_path / "out", random.Random(seed)
    for done in sorted(draw.sample(range(1, FILES - 2), 2)):
        process = worker(bundle, texts, out)
        wait_for(out, done, process)
        time.sleep(draw.uniform(0, 0.01))
        process.kill()
        process.communicate()
        assert not (out / "_SUCCESS").exists()
    before = encode_shards(bundle, texts, out, id_column="id", threads=1, status=True)
    result = encode_shards(bundle, texts, out, id_column="id", threads=1, resume=True)
    assert result.encoded == (FILES - before.done) * ROWS
    assert result.complete
    check_shards(out, FILES, encoder)
    assert encode_shards(bundle, texts, out, id_column="id", threads=1, resume=True).encoded == 0


def test_two_workers_at_the_same_shards(bundle: Path, encoder: Encoder, tmp_path: Path) -> None:
    """One result, whoever wrote it: neither fails, and nothing of the slower one is left."""
    texts, out = make_input(tmp_path / "texts", FILES), tmp_path / "out"
    both = [worker(bundle, texts, out, "--part", "1/1") for _ in range(2)]
    for process in both:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    assert encode_shards(bundle, texts, out, id_column="id", threads=1, finish=True).rows == FILES * ROWS
    check_shards(out, FILES, encoder)


def test_a_part_that_is_killed_is_done_by_the_next_one(bundle: Path, encoder: Encoder, tmp_path: Path) -> None:
    texts, out = make_input(tmp_path / "texts", FILES), tmp_path / "out"
    first, second = (worker(bundle, texts, out, "--part", part) for part in ("1/2", "2/2"))
    wait_for(out, 5, first)
    first.kill()
    first.communicate()
    assert second.wait(120) == 0
    second.communicate()
    again = worker(bundle, texts, out, "--part", "1/2")
    assert again.wait(120) == 0
    again.communicate()
    assert encode_shards(bundle, texts, out, id_column="id", threads=1, finish=True).complete
    check_shards(out, FILES, encoder)


def test_an_interrupt_says_how_to_go_on(bundle: Path, tmp_path: Path) -> None:
    texts, out = make_input(tmp_path / "texts", FILES), tmp_path / "out"
    process = worker(bundle, texts, out)
    wait_for(out, 3, process)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode in (143, 0)
    assert not (out / "_tmp").exists()
    assert "Traceback" not in said
