"""The libraries that people have: each asks the server as its documentation says, and gets an Encoder's vectors."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engines import lookup_bundle
from tests.serving.running import Running, need_serve, running

need_serve()
pytest.importorskip("onnx", reason="needs the export extra, to make what is served")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytestmark = pytest.mark.filterwarnings("ignore")  # of the clients, about one another

from mirrorkit.runtime.encoder import Encoder

KEY = "a-key-of-16-chars"
TEXTS = ["A cat sits on the mat.", "自然言語処理は面白い。", "", "Somebody plays the violin, and nobody listens."]
ALIKE = 1e-6  # of the largest component: these vectors have no unit length, and a sum's order is that of its batch
FAR_OFF = 1e-5  # through clients that hand on Python floats of a normalised copy


@pytest.fixture(scope="module")
def bundle(shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lookup_bundle(tmp_path_factory.mktemp("served") / "lookup", shipped / "tokenizer.json", ("fp32", "int8"))


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[Running]:
    with running(bundle, arguments=("--variants", "fp32,int8"), MIRRORKIT_API_KEY=KEY) as started:
        yield started


@pytest.fixture(scope="module")
def expected(bundle: Path) -> Any:
    return Encoder(bundle, "fp32").encode(TEXTS)


def alike(found: Any, expected: Any) -> bool:
    return bool(np.abs(np.array(found, dtype=np.float32) - expected).max() <= ALIKE * np.abs(expected).max())


@pytest.fixture
def openai(server: Running) -> Iterator[Any]:
    library = pytest.importorskip("openai", reason="tests/serving/run installs it")
    with library.OpenAI(base_url=f"{server.address}/v1", api_key=KEY, max_retries=0) as client:
        yield client


def test_openai(openai: Any, expected: Any) -> None:
    answer = openai.embeddings.create(model="lookup", input=TEXTS)  # asks for base64 by itself
    assert alike([item.embedding for item in answer.data], expected)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0
    floats = openai.embeddings.create(model="lookup", input=TEXTS, encoding_format="float")
    assert alike([item.embedding for item in floats.data], expected)
    (short,) = openai.embeddings.create(model="lookup", input=TEXTS[0], dimensions=3).data
    assert len(short.embedding) == 3
    more = openai.embeddings.create(
        model="lookup", input=TEXTS[0], extra_body={"variant": "int8", "prompt_name": "query"}
    )
    assert len(more.data[0].embedding) == 8
    assert [model.id for model in openai.models.list()] == ["lookup", "lookup:fp32", "lookup:int8"]
    assert openai.models.retrieve("lookup").id == "lookup"
    raw = openai.embeddings.with_raw_response.create(model="lookup", input="x")
    assert len(raw.headers["x-mirrorkit-fingerprint"]) == 64


def test_openai_asynchronously(server: Running, expected: Any) -> None:
    import asyncio

    library = pytest.importorskip("openai", reason="tests/serving/run installs it")

    async def ask() -> list[Any]:
        async with library.AsyncOpenAI(base_url=f"{server.address}/v1", api_key=KEY) as client:
            return await asyncio.gather(*(client.embeddings.create(model="lookup", input=text) for text in TEXTS * 10))

    found = asyncio.run(ask())
    assert alike([answer.data[0].embedding for answer in found], np.tile(expected, (10, 1)))


def test_openais_errors_are_told_apart(openai: Any, server: Running) -> None:
    import openai as library

    with pytest.raises(library.NotFoundError) as missing:
        openai.embeddings.create(model="text-embedding-3-small", input="x")
    assert missing.value.code == "model_not_found"
    assert "lookup" in missing.value.message
    with pytest.raises(library.BadRequestError) as long:
        openai.embeddings.create(model="lookup", input="cat " * 1000)
    assert (long.value.code, long.value.param) == ("context_length_exceeded", "input")
    with pytest.raises(library.BadRequestError, match="must not be empty"):
        openai.embeddings.create(model="lookup", input=[])
    with pytest.raises(library.AuthenticationError) as unknown:
        openai.with_options(api_key="wrong").embeddings.create(model="lookup", input="x")
    assert unknown.value.code == "invalid_api_key"


def test_openai_is_told_to_come_again_and_does(bundle: Path) -> None:
    library = pytest.importorskip("openai", reason="tests/serving/run installs it")
    with running(bundle, arguments=("--max-queue", 3)) as busy:
        client = library.OpenAI(base_url=f"{busy.address}/v1", api_key="none is asked for", max_retries=0)
        with pytest.raises(library.RateLimitError) as refused:
            client.embeddings.create(model="lookup", input=["x"] * 4)
        assert refused.value.code == "rate_limit_exceeded"
        assert int(refused.value.response.headers["retry-after"]) >= 1


def test_langchain(server: Running, expected: Any) -> None:
    library = pytest.importorskip("langchain_openai", reason="tests/serving/run installs it")
    made = {"model": "lookup", "base_url": f"{server.address}/v1", "api_key": KEY, "check_embedding_ctx_length": False}
    embeddings = library.OpenAIEmbeddings(**made)
    assert alike(embeddings.embed_documents(TEXTS), expected)
    assert alike(embeddings.embed_query(TEXTS[0]), expected[0])
    assert len(library.OpenAIEmbeddings(**made, dimensions=4).embed_query(TEXTS[0])) == 4


def test_llama_index(server: Running, expected: Any) -> None:
    library = pytest.importorskip("llama_index.embeddings.openai_like", reason="tests/serving/run installs it")
    model = library.OpenAILikeEmbedding(model_name="lookup", api_base=f"{server.address}/v1", api_key=KEY)
    kept = [text for text in TEXTS if text]  # it sends a blank for nothing
    assert alike(model.get_text_embedding_batch(kept), expected[[i for i, text in enumerate(TEXTS) if text]])
    assert alike(model.get_query_embedding(TEXTS[0]), expected[0])


def test_llama_index_as_it_asks_text_embeddings_inference(server: Running, expected: Any) -> None:
    library = pytest.importorskip(
        "llama_index.embeddings.text_embeddings_inference", reason="tests/serving/run installs it"
    )
    model = library.TextEmbeddingsInference(
        model_name="lookup", base_url=server.address, auth_token=KEY, text_instruction="", query_instruction=""
    )
    found = np.array(model.get_text_embedding_batch([TEXTS[0], TEXTS[3]]), dtype=np.float32)
    assert np.abs(found - expected[[0, 3]]).max() <= FAR_OFF


def test_the_hubs_inference_client(server: Running, expected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # it would not ask this machine either
    pytest.importorskip("openai", reason="tests/serving/run has the client's own packages")
    client = hub.InferenceClient(server.address, token=KEY)
    assert np.abs(np.asarray(client.feature_extraction(TEXTS[0])) - expected[0]).max() <= FAR_OFF
    assert client.feature_extraction("cat " * 1000, truncate=True).shape == (1, 8)
    with pytest.raises(hub.errors.HfHubHTTPError, match="413"):
        client.feature_extraction("cat " * 1000, truncate=False)


def test_curl(server: Running, expected: Any) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("there is no curl")
    body = json.dumps({"model": "lookup", "input": TEXTS})
    given = ["-sS", "--fail-with-body", f"{server.address}/v1/embeddings", "-H", f"Authorization: Bearer {KEY}"]
    for more in (["-H", "Content-Type: application/json", "-d", body], ["--json", body]):
        done = subprocess.run([curl, *given, *more], capture_output=True, text=True, check=True)
        assert alike([item["embedding"] for item in json.loads(done.stdout)["data"]], expected)
    large = subprocess.run(
        [curl, "-sS", "-o", "-", "-w", "%{http_code}", *given[2:], "-H", "Content-Type: application/json", "-d", "@-"],
        input=" " * 20_000_000, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert large.stdout.endswith("413")


def test_traces_are_sent_where_they_are_to_go(bundle: Path) -> None:
    import threading
    from http.server import BaseHTTPRequestHandler

    pytest.importorskip("opentelemetry.instrumentation.asgi", reason="needs the otel extra")
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the otel extra")
    from tests.local_http import Serving

    received: list[bytes] = []
    here = threading.Event()

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()
            here.set()

        def log_message(self, *_: object) -> None:
            pass

    where = {"OTEL_EXPORTER_OTLP_COMPRESSION": "none", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with Serving(Collector) as collector:
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.address, **where}
        with running(bundle, arguments=("--otel",), **endpoint) as server:
            assert server.ask("/embed", {"inputs": "a secret text"}).status == 200
            assert here.wait(60)
    assert b"/embed" in b"".join(received)
    assert b"secret" not in b"".join(received)
