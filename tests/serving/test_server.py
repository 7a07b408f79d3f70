"""The server as clients meet it: both kinds of request, errors, limits."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.engines import lookup_bundle
from tests.serving.running import Running, need_serve, running

need_serve()
pytest.importorskip("onnx", reason="needs the export extra, to make what is served")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")

from mirrorkit.runtime.encoder import Encoder


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
    assert info["model_type"] == {"embedding": {"pooling": "mean"}}
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
