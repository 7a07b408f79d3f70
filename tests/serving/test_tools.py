"""The tools of the Model Context Protocol, asked by the client of its own SDK over stdio."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the export extra, to make what is served")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("mcp", reason="needs the mcp extra; tests/serving/run has it")

from mirrorkit.finding.search import TextSearch
from mirrorkit.runtime.encoder import Encoder
from tests.engines import lookup_bundle
from tests.serving.running import ROOT

TEXTS = ["A cat sits on the mat.", "自然言語処理は面白い。", "Rain is expected."]


@pytest.fixture(scope="module")
def place(shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tools")
    lookup_bundle(place / "lookup", shipped / "tokenizer.json")
    (place / "lines.txt").write_text("".join(f"{text}\n" for text in TEXTS), encoding="utf-8")
    return place


def asked(place: Path, arguments: list[str], *calls: tuple[str, dict[str, Any]]) -> tuple[list[str], list[Any]]:
    """Return the names of the tools, and what each call gives."""
    from mcp import Client, StdioServerParameters, stdio_client

    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(place / "cache")}
    command = ["-m", "mirrorkit", "serve", str(place / "lookup"), "--mcp", *arguments]

    async def ask() -> tuple[list[str], list[Any]]:
        server = StdioServerParameters(command=sys.executable, args=command, env=environment)
        async with Client(stdio_client(server)) as client:
            listed = await client.list_tools()
            return [tool.name for tool in listed.tools], [await client.call_tool(*call) for call in calls]

    return asyncio.run(ask())


def test_tools_give_what_the_library_gives(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    names, answers = asked(
        place,
        ["--search", str(place / "lines.txt")],
        ("embed", {"texts": TEXTS}),
        ("similar", {"text": TEXTS[0], "others": TEXTS}),
        ("search", {"query": "rain", "count": 2}),
        ("embed", {"texts": TEXTS, "prompt_name": "poem"}),
        ("embed", {"texts": "not a list"}),
    )
    assert names == ["embed", "similar", "search"]
    vectors, ranked, hits = (answer.structured_content["result"] for answer in answers[:3])
    encoder = Encoder(place / "lookup")
    np.testing.assert_allclose(vectors, encoder.encode(TEXTS), atol=1e-6)
    scores = encoder.similarity(encoder.encode(TEXTS[:1]), encoder.encode(TEXTS))[0]
    assert [one["text"] for one in ranked] == [TEXTS[i] for i in np.argsort(-scores, kind="stable")]
    found = TextSearch(place / "lookup", place / "lines.txt").find("rain", 2)
    assert [(hit["text"], hit["line"]) for hit in hits] == [(hit.text, hit.line) for hit in found]
    assert [answer.is_error for answer in answers] == [False, False, False, True, True]


def test_without_files_there_is_no_search(place: Path) -> None:
    names, answers = asked(place, [], ("embed", {"texts": []}))
    assert names == ["embed", "similar"]
    assert answers[0].structured_content == {"result": []}


def test_what_it_cannot_serve_is_one_line(place: Path) -> None:
    for arguments, words in (
        ([place / "lookup", place / "lookup"], "--mcp: is for one bundle"),
        ([place / "no"], "no such folder"),
        ([place / "lookup", "--search", place / "no.txt"], "cannot be read"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "mirrorkit", "serve", "--mcp", *map(str, arguments)],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, cwd=ROOT,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert words in done.stderr
