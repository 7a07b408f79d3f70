"""Stop, kill, race and starve the command in processes of its own: OUT is whole or it is not there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the train extra")

import mirrorkit
from mirrorkit import SentenceEncoder

pytestmark = pytest.mark.slow

GRADED = Path(mirrorkit.__file__).parent / "assets" / "graded.tsv"
DEADLINE = 120  # seconds until a process that hangs is given up

# The command, which at one moment of its run makes a file "here-PID" and waits there for a file "go".
DRIVER = """
import os, signal, sys, time
from pathlib import Path

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
moment, where = sys.argv[1], Path(sys.argv[2])

def wait_at(owner, name):
    real = getattr(owner, name)
    def waiting(*args, **kwargs):
        (where / f"here-{os.getpid()}").touch()
        while not (where / "go").exists():
            time.sleep(0.01)
        return real(*args, **kwargs)
    setattr(owner, name, waiting)

if moment == "training":
    from mirrorkit.console import LiveProgress
    wait_at(LiveProgress, "step")
else:  # the weights are written by then, the card is not
    from mirrorkit.training import finetune
    wait_at(finetune, "model_card")
from mirrorkit.cli import app
app(sys.argv[3:])
"""

Process = subprocess.Popen[str]


@pytest.fixture
def meeting(tmp_path: Path) -> Path:
    folder = tmp_path / "meeting"
    folder.mkdir()
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    file = tmp_path / "corpus.txt"
    lines = [line.split("\t")[1] for line in GRADED.read_text(encoding="utf-8").splitlines()[:48]]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


@pytest.fixture
def started() -> Iterator[list[Process]]:
    """Collect processes, none of which outlives its test."""
    processes: list[Process] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def start(started: list[Process], moment: str, meeting: Path, corpus: Path, out: Path, *options: str) -> Process:
    command = ["finetune", "tiny", str(corpus), "-o", str(out), "--batch-size", "16", "--device", "cpu", *options]
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, moment, str(meeting), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    started.append(process)
    return process


def wait_until_there(meeting: Path, *processes: Process) -> None:
    deadline = time.monotonic() + DEADLINE
    while not all((meeting / f"here-{process.pid}").exists() for process in processes):
        for process in processes:
            assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def drafts(out: Path) -> list[Path]:
    return list(out.parent.glob(f".{out.name}.*.partial"))


@pytest.fixture(params=["new", "overwritten"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a place for the result: one that is free, or one that holds a model."""
    place = tmp_path / "out"
    if request.param == "overwritten":
        place.mkdir()
        (place / "config.json").write_text("the old model", encoding="utf-8")
    return place


@pytest.mark.parametrize("moment", ["training", "saving"])
def test_an_interrupt_is_one_line_and_changes_nothing(
    moment: str, started: list[Process], meeting: Path, corpus: Path, out: Path
) -> None:
    before = contents(out)
    process = start(started, moment, meeting, corpus, out, "--overwrite")
    wait_until_there(meeting, process)
    assert bool(drafts(out)) == (moment == "saving")
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=DEADLINE)
    assert (process.returncode, stdout) == (130, "")
    assert stderr == "mirrorkit: interrupted, nothing was written\n"
    assert out.exists() == bool(before)
    assert contents(out) == before
    assert drafts(out) == []


@pytest.mark.parametrize("moment", ["training", "saving"])
def test_a_kill_changes_nothing_and_the_next_run_works(
    moment: str, started: list[Process], meeting: Path, corpus: Path, out: Path
) -> None:
    before = contents(out)
    process = start(started, moment, meeting, corpus, out, "--overwrite")
    wait_until_there(meeting, process)
    process.kill()
    process.communicate(timeout=DEADLINE)
    assert process.returncode == -signal.SIGKILL
    assert out.exists() == bool(before)
    assert contents(out) == before

    (meeting / "go").touch()
    second = start(started, moment, meeting, corpus, out, "--overwrite")
    _, stderr = second.communicate(timeout=DEADLINE)
    assert (second.returncode, stderr) == (0, "")
    assert SentenceEncoder.load(out).encode(["a text"]).shape == (1, 256)


def test_two_at_once_keep_both_results(started: list[Process], meeting: Path, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    both = [start(started, "training", meeting, corpus, out, "--seed", str(seed)) for seed in (1, 2)]
    wait_until_there(meeting, *both)
    (meeting / "go").touch()
    errors = [process.communicate(timeout=DEADLINE)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2], errors
    loser = next(i for i, process in enumerate(both) if process.returncode == 2)
    kept = tmp_path / f"out-{both[loser].pid}"
    assert errors[1 - loser] == ""
    assert errors[loser].count("\n") == 1
    assert f"filled by someone else meanwhile; this result is in {kept}" in errors[loser]
    first, second = (SentenceEncoder.load(folder).encode(["a text"]) for folder in (out, kept))
    assert (first != second).any()
    assert drafts(out) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_full_disk_is_one_line_and_leaves_nothing(
    when: str, started: list[Process], meeting: Path, corpus: Path, small_disk: Path
) -> None:
    """A disk that is too small is seen before the training, one that fills up during it at the end."""
    filler = small_disk / "filler"
    if when == "before":
        filler.write_bytes(bytes(24 << 20))
    process = start(started, "training", meeting, corpus, small_disk / "out")
    if when == "meanwhile":
        wait_until_there(meeting, process)
        filler.write_bytes(bytes(24 << 20))
        (meeting / "go").touch()
    stdout, stderr = process.communicate(timeout=DEADLINE)
    assert (process.returncode, stdout, stderr.count("\n")) == (2, "", 1), stderr
    assert ("MB free" if when == "before" else "cannot be written") in stderr
    assert list(small_disk.iterdir()) == [filler]
