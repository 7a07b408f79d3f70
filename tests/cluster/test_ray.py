"""Shards on two Ray nodes of this machine, of which workers, nodes and the driver are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
pytest.importorskip("ray", reason="needs the ray extra, as the environment of tests/consumers has it")
from ray.cluster_utils import Cluster

from mirrorkit import encode_shards
from mirrorkit.runtime.encoder import Encoder
from tests.cluster.texts import ROWS, check_shards, make_input

pytestmark = pytest.mark.slow
FILES, TIMES = 24, 30
MEMORY = 2 << 30  # bytes that a node says it has


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "memory": MEMORY, "include_dashboard": False})
    found.add_node(num_cpus=1, memory=MEMORY)
    found.wait_for_nodes()
    yield found
    found.shutdown()


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_input(tmp_path_factory.mktemp("texts"), FILES, TIMES)


def driver(cluster: Any, bundle: Path, texts: Path, out: Path) -> subprocess.Popen[str]:
    given = [
        str(bundle),
        str(texts),
        "-o",
        f"{out}/",
        "--id-column",
        "id",
        "--resume",
        "--on",
        f"ray={cluster.address}",
    ]
    code = "from mirrorkit.cli.app import app; app()"
    return subprocess.Popen([sys.executable, "-c", code, "encode", *given], stderr=subprocess.PIPE, text=True)


def workers_of(cluster: Any) -> list[int]:
    """Return the processes that encode, children of the nodes of this very cluster."""
    raylets = {str(info.process.pid) for node in cluster.list_all_nodes() for info in node.all_processes["raylet"]}
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = (place / "stat").read_text().rpartition(")")[2].split()[1]
            called = (place / "cmdline").read_bytes()
        except OSError:
            continue
        if parent in raylets and called.startswith(b"ray::_encode"):
            found.append(int(place.name))
    return found


def done(out: Path) -> int:
    return len(list(out.glob("_shards/**/*.json")))


def kill(what: str, cluster: Any, process: subprocess.Popen[str], draw: random.Random) -> None:
    if what == "driver":
        process.kill()
    elif what == "node":
        (node,) = cluster.worker_nodes
        cluster.remove_node(node, allow_graceful=False)
        cluster.add_node(num_cpus=1, memory=MEMORY)
    else:
        deadline = time.monotonic() + 30
        while not (found := workers_of(cluster)) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)  # between two tasks Ray calls a worker idle
        os.kill(draw.choice(found), signal.SIGKILL)


@pytest.mark.parametrize("what", ["worker", "node", "driver"])
def test_kills(what: str, cluster: Any, bundle: Path, encoder: Encoder, texts: Path, tmp_path: Path) -> None:
    out, draw = tmp_path / "out", random.Random(what)
    process = driver(cluster, bundle, texts, out)
    after, deadline = draw.randrange(2, FILES - 6), time.monotonic() + 90
    while done(out) < after and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    assert process.poll() is None
    kill(what, cluster, process, draw)
    _, said = process.communicate(timeout=120)
    if what == "driver":
        assert not (out / "_SUCCESS").exists()
        process = driver(cluster, bundle, texts, out)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    check_shards(out, FILES, encoder, TIMES)
    again = encode_shards(bundle, texts, out, id_column="id", resume=True)
    assert (again.encoded, again.rows, again.complete) == (0, FILES * TIMES * ROWS, True)


def test_errors_come_through_as_they_are(cluster: Any, bundle: Path, tmp_path: Path) -> None:
    texts = make_input(tmp_path / "texts", 2)
    (texts / "z.jsonl").write_text('{"id": 1, "text": 3}\n', encoding="utf-8")
    process = driver(cluster, bundle, texts, tmp_path / "out")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 2
    assert said.splitlines()[-1].endswith("z.jsonl, line 1: text is int, not a string")
    assert "Traceback" not in said
