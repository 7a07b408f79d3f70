"""A graph in OpenVINO from its opening to its end: what is kept or damaged, forks, and that nothing is reported."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("openvino", reason="needs the openvino extra; `make test-consumers` has it")
pytest.importorskip("onnx", reason="needs the export extra, to make what is run")

from mirrorkit import Encoder
from mirrorkit.errors import BundleError
from mirrorkit.runtime.openvino import library, session
from tests.engines import lookup_bundle

TEXTS = ["the cat", "a much longer text about a cat that sat on a mat", "", "dog"]


@pytest.fixture
def light(tiny: Path, tmp_path: Path, cache: Path) -> Path:
    return lookup_bundle(tmp_path / "bundle", tiny / "tokenizer.json", ["fp32"])


def opened(folder: Path, **more: Any) -> Encoder:
    return Encoder(folder, engine="openvino", precision="fp32", **more)


def kept(cache: Path) -> list[Path]:
    return list(cache.rglob("*.blob"))


def counted(patch: pytest.MonkeyPatch) -> list[Path]:
    """Return the list to which every graph is added that is read anew."""
    read, files = library.read, list[Path]()

    def noting(file: Path) -> Any:
        files.append(file)
        return read(file)

    patch.setattr(library, "read", noting)
    return files


def test_the_first_batch_of_a_process_has_no_other_beside_it(light: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two first batches at once waited for one another for ever: seen once, in a dump of the stacks."""
    monkeypatch.setattr(library, "_used", False)
    threads, run = list[str](), session._Compiled.run

    def noting(self: Any, *batch: Any) -> Any:
        threads.append(threading.current_thread().name)
        return run(self, *batch)

    monkeypatch.setattr(session._Compiled, "run", noting)
    encoder = opened(light, threads=2)
    assert threads == [threading.current_thread().name]
    encoder.encode(TEXTS * 200)
    assert len(threads) > 2
    again = len(threads)
    opened(light)
    assert len(threads) == again


def test_the_second_opening_takes_what_the_first_has_kept(
    light: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = counted(monkeypatch)
    expected = opened(light).encode(TEXTS)
    assert len(files) == 1  # for one text and for many: one is compiled from what the other has kept
    (blob,) = kept(cache)
    assert blob.parent == cache / "mirrorkit" / "openvino"
    assert blob.parent.stat().st_mode & 0o077 == 0
    again = opened(light).encode(TEXTS)
    assert len(files) == 1
    np.testing.assert_array_equal(again, expected)


def test_another_graph_of_the_same_shape_is_kept_apart(light: Path, cache: Path, tiny: Path, tmp_path: Path) -> None:
    import onnx
    from onnx import numpy_helper

    one = opened(light).encode(TEXTS)
    other = tmp_path / "other"
    shutil.copytree(light, other)
    model = onnx.load(other / "onnx/model.onnx")
    weights = next(each for each in model.graph.initializer if each.dims[-1] == 8)
    weights.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(weights), weights.name))
    onnx.save(model, other / "onnx/model.onnx")
    np.testing.assert_allclose(opened(other, verify=False).encode(TEXTS), 2 * one, rtol=1e-6)
    assert len(kept(cache)) == 2


@pytest.mark.parametrize("damage", ["cut", "changed", "other"])
def test_damage_to_what_is_kept_costs_time_alone(
    light: Path, cache: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    expected = opened(light).encode(TEXTS)
    (blob,) = kept(cache)
    whole = blob.read_bytes()
    spoilt = {"cut": whole[:-9], "changed": whole[:-9] + bytes(1) + whole[-8:], "other": b"something else"}[damage]
    assert spoilt != whole
    blob.write_bytes(spoilt)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(opened(light).encode(TEXTS), expected)
    assert f"{blob}: damaged; compiled anew" in caplog.text
    assert blob.read_bytes()[:32] == whole[:32] or blob.stat().st_size == len(whole)


def test_a_cache_that_cannot_be_written_is_told_of(light: Path, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache.write_text("a file where the folder would be", encoding="utf-8")
    assert opened(light).encode(TEXTS).shape == (4, 8)
    assert "the compiled graph is not kept, so that each process takes longer to open it" in caplog.text


def test_a_damaged_graph_is_one_line(light: Path, cache: Path) -> None:
    graph = light / "onnx/model.onnx"
    graph.write_bytes(graph.read_bytes()[:-200])
    with pytest.raises(BundleError, match=r"model.onnx: has \d+ bytes, mirrorkit.json says"):
        opened(light)
    graph.write_bytes(b"\x08\x07 no graph at all")
    with pytest.raises(BundleError, match=r"model.onnx: ") as caught:
        library.read(graph)
    assert "\n" not in str(caught.value)
    assert kept(cache) == []


def test_weights_outside_of_the_folder_are_never_read(light: Path, tmp_path: Path) -> None:
    import onnx

    graph = light / "onnx/model.onnx"
    model = onnx.load(graph)
    onnx.save(model, graph, save_as_external_data=True, location="weights", size_threshold=0)
    outside = tmp_path / "outside"
    shutil.move(graph.with_name("weights"), outside)
    graph.with_name("weights").symlink_to(outside)
    with pytest.raises(BundleError, match="reads weights from 'weights', which is not a file in its folder"):
        library.read(graph)


START = """
import multiprocessing, os, sys, mirrorkit
from mirrorkit import Encoder
encoder = Encoder(sys.argv[1], engine="openvino", precision="fp32", threads=int(sys.argv[2]))
TEXTS = ["a text " * i for i in range(200)]
expected = encoder.encode(TEXTS).tobytes(), encoder.encode(["one"]).tobytes()

def child(work):
    pid = os.fork()
    if pid == 0:
        work()
        sys.stderr.flush()
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7

def encodes():
    assert (encoder.encode(TEXTS).tobytes(), encoder.encode(["one"]).tobytes()) == expected

def refused():
    opens = lambda: Encoder(sys.argv[1], engine="openvino", precision="fp32")
    for work in (lambda: encoder.encode(TEXTS), lambda: encoder.encode(["one"]), opens):
        try:
            work()
        except mirrorkit.ConfigError as err:
            assert str(err).startswith("OpenVINO does not survive a fork; start the process with spawn"), err
        else:
            sys.exit(1)
"""
ENDS = {
    "being refused": "child(refused)",
    "in a fork of a fork": "child(lambda: child(refused))",
    "after a spawned one": "with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
    "    assert pool.map(encoder.encode, [TEXTS])[0].tobytes() == expected[0]\nchild(refused)",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("end", ENDS)
def test_a_forked_child_is_refused(light: Path, end: str, threads: int) -> None:
    command = [sys.executable, "-c", f"{START}\n{ENDS[end]}\nencodes()", str(light), str(threads)]
    env = {**os.environ, "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env)
    assert (done.returncode, done.stderr) == (0, "")


QUIET = """
import sys, mirrorkit
encoder = mirrorkit.Encoder(sys.argv[1], engine="openvino", precision="fp32")
encoder.encode(["a text"] * 3), encoder.encode(["one"])
assert not [name for name in sys.modules if name.startswith("openvino_telemetry")], "it is loaded"
"""


def test_nothing_is_reported_and_a_fresh_home_has_the_graph_alone(light: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    env = {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME" and not name.startswith("CI")}
    env |= {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    command, trace = [sys.executable, "-c", QUIET, str(light)], tmp_path / "trace"
    watch = ["strace", "-f", "-qq", "-e", "trace=connect,sendto", "-o", str(trace)]
    can = shutil.which("strace") and not subprocess.run([*watch, "true"], capture_output=True, check=False).returncode
    done = subprocess.run([*watch, *command] if can else command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    files = [file.relative_to(home) for file in home.rglob("*") if file.is_file()]
    assert [(file.parent.as_posix(), file.suffix) for file in files] == [(".cache/mirrorkit/openvino", ".blob")]
    assert not can or "AF_INET" not in trace.read_text(encoding="utf-8")
