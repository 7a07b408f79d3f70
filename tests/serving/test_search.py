"""Search over HTTP: what `mirrorkit search` finds, turned away like every other request."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines import lookup_bundle
from tests.serving.running import Running, need_serve, running

need_serve()
pytest.importorskip("onnx", reason="needs the export extra, to make what is served")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")

from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.finding.search import TextSearch
from mirrorkit.serving.pool import Pool
from mirrorkit.serving.searching import Searching
from mirrorkit.serving.served import open_models
from mirrorkit.serving.settings import Settings, named_bundles

LINES = ["The museum opens at nine.", "", "A cup of tea, please.", "Rain is expected.", "A cup of coffee, please."]
KEY = "a-key-of-16-chars"


@pytest.fixture(scope="module")
def place(shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two bundles, a file, a folder of texts, and a cache."""
    place = tmp_path_factory.mktemp("searched")
    lookup_bundle(place / "lookup", shipped / "tokenizer.json", ("fp32", "int8"))
    lookup_bundle(place / "base", shipped / "tokenizer.json")
    (place / "lines.txt").write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8")
    (place / "notes").mkdir()
    (place / "notes" / "long.md").write_text(f"{'tea ' * 900}\n\nA museum of tea.\n", encoding="utf-8")
    (place / "notes" / "odd.jsonl").write_text("never read\n", encoding="utf-8")
    return place


@pytest.fixture(autouse=True)
def cache(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[Running]:
    searched = ("--search", place / "lines.txt", "--search", place / "notes", "--before", place / "base")
    with running(place / "lookup", arguments=searched, XDG_CACHE_HOME=str(place / "cache")) as started:
        wait_for(started)
        yield started


def wait_for(server: Running) -> None:
    until = time.monotonic() + 60
    while (answer := server.ask("/ready")).status != 200:
        assert answer.status == 503
        assert "not all encoded yet" in answer.json["error"]
        assert time.monotonic() < until
        time.sleep(0.02)


def plain(hit: Any) -> tuple[str, str, Any]:
    return hit.place, hit.text, pytest.approx(hit.score, abs=1e-6)


def test_it_finds_what_the_command_finds(server: Running, place: Path) -> None:
    searches = [TextSearch(place / "lookup", place / name) for name in ("lines.txt", "notes")]
    assert [one.encoded for one in searches] == [0, 0]  # of the server's entries in the cache
    for query in ("tea", "where is the museum", "rain"):
        answer = server.ask("/search", {"query": query})
        assert answer.status == 200, answer.body
        found = answer.json
        hits = sorted((hit for one in searches for hit in one.find(query)), key=lambda hit: -hit.score)
        assert [(h["place"], h["text"], h["score"]) for h in found["hits"]] == [
            (place_, text[:2000], score) for place_, text, score in map(plain, hits[:10])
        ]
        assert found["fingerprint"] == searches[0].encoder.fingerprint
        assert (found["passages"], found["similarity"]) == (sum(map(len, searches)), "cosine")
        base = TextSearch(place / "base", place / "lines.txt")
        assert found["before"]["fingerprint"] == base.encoder.fingerprint
        assert len(found["before"]["hits"]) == len(hits)
    assert len(server.ask("/search", {"query": "tea", "count": 2}).json["hits"]) == 2


def test_a_long_passage_is_cut_and_says_so(server: Running) -> None:
    hits = server.ask("/search", {"query": "tea tea tea"}).json["hits"]
    (long,) = [hit for hit in hits if hit["cut"]]
    assert len(long["text"]) == 2000
    assert long["place"].endswith("long.md:1")


def test_it_says_what_is_searched(server: Running, place: Path) -> None:
    state = server.ask("/search").json
    assert state["paths"] == [str(place / "lines.txt"), str(place / "notes")]
    assert (state["search"], state["ready"], state["failed"]) == (True, True, None)
    assert (state["model"], state["before"], state["passages"]) == ("lookup:int8", "base:fp32", 6)
    assert re.search(r"6 passages to search at http://127\.0\.0\.1:\d+/$", server.told("serving"))


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 422, "must provide `query`"),
        ({"query": "  "}, 400, "must not be blank"),
        ({"query": 5}, 422, "`query` must be a string"),
        ({"query": "x", "count": 0}, 413, "from 1 to 100"),
        ({"query": "x", "count": 101}, 413, "from 1 to 100"),
        ({"query": "x", "count": "3"}, 422, "whole number"),
        ({"query": "x" * ((1 << 20) + 1)}, 413, "characters"),
        ([], 422, "must be an object"),
        (b"{", 400, "is not JSON"),
        (b'{"query": "\\ud800"}', 400, "is not JSON"),
    ],
)
def test_bad_queries_are_told(server: Running, body: object, status: int, words: str) -> None:
    answer = server.ask("/search", body)
    assert (answer.status, words in answer.json["error"]) == (status, True), answer.body


def test_no_page_of_others_can_search(server: Running) -> None:
    assert server.ask("/search", b'{"query": "tea"}', Content_Type="text/plain").status == 415
    for headers in ({"Host": "example.org"}, {"Host": "example.org:80"}):
        assert server.ask("/search", **headers).status == 403
        assert server.ask("/search", {"query": "tea"}, **headers).status == 403


def test_the_page_may_run_its_own_script_alone(server: Running) -> None:
    answer = server.ask("/")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        (inline,) = re.findall(rf"<{tag}>(.*?)</{tag}>".encode(), answer.body, re.DOTALL)
        assert policy[rule] == f"'sha256-{base64.b64encode(hashlib.sha256(inline).digest()).decode()}'"
    assert not re.findall(rb"https?://|innerHTML|<script |<link [^>]*stylesheet| style=| on\w+=", answer.body)


def test_with_a_key_the_page_is_there_and_nothing_else(place: Path) -> None:
    with running(
        place / "lookup",
        arguments=("--search", place / "lines.txt"),
        MIRRORKIT_API_KEY=KEY,
        XDG_CACHE_HOME=str(place / "cache"),
    ) as locked:
        wait_for(locked)
        assert locked.ask("/").status == 200
        assert locked.ask("/search").status == locked.ask("/search", {"query": "tea"}).status == 401
        answer = locked.ask("/search", {"query": "tea"}, Authorization=f"Bearer {KEY}")
        assert (answer.status, answer.json["before"]) == (200, None)


def test_without_files_there_is_no_search(place: Path) -> None:
    with running(place / "lookup") as bare:
        assert bare.ask("/search").json == {"search": False, "model": "lookup:int8"}
        refused = bare.ask("/search", {"query": "tea"})
        assert (refused.status, "--search FILE_OR_FOLDER" in refused.json["error"]) == (404, True)
        assert bare.ask("/ready").status == bare.ask("/").status == 200


def test_a_reload_reads_the_files_anew(place: Path, tmp_path: Path) -> None:
    file = tmp_path / "growing.txt"
    file.write_text("tea\n", encoding="utf-8")
    cache = {"XDG_CACHE_HOME": str(place / "cache")}
    with running(place / "lookup", arguments=("--search", file), **cache) as started:
        wait_for(started)
        file.write_text("tea\nrain\n", encoding="utf-8")
        started.signal(signal.SIGHUP)
        started.told("reloaded")
        assert started.ask("/search", {"query": "rain"}).json["hits"][0]["place"] == f"{file}:2"
        file.write_text("\n", encoding="utf-8")
        started.signal(signal.SIGHUP)
        started.told("nothing to search in it.*serving what was open before")
        assert started.ask("/search", {"query": "rain"}).json["hits"][0]["place"] == f"{file}:2"


def test_passages_wait_for_their_turns_and_nothing_is_ready_before(place: Path) -> None:
    settings = Settings(named_bundles([str(place / "lookup")]), threads=1)
    model = open_models(settings).default
    gate = threading.Event()

    def hold(_batch: object, _seconds: float) -> None:
        gate.wait(20)

    pool = Pool(1, hold)
    search = Searching([str(place / "lines.txt")], [model])
    os.environ["XDG_CACHE_HOME"] = str(place / "other-cache")  # the fixture puts it back
    building = threading.Thread(target=search.build, args=(pool,))
    building.start()
    time.sleep(0.2)
    assert (search.sides, search.failed) == ((), None)
    gate.set()
    building.join(20)
    assert (search.done, search.total, len(search.sides)) == (4, 4, 1)
    pool.stop()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"before": named_bundles(["base"])[0]}, "say what is searched"),
        ({"search": ("notes",), "workers": 2}, "leave `workers` out"),
    ],
)
def test_what_does_not_go_together_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Settings(named_bundles(["x"]), **settings)


def test_what_cannot_be_searched_ends_the_start(place: Path, tmp_path: Path) -> None:
    from mirrorkit.serving.service import Service

    (tmp_path / "blank.txt").write_text("\n\n", encoding="utf-8")
    for path, words in ((tmp_path / "blank.txt", "nothing to search in it"), (tmp_path / "no.txt", "cannot be read")):
        with pytest.raises(CorpusError, match=words):
            Service(Settings(named_bundles([str(place / "lookup")]), threads=1, search=(str(path),)))


def test_half_a_pair_of_surrogates_is_sent_as_a_character(place: Path, tmp_path: Path) -> None:
    file = tmp_path / "odd.jsonl"
    file.write_text('{"text": "tea \\ud800"}\n', encoding="utf-8")
    cache = {"XDG_CACHE_HOME": str(place / "cache")}
    with running(place / "lookup", arguments=("--search", file), **cache) as started:
        wait_for(started)
        answer = started.ask("/search", {"query": "tea"})
        assert json.loads(answer.body)["hits"][0]["text"] == "tea \ufffd"
