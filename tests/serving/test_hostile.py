"""Clients that mean no good, all on loopback and bounded: the right answer, and the server answers others after it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.engines import lookup_bundle
from tests.serving.running import PATIENCE, Running, need_serve, running

need_serve()
pytest.importorskip("onnx", reason="needs the export extra, to make what is served")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")

HEAD = b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def server(shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    bundle = lookup_bundle(tmp_path_factory.mktemp("served") / "lookup", shipped / "tokenizer.json")
    limits = ("--header-timeout", 1, "--request-timeout", 3, "--max-connections", 100, "--max-body-mb", 2)
    with running(bundle, arguments=limits) as started:
        yield started


@pytest.fixture(autouse=True)
def alive_after(server: Running) -> Iterator[None]:
    yield
    until = time.monotonic() + PATIENCE
    while True:  # connections of the test may still be on their way out
        try:
            assert server.ask("/embed", {"inputs": "alive"}).status == 200
            break
        except (AssertionError, OSError):
            assert time.monotonic() < until
            time.sleep(0.1)
    assert server.process.poll() is None
    assert not [line for line in server.lines if "Traceback" in line or "Error" in line]
    assert b"mirrorkit_held_bytes 0.0" in server.ask("/metrics").body


def connect(server: Running) -> socket.socket:
    return socket.create_connection((server.host, server.port), timeout=PATIENCE)


def answer(client: socket.socket) -> bytes:
    """Read until the server closes the connection, or has answered."""
    received = b""
    try:
        while part := client.recv(65536):
            received += part
            head, _, body = received.partition(b"\r\n\r\n")
            length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if body and length and len(body) >= int(length[0].split(b":")[1]):
                break
    except ConnectionResetError:
        pass
    return received


def status(client: socket.socket) -> int:
    received = answer(client)
    return int(received.split()[1]) if received else 0


def is_closed_on(client: socket.socket, drop: bytes) -> bool:
    """Send a little again and again, until the other side has had enough."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            client.sendall(drop)
        except OSError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("sent", [b"", b"POST /embed HTTP/1.1\r\n", b"\r\n", HEAD, b"GET / HTTP/1.1\r\nX"])
def test_a_head_that_does_not_come(server: Running, sent: bytes) -> None:
    with connect(server) as client:
        client.sendall(sent)
        began = time.monotonic()
        assert status(client) == 408
        assert time.monotonic() - began < PATIENCE / 2


def test_a_head_that_comes_byte_by_byte(server: Running) -> None:
    with connect(server) as client:
        client.sendall(HEAD)
        assert is_closed_on(client, b"X-A: b\r\n")


def test_a_head_on_a_kept_connection_that_does_not_come(server: Running) -> None:
    body = b'{"inputs": "x"}'
    for first in (body, b"{"):  # answered as it should be, and refused
        with connect(server) as client:
            client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(first) + first)
            assert status(client) in (200, 400)
            client.sendall(b"POST /embed HT")
            assert status(client) == 408


def test_a_body_that_does_not_come(server: Running) -> None:
    for sent in (
        b"Content-Length: 100\r\n\r\n",
        b'Content-Length: 100\r\n\r\n{"inputs',
        b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    ):
        with connect(server) as client:
            client.sendall(HEAD + sent)
            assert status(client) == 408


def test_a_refused_request_whose_body_never_ends(server: Running) -> None:
    with connect(server) as client:
        client.sendall(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert b" 404 " in answer(client)
        assert is_closed_on(client, b"1\r\nx\r\n")


def test_a_head_that_is_too_large(server: Running) -> None:
    with connect(server) as client:
        try:
            client.sendall(b"GET / HTTP/1.1\r\n")
            for i in range(200):
                client.sendall(b"X-%d: %s\r\n" % (i, b"a" * 4096))
        except OSError:
            pass  # closed by then
        assert status(client) in (431, 0)  # 0: the answer was lost to what we were still sending


def test_a_body_that_is_too_large(server: Running) -> None:
    body = b'{"inputs": "' + b"x" * 3_000_000 + b'"}'
    with connect(server) as client:
        client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert status(client) == 413
    with connect(server) as client:  # whoever asks first is told before sending
        client.sendall(HEAD + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(body))
        assert status(client) == 413
    with connect(server) as client:  # a length that is a lie
        client.sendall(HEAD + b"Content-Length: 999999999999\r\n\r\n")
        client.sendall(body)
        assert status(client) in (408, 413)
    with connect(server) as client:
        client.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(30):
            client.sendall(b"186a0\r\n" + b"x" * 100_000 + b"\r\n")
        client.sendall(b"0\r\n\r\n")
        assert status(client) == 413


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"inputs":' * 100_000,
        b'{"inputs": ' + b"[" * 500_000 + b"]" * 500_000 + b"}",
        b'{"inputs": ' + b"9" * 1_000_000 + b"}",
        b'{"inputs": "\xff\xfe\xfd"}',
        b"\x00" * 1000,
        b'{"inputs": "x", "dimensions": 1e400}',
        b'\xef\xbb\xbf{"inputs": "x"}',
        b'{"inputs": "' + b"\\u0000" * 300_000,
        b'{"inputs": {"inputs": {"inputs": "x"}}}',
        b'{"inputs": [' + b'"",' * 200_000 + b'""]}',
        b'{"inputs": [' + b"1," * 900_000 + b"1]}",
    ],
    ids=lambda body: f"{body[:16]!r} {len(body)}",
)
def test_json_that_is_none_or_too_much(server: Running, body: bytes) -> None:
    found = server.ask("/embed", body)
    assert found.status in (400, 413, 422)
    assert len(found.body) < 500  # what was sent does not come back
    assert set(found.json) == {"error", "error_type"}


def test_texts_that_are_odd(server: Running) -> None:
    texts = [
        "",
        " ",
        "\0",
        "\x1b[31m",
        "\ufffe",
        "\u202e",
        "\U0010ffff",
        "e\u0301" * 20,
        "\n" * 50,
        "[SEP][MASK][PAD]",
        "{{7*7}}",
    ]
    found = np.array(server.ask("/embed", {"inputs": texts}).json, dtype=np.float32)
    assert found.shape == (len(texts), 8)
    assert np.isfinite(found).all()


def test_a_text_of_one_long_word(server: Running) -> None:
    assert server.ask("/embed", {"inputs": "x" * 900_000, "truncate": True}).status == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # TLS
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00\xff" * 100 + b"\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"A B: c\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=lambda sent: repr(sent[-24:]),
)
def test_what_is_no_http(server: Running, sent: bytes) -> None:
    with connect(server) as client:
        client.sendall(sent)
        assert status(client) in (400, 404, 408)


@pytest.mark.parametrize(
    "path", ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/v1/models/..%2f..%2fetc%2fpasswd", "/%00"]
)
def test_paths_lead_nowhere(server: Running, path: str) -> None:
    assert server.ask(path).status == 404


def test_an_upgrade_is_not_made(server: Running) -> None:
    with connect(server) as client:
        client.sendall(b"GET /info HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert status(client) == 200


def test_requests_that_are_sent_ahead_are_answered_in_turn(server: Running) -> None:
    bodies = [json.dumps({"inputs": f"text {i}", "dimensions": 1 + i % 8}).encode() for i in range(20)]
    with connect(server) as client:
        client.sendall(b"".join(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body for body in bodies))
        received = b""
        while received.count(b"HTTP/1.1 200") < len(bodies) or not received.endswith(b"]]"):
            part = client.recv(65536)
            assert part
            received += part
    lengths = [part.partition(b"\r\n\r\n")[2].count(b",") + 1 for part in received.split(b"HTTP/1.1 200")[1:]]
    assert lengths == [1 + i % 8 for i in range(20)]


def test_more_requests_ahead_than_there_may_be(server: Running) -> None:
    with connect(server) as client:
        body = b'{"inputs": "x"}'
        try:
            for _ in range(50):
                client.sendall((HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body) * 1000)
        except OSError:
            pass
        assert len(answer(client)) < 1_000_000


def test_a_client_that_does_not_read_its_answer(server: Running) -> None:
    body = json.dumps({"inputs": ["x"] * 10_000}).encode()
    with connect(server) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(20):  # more than all buffers between us hold
            client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        until = time.monotonic() + PATIENCE
        while b"mirrorkit_held_bytes 0.0" not in server.ask("/metrics").body:
            assert time.monotonic() < until
            time.sleep(0.2)


def test_more_connections_than_there_may_be(server: Running) -> None:
    for _ in range(10):
        clients = [connect(server) for _ in range(150)]
        received = [answer(client)[:12] for client in clients[-20:]]
        for client in clients:
            client.close()
        assert set(received) <= {b"HTTP/1.1 503", b"HTTP/1.1 408"}
        assert b"HTTP/1.1 503" in received
    for _ in range(2000):  # one after the other, gone before an answer
        with connect(server) as client:
            client.sendall(b"GET /info HTTP/1.1\r\n")
