"""The server as clients meet it: both kinds of request, errors, keys, limits, signals."""

from __future__ import annotations

import base64
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
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


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[Running]:
    limits = ("--max-texts", 500, "--max-body-mb", 1, "--request-timeout", 20)
    with running(bundle, f"other={bundle}", arguments=("--variants", "fp32,int8", *limits)) as started:
        yield started


@pytest.fixture(scope="module")
def encoder(bundle: Path) -> Encoder:
    return Encoder(bundle, "fp32")


def test_openai_gives_vectors_as_floats_and_as_bytes(server: Running, encoder: Encoder, real_texts: list[str]) -> None:
    texts = [text for text in real_texts if encoder.count_tokens([text])[0] < encoder.max_length]
    expected = encoder.encode(texts)
    answer = server.ask("/v1/embeddings", {"input": texts, "model": "lookup"})
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    whole = answer.json
    assert (whole["object"], whole["model"]) == ("list", "lookup")
    assert [item["index"] for item in whole["data"]] == list(range(len(texts)))
    assert {item["object"] for item in whole["data"]} == {"embedding"}
    tokens = int(encoder.count_tokens(texts).sum())
    assert whole["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    floats = np.array([item["embedding"] for item in whole["data"]], dtype=np.float32)
    assert np.abs(floats - expected).max() <= 1e-6
    packed = server.ask("/v1/embeddings", {"input": texts, "model": "lookup", "encoding_format": "base64"}).json["data"]
    read = np.stack([np.frombuffer(base64.b64decode(item["embedding"]), "<f4") for item in packed])
    assert np.abs(read - expected).max() <= 1e-6


def test_one_text_has_the_encoders_bits_through_json_too(
    server: Running, encoder: Encoder, real_texts: list[str]
) -> None:
    for text in real_texts[:8]:
        assert np.array_equal(server.vectors(text), encoder.encode([text])), text


def test_token_ids_and_lists_of_them(server: Running, encoder: Encoder) -> None:
    text = "A cat sits on the mat."
    (pieces,) = server.ask("/tokenize", {"inputs": text}).json
    ids = [piece["id"] for piece in pieces]
    expected = encoder.encode([text])
    assert np.array_equal(server.vectors(ids), expected)
    assert np.abs(server.vectors([ids, ids[:1]])[0] - expected[0]).max() <= 1e-6


def test_dimensions_are_cut_and_brought_to_unit_length(server: Running, encoder: Encoder) -> None:
    found = server.vectors(["A cat sits on the mat."], dimensions=3)
    assert np.abs(found - encoder.encode(["A cat sits on the mat."], truncate_dim=3, normalize=True)).max() <= 1e-6
    assert abs(np.linalg.norm(found) - 1) < 1e-6


def test_a_variant_a_model_and_a_prompt_by_request(server: Running, bundle: Path) -> None:
    text, encoder = "A cat", Encoder(bundle, "int8")
    for fields in ({"model": "lookup:int8"}, {"model": "other", "variant": "int8"}, {"model": "other:int8"}):
        answer = server.ask("/v1/embeddings", {"input": text, **fields})
        assert answer.headers["x-mirrorkit-fingerprint"] == encoder.fingerprint
        assert answer.headers["x-mirrorkit-model"].endswith(":int8")
        assert answer.json["model"] == fields["model"]
    prompted = server.vectors(text, prompt="the: ")
    assert np.abs(prompted - Encoder(bundle, "fp32").encode([text], prompt="the: ")).max() <= 1e-6
    assert np.array_equal(server.vectors(text, prompt_name="query"), server.vectors(text))


def test_tei_gives_a_list_of_vectors(server: Running, encoder: Encoder) -> None:
    texts = ["A cat sits on the mat.", "Somebody plays."]
    for path in ("/embed", "/"):
        found = np.array(server.ask(path, {"inputs": texts}).json, dtype=np.float32)
        assert np.abs(found - encoder.encode(texts, normalize=True)).max() <= 1e-6
    assert len(server.ask("/embed", {"inputs": texts[0]}).json) == 1
    assert len(server.ask("/embed", {"inputs": texts[0], "dimensions": 2}).json[0]) == 2


def test_tei_says_what_it_serves(server: Running, encoder: Encoder) -> None:
    info = server.ask("/info").json
    assert (info["model_id"], info["max_input_length"], info["auto_truncate"]) == ("lookup", 64, False)
    assert info["fingerprint"] == info["model_sha"] == encoder.fingerprint
    assert set(info["models"]) == {"lookup", "other"}
    assert server.ask("/info?model=other:int8").json["variant"] == "int8"
    assert server.ask("/info?model=none").status == 404


def test_tokens_say_where_they_come_from(server: Running) -> None:
    text = "Köln, \U0001f600 cat"
    (pieces,) = server.ask("/tokenize", {"inputs": text}).json
    assert pieces[0] == {**pieces[0], "special": True, "start": None, "stop": None}
    inner = [piece for piece in pieces if not piece["special"]]
    assert all(piece["text"] == text[piece["start"] : piece["stop"]] for piece in inner)
    (bare,) = server.ask("/tokenize", {"inputs": text, "add_special_tokens": False}).json
    assert bare == inner
    (many,) = server.ask("/tokenize", {"inputs": "cat " * 200}).json
    assert len(many) >= 200  # however long


def test_models_are_listed_and_found(server: Running) -> None:
    listed = server.ask("/v1/models").json
    assert listed["object"] == "list"
    assert [m["id"] for m in listed["data"]][:3] == ["lookup", "lookup:fp32", "lookup:int8"]
    assert server.ask("/v1/models/other").json["id"] == "other"
    missing = server.ask("/v1/models/none")
    assert (missing.status, missing.json["error"]["code"]) == (404, "model_not_found")


BAD: dict[str, tuple[object, int, str]] = {
    "no model": ({"input": "x"}, 400, "you must provide a `model`"),
    "no input": ({"model": "lookup"}, 400, "you must provide `input`"),
    "unknown model": ({"model": "none", "input": "x"}, 404, "does not exist"),
    "unknown variant": ({"model": "lookup:fp16", "input": "x"}, 404, "is not served as 'fp16'"),
    "input a number": ({"model": "lookup", "input": 5}, 400, "must be a string"),
    "input null": ({"model": "lookup", "input": None}, 400, "must be a string"),
    "input an object": ({"model": "lookup", "input": {"a": 1}}, 400, "must be a string"),
    "empty list": ({"model": "lookup", "input": []}, 400, "must not be empty"),
    "empty ids": ({"model": "lookup", "input": [[]]}, 400, "must not be empty"),
    "mixed": ({"model": "lookup", "input": ["a", 5]}, 400, "`input[1]` must be a string"),
    "mixed ids": ({"model": "lookup", "input": [[1], "a"]}, 400, "`input[1]` must be token ids"),
    "a float id": ({"model": "lookup", "input": [1, 2.5]}, 400, "must be token ids"),
    "a bool id": ({"model": "lookup", "input": [1, True]}, 400, "must be token ids"),
    "a negative id": ({"model": "lookup", "input": [1, -5]}, 400, "must be token ids"),
    "a huge id": ({"model": "lookup", "input": [1, 10**30]}, 400, "must be token ids"),
    "an id of another model": ({"model": "lookup", "input": [1, 99_999]}, 400, "check_embedding_ctx_length=False"),
    "too many ids": ({"model": "lookup", "input": [5] * 65}, 400, "maximum context length is 64"),
    "nested": ({"model": "lookup", "input": [[[1]]]}, 400, "must be token ids"),
    "model a number": ({"model": 7, "input": "x"}, 400, "`model` must be a string"),
    "a bad format": ({"model": "lookup", "input": "x", "encoding_format": "hex"}, 400, "float or base64"),
    "dimensions 0": ({"model": "lookup", "input": "x", "dimensions": 0}, 400, "from 1 to 8"),
    "dimensions 9": ({"model": "lookup", "input": "x", "dimensions": 9}, 400, "from 1 to 8"),
    "dimensions true": ({"model": "lookup", "input": "x", "dimensions": True}, 400, "whole number"),
    "dimensions text": ({"model": "lookup", "input": "x", "dimensions": "3"}, 400, "whole number"),
    "unknown prompt": ({"model": "lookup", "input": "x", "prompt_name": "poem"}, 400, "prompt_name 'poem'"),
    "a prompt for ids": ({"model": "lookup", "input": [5], "prompt": "a"}, 400, "a prompt is for texts"),
    "too long": ({"model": "lookup", "input": "cat " * 100}, 400, "maximum context length is 64 tokens"),
    "too many texts": ({"model": "lookup", "input": ["x"] * 501}, 400, "at most 500"),
    "a list": ([1], 400, "must be an object"),
    "a string": ("x", 400, "must be an object"),
    "no JSON": (b"{", 400, "is not JSON"),
    "nothing": (b"", 400, "is not JSON"),
    "bad UTF-8": (b'{"input": "\xff\xfe", "model": "lookup"}', 400, "is not JSON"),
    "half a surrogate pair": (b'{"input": "\\ud800", "model": "lookup"}', 400, "is not JSON"),
    "NaN": (b'{"input": [NaN], "model": "lookup"}', 400, "is not JSON"),
    "deep": (b"[" * 100_000, 400, "is not JSON"),
    "too large": (b" " * 1_100_000, 413, "more than 1,000,000 bytes"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_requests_are_told_in_openais_form(server: Running, name: str) -> None:
    body, status, message = BAD[name]
    answer = server.ask("/v1/embeddings", body)
    assert answer.status == status, answer.body
    error = answer.json["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert message in error["message"]
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("path", "body", "status", "kind"),
    [
        ("/embed", {"inputs": "cat " * 100}, 413, "Validation"),
        ("/embed", {"inputs": []}, 400, "Empty"),
        ("/embed", {"inputs": 5}, 422, "Validation"),
        ("/embed", {"inputs": "x", "normalize": "yes"}, 422, "Validation"),
        ("/embed", {"inputs": "x", "truncate": 1}, 422, "Validation"),
        ("/embed", {"inputs": "x", "truncation_direction": "Left"}, 413, "Validation"),
        ("/embed", {"inputs": "x", "prompt_name": "poem"}, 413, "Validation"),
        ("/embed", {}, 422, "Validation"),
        ("/embed", b"{", 400, "Validation"),
        ("/tokenize", {"inputs": [[1, 2]]}, 422, "Validation"),
        ("/tokenize", {"inputs": "x" * 100_001}, 413, "Validation"),
        ("/embed_all", {"inputs": "x"}, 404, "Validation"),
        ("/rerank", {"query": "x", "texts": ["y"]}, 404, "Validation"),
        ("/nowhere", {"inputs": "x"}, 404, "Validation"),
    ],
)
def test_bad_requests_are_told_in_teis_form(server: Running, path: str, body: object, status: int, kind: str) -> None:
    answer = server.ask(path, body)
    assert answer.status == status, answer.body
    assert (set(answer.json), answer.json["error_type"]) == ({"error", "error_type"}, kind)


def test_a_long_text_is_cut_where_the_request_says_so(server: Running, encoder: Encoder) -> None:
    found = server.ask("/embed", {"inputs": "cat " * 100, "truncate": True}).json
    assert np.array_equal(np.array(found, dtype=np.float32), encoder.encode(["cat " * 100], normalize=True))
    assert server.vectors("cat " * 100, truncate=True).shape == (1, 8)


def test_a_page_in_a_browser_can_do_nothing(server: Running) -> None:
    body = b'{"model": "lookup", "input": "x"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        assert server.ask("/v1/embeddings", body, Content_Type=kind).status == 415
    assert server.ask("/v1/embeddings", method="OPTIONS").status == 405
    answer = server.ask("/v1/embeddings", body, Origin="https://example.org")
    assert not {name for name in answer.headers if name.startswith("access-control")}
    for host in ("example.org", "example.org:8080", "127.0.0.1.example.org", ""):  # a name pointed at this machine
        assert server.ask("/info", Host=host).status == 403
    for host in ("localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "[::1]"):
        assert server.ask("/info", Host=host).status == 200


def test_it_is_alive_ready_and_counts(server: Running) -> None:
    assert server.ask("/health", Host="probe").status == server.ask("/ready", Host="probe").status == 200
    server.vectors(["one", "two"])
    page = server.ask("/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    counted = dict(re.findall(r"^(mirrorkit_\w+\{[^}]*\}|mirrorkit_\w+) (\S+)$", page.body.decode(), re.MULTILINE))
    assert float(counted['mirrorkit_texts_total{model="lookup",variant="fp32"}']) >= 2
    assert float(counted['mirrorkit_requests_total{path="/v1/embeddings",status="200"}']) >= 1
    assert float(counted["mirrorkit_waiting_texts"]) == 0
    assert float(counted["mirrorkit_held_bytes"]) == 0


def test_large_answers_come_in_pieces_and_whole(server: Running, encoder: Encoder) -> None:
    texts = [f"text {i}" for i in range(500)]
    assert np.abs(server.vectors(texts) - encoder.encode(texts)).max() <= 1e-6


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


def test_what_is_under_way_is_answered_before_the_end(server: Running, bundle: Path) -> None:
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
