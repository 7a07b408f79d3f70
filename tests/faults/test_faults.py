"""A sample of the points of the sweep, another one for each commit; `make sweeps` checks all of them."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("pyarrow", reason="needs the parquet extra")

from tests.faults.jobs import JOBS
from tests.faults.kills import kill_at_random
from tests.faults.sweep import ROOT, Server, Sweep, Tally, table

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="a library is preloaded as on Linux"),
    pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler"),
]
WAYS = ("one step", "two steps")
POINTS = 2  # of each job, and half as many of those that take long


def seed() -> str:
    found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False, cwd=ROOT)
    return found.stdout.strip() or "no commit"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder whose inputs are made once for both servers."""
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module", params=WAYS)
def server(request: pytest.FixtureRequest, folder: Path) -> Iterator[Server]:
    environment = {"FAULTY_NO_EXCHANGE": "1"} if request.param == "two steps" else {}
    server = Server(folder, **environment)
    yield server
    server.close()


def not_its_turn(job: str, request: pytest.FixtureRequest) -> None:
    """Skip a job that takes long under one of the two ways to replace a folder, which one is drawn for the commit."""
    if JOBS[job].slow and request.node.callspec.params["server"] != random.Random(f"{job} {seed()}").choice(WAYS):
        pytest.skip("takes long; in this commit it is the other way's turn")


@pytest.mark.parametrize("job", JOBS)
def test_the_target_is_old_or_new_and_the_next_run_succeeds(
    server: Server, job: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    not_its_turn(job, request)
    sweep = Sweep(server, job, tmp_path / "place")
    points = list(sweep.points())
    assert len(points) > 30
    for point in random.Random(f"{seed()} {job}").sample(points, POINTS // 2 if JOBS[job].slow else POINTS):
        sweep.check(*point)
    assert sweep.tally.problems == []


@pytest.mark.parametrize("job", ["finetune", "export", "encode parquet"])
def test_a_job_that_is_killed_leaves_the_old_or_the_new(
    server: Server, job: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    not_its_turn(job, request)
    killed = kill_at_random(server, job, tmp_path / "place", 2, random.Random(f"{seed()} {job}"))
    assert killed.found.total() == 2
    assert killed.problems == []


def test_the_table_counts_every_point() -> None:
    tally = Tally()
    tally.points.update({"write kill": 2, "write EIO": 1, "fsync kill": 1})
    assert "| job | 3 | 1 | 0 | 0 | 0 | 0 | 4 | 0 |" in table({"job": tally})
