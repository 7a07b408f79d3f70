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

from mirrorkit import SentenceEncoder
from mirrorkit.assets.paths import GRADED, TINY

pytestmark = pytest.mark.slow

DEADLINE = 120  # seconds until a process that hangs is given up
WEIGHTS = (TINY / "model.safetensors").stat().st_size
DISK, FILLER = 3 * WEIGHTS, WEIGHTS * 9 // 4  # room for a model and its draft; for neither beside the filler

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
    from mirrorkit.terminal.console import LiveProgress
    wait_at(LiveProgress, "advance")
else:  # the weights are written by then, the card is not
    from mirrorkit.training import saving
    wait_at(saving, "model_card")
from mirrorkit.cli.app import app
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
    command = ["finetune", "tiny", str(corpus), "-o", str(out), "--batch-size", "16", "--steps", "3"]
    command += ["--device", "cpu", *options]
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
    return list(out.parent.glob(f".{out.name}.mirrorkit/new"))


@pytest.fixture
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a place for the result: one that is free, or one that holds a model."""
    place = tmp_path / "out"
    if request.param == "overwritten":
        place.mkdir()
        (place / "training.json").write_text('{"base": "the old model"}', encoding="utf-8")
    return place


@pytest.mark.parametrize(("out", "moment"), [("new", "training"), ("overwritten", "saving")], indirect=["out"])
def test_an_interrupt_is_one_line_and_changes_nothing(
    moment: str, started: list[Process], meeting: Path, corpus: Path, out: Path
) -> None:
    before = contents(out)
    process = start(started, moment, meeting, corpus, out, "--overwrite")
    wait_until_there(meeting, process)
    assert drafts(out)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=DEADLINE)
    assert (process.returncode, stdout) == (130, "")
    assert stderr == "mirrorkit: interrupted, nothing was written\n"
    assert out.exists() == bool(before)
    assert contents(out) == before
    assert drafts(out) == []


@pytest.mark.parametrize(("out", "moment"), [("new", "training"), ("overwritten", "saving")], indirect=["out"])
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
    assert SentenceEncoder.load(out).encode(["a text"]).shape == (1, SentenceEncoder.load(TINY).dim)


def test_of_two_at_once_one_wins_and_the_other_says_who_holds_the_target(
    started: list[Process], meeting: Path, corpus: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = start(started, "training", meeting, corpus, out)
    wait_until_there(meeting, first)
    second = start(started, "training", meeting, corpus, out, "--overwrite")
    _, stderr = second.communicate(timeout=DEADLINE)
    assert (second.returncode, stderr.count("\n")) == (2, 1), stderr
    assert f"{out}: is being written by process {first.pid} on " in stderr
    (meeting / "go").touch()
    _, stderr = first.communicate(timeout=DEADLINE)
    assert (first.returncode, stderr) == (0, "")
    assert SentenceEncoder.load(out).encode(["a text"]).shape == (1, SentenceEncoder.load(TINY).dim)
    assert drafts(out) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(disk)]
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
        filler.write_bytes(bytes(FILLER))
    process = start(started, "training", meeting, corpus, small_disk / "out")
    if when == "meanwhile":
        wait_until_there(meeting, process)
        filler.write_bytes(bytes(FILLER))
        (meeting / "go").touch()
    stdout, stderr = process.communicate(timeout=DEADLINE)
    assert (process.returncode, stdout, stderr.count("\n")) == (2, "", 1), stderr
    assert ("MB free" if when == "before" else "cannot be written") in stderr
    assert list(small_disk.iterdir()) == [filler]
