"""A forked child that inherits an open encoder ends when it is done, however it ends."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnx", reason="needs the export extra, to make what is run")

from mirrorkit import Encoder
from tests.bundles import make_foreign

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

START = """
import multiprocessing, os, sys
from mirrorkit import Encoder
encoder = Encoder(sys.argv[1], threads=int(sys.argv[2]))
expected = encoder.encode(["a text", "another"]).tobytes()

def child(work):
    pid = os.fork()
    if pid == 0:
        work()
        sys.exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7

def encodes():
    assert encoder.encode(["a text", "another"]).tobytes() == expected
"""

ENDS = {
    "doing nothing": "child(lambda: None)",
    "encoding": "child(encodes)",
    "letting go of it": "def forget():\n    global encoder\n    del encoder\nchild(forget)",
    "opening its own": "child(lambda: Encoder(sys.argv[1], threads=2).encode(['a']))",
    "in a fork of a fork": "child(lambda: child(encodes))",
    "in a fork that has encoded": "child(lambda: (encodes(), child(encodes)))",
    "in a pool": "def work(text):\n    return encoder.encode([text]).shape[0]\n"
    "with multiprocessing.get_context('fork').Pool(2) as pool:\n    assert pool.map(work, ['a', 'b', 'c']) == [1] * 3",
    "with threads of callers": "encoder.encode(['text ' * i for i in range(200)])\nchild(encodes)",
}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("end", ENDS)
def test_a_forked_child_ends(tmp_path: Path, tiny: Path, end: str, threads: int) -> None:
    folder = make_foreign(tmp_path / "folder", tiny / "tokenizer.json")
    command = [sys.executable, "-c", f"{START}\n{ENDS[end]}\nencodes()", str(folder), str(threads)]
    env = {**os.environ, "TOKENIZERS_PARALLELISM": "false"}  # older releases warn of it in a fork
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env)
    assert (done.returncode, done.stderr) == (0, "")


SERVER = """
import os
from mirrorkit import Encoder
encoder = Encoder(os.environ["BUNDLE"], threads=2)
encoder.encode(["before the fork"])

def app(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return [encoder.encode([environ["QUERY_STRING"]]).tobytes()]
"""


@pytest.mark.slow
def test_a_server_that_opens_before_it_forks_answers_and_stops(tmp_path: Path, tiny: Path) -> None:
    pytest.importorskip("gunicorn", reason="a server that forks")
    bundle = make_foreign(tmp_path / "folder", tiny / "tokenizer.json")
    (tmp_path / "served.py").write_text(SERVER, encoding="utf-8")
    place = tempfile.mkdtemp()  # tmp_path may be too long a name for a socket
    command = [sys.executable, "-m", "gunicorn", "--preload", "-w", "2", "-b", f"unix:{place}/s", "served:app"]
    env = {**os.environ, "BUNDLE": str(bundle), "HOME": str(tmp_path), "TOKENIZERS_PARALLELISM": "false"}
    env["PYTHONPATH"] = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.DEVNULL) as server:
        try:
            expected = Encoder(bundle, threads=2).encode(["text"]).tobytes()
            answers = [_asked(f"{place}/s", "/?text") for _ in range(6)]
            server.terminate()
            assert server.wait(timeout=20) == 0  # it would wait 30 s for a worker that does not end, and kill it
        finally:
            server.kill()
            shutil.rmtree(place)
    assert answers == [expected] * 6


def _asked(place: str, path: str) -> bytes:
    """Return the answer of the server, which is waited for."""
    for _ in range(300):
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(20)
            try:
                line.connect(place)
            except OSError:  # it has not started yet
                time.sleep(0.1)
                continue
            line.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            return line.makefile("rb").read().partition(b"\r\n\r\n")[2]
    raise AssertionError("the server does not answer")
