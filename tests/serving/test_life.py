"""The server in service: logs, keys, full queues, clients that leave, signals, processes, bad commands."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.engines import lookup_bundle
from tests.serving.running import PATIENCE, ROOT, Running, need_serve, running

need_serve()
pytest.importorskip("onnx", reason="needs the export extra, to make what is served")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")

from mirrorkit.runtime.encoder import Encoder

KEY = "a-key-of-16-chars"


@pytest.fixture(scope="module")
def bundle(shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lookup_bundle(tmp_path_factory.mktemp("served") / "lookup", shipped / "tokenizer.json", ("fp32", "int8"))


def test_nothing_of_a_text_is_logged_unless_asked(bundle: Path) -> None:
    secret = "a secret that is nobody's"
    for arguments, logged, told in (
        ((), False, False),
        (("--log-requests",), True, False),
        (("--log-texts",), True, True),
    ):
        with running(bundle, arguments=arguments, MIRRORKIT_API_KEY=KEY) as server:
            bearer = {"Authorization": f"Bearer {KEY}"}
            assert server.ask("/v1/embeddings", {"input": secret, "model": "lookup"}, **bearer).status == 200
            assert server.ask("/v1/embeddings", {"input": secret, "model": secret}, **bearer).status == 404
            assert server.ask(f"/{secret.replace(' ', '%0a')}", **bearer).status == 404
        lines = "".join(server.lines)
        assert ("POST /v1/embeddings 200" in lines) is logged
        assert (secret in lines) is told
        assert KEY not in lines
        assert server.process.returncode == 0


def test_a_key_is_asked_for(bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{KEY}\n", encoding="utf-8")
    file.chmod(0o600)
    with running(bundle, arguments=("--key-file", file, "--host", "0.0.0.0")) as server:
        body = {"input": "x", "model": "lookup"}
        for header in ({}, {"Authorization": KEY}, {"Authorization": f"Bearer {KEY[:-1]}"}):
            answer = server.ask("/v1/embeddings", body, **header)
            assert (answer.status, answer.json["error"]["code"]) == (401, "invalid_api_key")
            assert answer.headers["www-authenticate"] == "Bearer"
            assert KEY not in answer.body.decode()
        for path in ("/info", "/metrics", "/v1/models"):
            assert server.ask(path).status == 401
        assert server.ask("/embed", {"inputs": "x"}).json["error_type"] == "Validation"
        good = {"Authorization": f"Bearer {KEY}"}
        assert server.ask("/v1/embeddings", body, Host="anything.example", **good).status == 200
        assert server.ask("/health").status == server.ask("/ready").status == 200
        file.write_text("another-key-of-mine\n", encoding="utf-8")
        server.signal(signal.SIGHUP)
        server.told("reloaded")
        assert server.ask("/v1/embeddings", body, **good).status == 401
        file.write_text("", encoding="utf-8")  # nobody is let in because a file was emptied
        server.signal(signal.SIGHUP)
        server.told("holds no key")
        assert server.ask("/v1/embeddings", body).status == 401


def test_what_is_changed_during_a_reload_is_read_by_another(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mirrorkit.serving import service
    from mirrorkit.serving.settings import Settings, named_bundles

    served = service.Service(Settings(named_bundles([str(bundle)]), threads=1))
    reading, go, reads = threading.Event(), threading.Event(), list[int]()

    def slowly(settings: Settings) -> Any:
        reads.append(len(reads))
        reading.set()
        assert go.wait(PATIENCE)
        return served.keys

    monkeypatch.setattr(service, "read_keys", slowly)
    first = threading.Thread(target=served.reload)
    first.start()
    assert reading.wait(PATIENCE)
    for _ in range(3):  # a key was revoked, after the file of keys had been read
        served.reload()
    assert len(reads) == 1
    go.set()
    first.join(PATIENCE)
    assert len(reads) == 2
    served.reload()
    assert len(reads) == 3


def ask_on(server: Running, stop: threading.Event, answers: list[int]) -> None:
    while not stop.is_set():
        try:
            answers.append(server.ask("/v1/embeddings", {"input": ["x"] * 20, "model": "lookup"}).status)
        except OSError:
            answers.append(0)


def test_a_reload_serves_the_new_bundle_and_drops_no_request(shipped: Path, tmp_path: Path) -> None:
    import shutil

    place = tmp_path / "lookup"
    lookup_bundle(place, shipped / "tokenizer.json")
    answers: list[int] = []
    before, stop = Encoder(place).fingerprint, threading.Event()
    with running(place) as server:
        clients = [threading.Thread(target=ask_on, args=(server, stop, answers)) for _ in range(4)]
        for client in clients:
            client.start()
        try:
            assert server.ask("/info").json["fingerprint"] == before
            place.rename(tmp_path / "old")
            lookup_bundle(place, shipped / "tokenizer.json", max_length=32)
            server.signal(signal.SIGHUP)
            server.told("reloaded: other models")
            after = server.ask("/info").json
            assert (after["fingerprint"], after["max_input_length"]) == (Encoder(place).fingerprint, 32)
            shutil.rmtree(place)
            server.signal(signal.SIGHUP)
            server.told("serving what was open before")
            assert server.ask("/info").json == after
        finally:
            stop.set()
            for client in clients:
                client.join()
    assert len(answers) > 10
    assert set(answers) == {200}


def test_what_is_under_way_is_answered_before_the_end(bundle: Path) -> None:
    with running(bundle, arguments=("--max-texts", 20_000)) as own:
        answers: list[Any] = []
        texts = ["some words to look up"] * 20_000
        client = threading.Thread(target=lambda: answers.append(own.ask("/embed", {"inputs": texts})))
        client.start()
        while b"mirrorkit_waiting_texts 0" in own.ask("/metrics").body:
            time.sleep(0.01)
        own.signal(signal.SIGTERM)
        client.join(PATIENCE)
        assert own.process.wait(PATIENCE) == 0
        with pytest.raises(OSError, match="refused"):
            own.ask("/health")
    assert answers[0].status == 200
    assert len(answers[0].json) == 20_000


def test_a_full_queue_says_when_to_come_again(bundle: Path) -> None:
    with running(bundle, arguments=("--max-queue", 10, "--max-held-mb", 0.05)) as server:
        for body in ({"inputs": ["x"] * 11}, {"inputs": ["x " * 100] * 10, "padding": "p" * 60_000}):
            answer = server.ask("/embed", body)
            assert (answer.status, answer.json["error_type"]) == (429, "Overloaded")
            assert 1 <= int(answer.headers["retry-after"]) <= 60
        answer = server.ask("/v1/embeddings", {"input": ["x"] * 11, "model": "lookup"})
        assert (answer.status, answer.json["error"]["code"]) == (429, "rate_limit_exceeded")
        assert server.vectors(["x"] * 10).shape == (10, 8)
        assert b"mirrorkit_held_bytes 0.0" in server.ask("/metrics").body


def test_who_has_gone_is_not_computed_for(bundle: Path) -> None:
    with running(bundle, arguments=("--max-texts", 20_000)) as server:
        body = b'{"inputs": [%s"x"]}' % (b'"some words to look up and so on", ' * 19_999)
        with socket.create_connection((server.host, server.port)) as client:
            head = b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            while b"mirrorkit_waiting_texts 0" in server.ask("/metrics").body:
                time.sleep(0.005)
        until = time.monotonic() + PATIENCE
        while b'status="499"' not in (page := server.ask("/metrics").body):
            assert time.monotonic() < until
            time.sleep(0.01)
        assert b"mirrorkit_waiting_texts 0.0" in page
        done = re.search(rb"mirrorkit_texts_total\{[^}]*\} (\S+)", page)
        assert done is None or float(done[1]) < 20_000


def test_processes_share_the_port_and_are_replaced(bundle: Path) -> None:
    with running(bundle, arguments=("--workers", 2)) as server:
        server.told("by 2 processes")
        for _ in range(20):
            assert server.ask("/embed", {"inputs": "x"}).status == 200
        assert b'mirrorkit_texts_total{model="lookup",variant="int8"} 20.0' in server.ask("/metrics").body
        children = [int(pid) for pid in children_of(server.process.pid)]
        os.kill(children[0], signal.SIGKILL)
        server.told("ended with -9.*another starts")
        until = time.monotonic() + PATIENCE
        while len(children_of(server.process.pid)) < len(children):
            assert time.monotonic() < until
            time.sleep(0.05)
        server.signal(signal.SIGHUP)
        server.told("reloaded: the same models")
        assert server.ask("/embed", {"inputs": "x"}).status == 200
        server.signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE) == 0


def children_of(pid: int) -> list[str]:
    """Return the processes that serve."""
    found = subprocess.run(["pgrep", "-P", str(pid), "-f", "spawn_main"], capture_output=True, text=True, check=False)
    return found.stdout.split()


COMMANDS: dict[str, tuple[list[object], str]] = {
    "nothing": ([], "Missing argument"),
    "no such folder": (["none"], "none: no such folder"),
    "a path that leads nowhere": (["./no/such/folder"], "./no/such/folder: no such folder"),
    "a file": (["BUNDLE/config.json"], "config.json: is a file"),
    "no bundle": (["."], "neither mirrorkit.json nor an ONNX graph"),
    "two of a name": (["BUNDLE", "BUNDLE"], "two bundles are called lookup"),
    "a bad name": (["a b=BUNDLE"], "cannot be the name"),
    "no such variant": (["BUNDLE", "--variants", "fp16"], "variant 'fp16'"),
    "others without a key": (["BUNDLE", "--host", "0.0.0.0"], "--host '0.0.0.0': .*--key-file.*--without-key"),
    "no such address": (["BUNDLE", "--host", "no such", "--without-key"], "--host 'no such': no such address"),
    "a port that is none": (["BUNDLE", "--port", "70000"], "--port 70000: must be"),
    "no key file": (["BUNDLE", "--key-file", "none"], "none: cannot be read"),
    "no time": (["BUNDLE", "--request-timeout", "0"], "--request-timeout 0.0: must be above 0"),
    "more connections than there may be": (
        ["BUNDLE", "--max-connections", "2000000000"],
        "--max-connections .*must be at most",
    ),
    "no workers": (["BUNDLE", "--workers", "0"], "--workers 0: must be"),
    "a bad device": (["BUNDLE", "--device", "tpu"], "device 'tpu'|--device 'tpu'"),
    "no threads": (["BUNDLE", "--threads", "0"], "--threads 0: must be"),
    "broken, by two": (["broken=BROKEN", "--workers", "2", "--port", "0", "--variants", "fp32"], "model.onnx"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_bad_command_ends_with_one_line(bundle: Path, tmp_path: Path, name: str) -> None:
    import shutil

    given, message = COMMANDS[name]
    if "broken=BROKEN" in given:
        shutil.copytree(bundle, tmp_path / "broken")
        (tmp_path / "broken" / "onnx" / "model.onnx").write_bytes(b"broken")
    places = {"BUNDLE": str(bundle), "BROKEN": str(tmp_path / "broken")}
    arguments = [str(one).replace("BUNDLE/", f"{bundle}/") for one in given]
    arguments = [places.get(word, word) for word in arguments]
    arguments = [
        f"{w.partition('=')[0]}={places[w.partition('=')[2]]}" if w.partition("=")[2] in places else w
        for w in arguments
    ]
    done = subprocess.run(
        [sys.executable, "-m", "mirrorkit", "serve", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert re.search(message, done.stderr), done.stderr
    assert name == "nothing" or len(done.stderr.splitlines()) == 1, done.stderr


def test_a_port_in_use_ends_with_one_line(bundle: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "mirrorkit", "serve", str(bundle), "--port", port],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=PATIENCE,
            check=False,
        )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"--port {port}: 127.0.0.1 cannot be listened on (Address already in use)" in done.stderr
