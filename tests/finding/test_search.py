"""Search: the right passages in the right order at the right places, and nothing encoded twice."""

from __future__ import annotations

import json
import logging
import os
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnx", reason="needs the export extra, to make what is run")
from typer.testing import CliRunner, Result

from mirrorkit.cli.app import app
from mirrorkit.errors import ConfigError, CorpusError, MirrorkitError
from mirrorkit.finding import nearest as module
from mirrorkit.finding.nearest import Nearest
from mirrorkit.finding.search import TextSearch
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.runtime.pairwise import pairwise
from mirrorkit.text.ragged import Floats
from tests.lookups import lookup_bundle

LINES = [
    "The museum opens at nine.",
    "",
    "A cup of tea, please.",
    "Rain is expected.",
    "  ",
    "A cup of coffee, please.",
]


@pytest.fixture(scope="module")
def bundle(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lookup_bundle(tmp_path_factory.mktemp("lookup") / "bundle", tiny)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mirrorkit" / "search"


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    file = tmp_path / "texts.txt"
    file.write_text("".join(line + "\n" for line in LINES), encoding="utf-8")
    return file


def command(*args: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], input=stdin)


def test_finds_what_a_plain_sort_of_all_cosines_finds(bundle: Path, texts: Path) -> None:
    kept = [(number, line) for number, line in enumerate(LINES, 1) if line.strip()]
    encoder = Encoder(bundle)
    vectors = encoder.encode([line for _, line in kept])
    search = TextSearch(bundle, texts)
    assert len(search) == len(kept)
    for query in ("tea", "Where is the museum?", "rain rain rain"):
        scores = pairwise(encoder.encode([query]), vectors, "cosine")[0]
        order = sorted(range(len(kept)), key=lambda i: (-scores[i], i))[:3]
        hits = search.find(query, 3)
        assert [(hit.line, hit.text) for hit in hits] == [kept[i] for i in order]
        assert [hit.score for hit in hits] == pytest.approx([scores[i] for i in order], abs=1e-6)
    assert search.find("tea", 100)[-1].place.startswith(f"{texts}:")


@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean", "manhattan"])
def test_every_similarity_finds_what_a_sort_finds(similarity: str) -> None:
    rng = np.random.default_rng(0)
    vectors: Floats = rng.integers(-2, 3, (400, 6)).astype(np.float32)  # few points, so that many tie
    search = Nearest(vectors, similarity)
    for query in rng.normal(size=(10, 6)).astype(np.float32):
        exact = pairwise(query[None].astype(np.float64), vectors.astype(np.float64), similarity)[0].astype(np.float32)
        expected = sorted(range(400), key=lambda i: (-exact[i], i))[:7]
        places, scores = search.find(query, 7)
        assert scores == pytest.approx(exact[expected], abs=1e-6)
        assert exact[places] == pytest.approx(exact[expected], abs=1e-6)


def test_places_are_those_that_an_editor_shows(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    pages = {
        "a.md": "\n\n# Head\n\nFirst paragraph,\nof two lines.\n\n\n\nSecond one.\n",
        "b.txt": "Other file\r\n\r\nits end",
    }
    for name, text in pages.items():
        (folder / name).write_bytes(text.encode())
    for unit in ("paragraph", "line", "document", None):
        hits = TextSearch(bundle, folder, unit=unit).find("paragraph", 50)
        assert {hit.file for hit in hits} == {str(folder / name) for name in pages}
        for hit in hits:
            lines = Path(hit.file).read_text(encoding="utf-8").splitlines()
            first = hit.text.splitlines()[0] if unit != "document" else lines[0]
            assert hit.line is not None
            assert lines[hit.line - 1] == first
    assert {hit.text for hit in hits} == {
        "# Head",
        "First paragraph,\nof two lines.",
        "Second one.",
        "Other file",
        "its end",
    }


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("a.jsonl", '{"text": "tea"}\n\n{"text": "rain"}\n', "a.jsonl:3"),
        ("a.csv", 'id,text\n1,"tea\nand more"\n2,rain\n', "a.csv, row 2"),
        ("a.json", '["tea",\n\n "rain"]', "a.json, row 2"),
        ("a.txt", "tea\n\nrain\n", "a.txt:3"),
    ],
)
def test_a_place_is_a_line_or_says_that_it_is_a_row(
    bundle: Path, tmp_path: Path, name: str, content: str, place: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    (hit,) = TextSearch(bundle, tmp_path / name).find("rain", 1)
    assert (hit.text, hit.place) == ("rain", str(tmp_path / place))
    assert (hit.line is None) == (hit.row is not None)


def test_only_what_changed_is_encoded_again(bundle: Path, texts: Path, cache: Path) -> None:
    assert TextSearch(bundle, texts).encoded == 4
    again = TextSearch(bundle, texts)
    assert (again.encoded, len(list(cache.iterdir()))) == (0, 1)
    assert cache.stat().st_mode & 0o077 == 0
    texts.write_text("A new line.\nA cup of tea, please.\nA cup of tea, please.\n", encoding="utf-8")
    changed = TextSearch(bundle, texts)
    assert changed.encoded == 1
    fresh = Encoder(bundle).encode(["A new line.", "A cup of tea, please."])
    np.testing.assert_allclose(changed._index._nearest._vectors, fresh[[0, 1, 1]], rtol=0, atol=1e-6)
    assert [hit.line for hit in changed.find("tea", 2)] == [2, 3]
    assert TextSearch(bundle, texts, variant="fp32").encoded == 2
    assert TextSearch(bundle, texts, unit="paragraph").encoded == 1
    assert len(list(cache.iterdir())) == 3
    assert TextSearch(bundle, texts).encoded == 0
    assert not any(b"cup" in file.read_bytes() for file in cache.rglob("*.npy"))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *product(["keys.npy", "vectors.npy"], [b"", b"\x93NUMPY", None, "object", "shape"]),
        *product(["vectors.crc32"], [b"", b"\xff", None]),
    ],
)
def test_a_damaged_entry_is_made_again(
    bundle: Path, texts: Path, cache: Path, name: str, damage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    before = TextSearch(bundle, texts).find("tea")
    (entry,) = cache.iterdir()
    if damage is None:
        (entry / name).unlink()
        os.mkfifo(entry / name)
    elif damage == "object":
        np.save(entry / name, np.array([{}], dtype=object), allow_pickle=True)
    elif damage == "shape":
        np.save(entry / name, np.zeros((4, 3), np.float32))
    else:
        (entry / name).write_bytes(damage)
    with caplog.at_level(logging.WARNING, "mirrorkit"):
        search = TextSearch(bundle, texts)
    assert (search.encoded, search.find("tea")) == (4, before)
    assert "everything is encoded again" in caplog.text
    assert TextSearch(bundle, texts).encoded == 0


def test_a_bit_of_an_entry_that_has_changed_is_noticed(
    bundle: Path, texts: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = TextSearch(bundle, texts).find("tea")
    (file,) = cache.glob("*/vectors.npy")
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 0x40  # of an exponent
    file.write_bytes(raw)
    search = TextSearch(bundle, texts)
    assert (search.encoded, search.find("tea")) == (4, before)
    assert "does not hold what belongs there" in caplog.text


def test_a_cache_that_cannot_be_written_is_told(
    bundle: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING, "mirrorkit"):
        assert TextSearch(bundle, texts).find("tea")[0].line == 3
    assert "the vectors are not kept for the next time" in caplog.text


def test_prompts_of_queries_and_passages_are_put_before_them(bundle: Path, texts: Path, tmp_path: Path) -> None:
    import shutil

    asked = tmp_path / "asked"
    shutil.copytree(bundle, asked)
    manifest = json.loads((asked / "mirrorkit.json").read_text(encoding="utf-8"))
    manifest["prompts"] = {"query": "museum: ", "passage": "rain: "}
    (asked / "mirrorkit.json").write_text(json.dumps(manifest), encoding="utf-8")
    encoder = Encoder(bundle)
    kept = [line for line in LINES if line.strip()]
    scores = encoder.encode(["museum: tea"]) @ encoder.encode([f"rain: {line}" for line in kept]).T
    hits = TextSearch(asked, texts).find("tea")
    assert [hit.score for hit in hits] == pytest.approx(sorted(scores[0], reverse=True), abs=1e-6)
    assert encoder.usage.document_prompt() == ""


def test_a_graph_finds_nearly_what_a_look_at_all_finds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("usearch", reason="needs the ann extra")
    monkeypatch.setattr(module, "LARGE", 2999)
    vectors: Floats = np.random.default_rng(0).normal(size=(3000, 32)).astype(np.float32)
    for similarity in ("cosine", "dot", "euclidean"):
        exact = Nearest(vectors, similarity, exact=True)
        for _ in range(2):  # made, then as it was kept
            graph = Nearest(vectors, similarity, tmp_path)
            assert (graph.exact, exact.exact) == (False, True)
            found = [len({*graph.find(q, 10)[0]} & {*exact.find(q, 10)[0]}) for q in vectors[:100] + 0.1]
            assert np.mean(found) >= 9
            same = graph.find(vectors[5], 1), exact.find(vectors[5], 1)
            assert same[0][1] == same[1][1]
    assert len(list(tmp_path.iterdir())) == 3
    assert Nearest(vectors, "manhattan", tmp_path).exact
    kept = next(tmp_path.glob("*cosine*"))
    kept.write_bytes(b"usearch" + bytes(50))
    with pytest.raises(MirrorkitError, match="delete it"):
        Nearest(vectors, "cosine", tmp_path)


def test_without_usearch_every_vector_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "LARGE", 9)
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    monkeypatch.setitem(sys.modules, "usearch", None)
    vectors: Floats = np.eye(10, dtype=np.float32)
    with caplog.at_level(logging.INFO, "mirrorkit"):
        assert Nearest(vectors, "cosine").find(vectors[3], 1)[0].tolist() == [3]
    assert "pip install 'mirrorkit[ann]'" in caplog.text


def test_the_command_prints_score_place_and_text(bundle: Path, texts: Path) -> None:
    done = command("search", bundle, texts, "--query", "tea", "-n", 2)
    assert done.exit_code == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.split("  ", 2)[1:] == [f"{texts}:3", "A cup of tea, please."]
    assert float(first.split()[0]) >= float(second.split()[0])
    assert "4 to search, 4 encoded, int8" in done.stderr


def test_the_command_reads_queries_from_standard_input(bundle: Path, texts: Path) -> None:
    done = command(
        "search", bundle, texts, "--json", "-n", 1, "--before", bundle, stdin="tea\n\nThe museum opens at nine.\n"
    )
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert [one["query"] for one in report["queries"]] == ["tea", "The museum opens at nine."]
    assert [one["hits"][0]["line"] for one in report["queries"]] == [3, 1]
    assert all(one["before"] == one["hits"] for one in report["queries"])
    assert (report["texts"], report["exact"], report["similarity"]) == (4, True, "cosine")


def test_two_bundles_stand_side_by_side(bundle: Path, texts: Path) -> None:
    done = command("search", bundle, texts, "--before", bundle, "--query", "tea", "-n", 2)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.count(":3") == 2
    assert " = " in done.stdout


def test_what_a_file_holds_neither_marks_up_nor_steers_a_terminal(bundle: Path, tmp_path: Path) -> None:
    odd = tmp_path / "od\x1b[31md.txt"
    odd.write_text("[red]tea[/red] \x1b[31m and \u202e more\n", encoding="utf-8")
    for more in ((), ("--before", bundle)):
        done = command("search", bundle, odd, "--query", "tea", *more)
        assert done.exit_code == 0, done.stderr
        assert "[red]tea" in done.stdout
        assert not {"\x1b", "\u202e"} & set(done.stdout)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--query", " "], "--query must not be blank"),
        (["--query", "x", "-n", 0], "--count 0: must be from 1 to 1,000"),
        (["--query", "x", "--unit", "sentence"], "--unit 'sentence': must be one of line, paragraph, document"),
        (["--query", "x", "--text-column", "a"], "plain text has no columns"),
        (["--query", "x", "--before", "nowhere"], "nowhere"),
    ],
)
def test_bad_options_are_one_line(bundle: Path, texts: Path, args: list[object], words: str) -> None:
    done = command("search", bundle, texts, *args)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_cannot_be_searched_is_refused(bundle: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "blank.txt").write_text("\n \n", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    for name in ("pipe", "blank.txt", "empty", "missing"):
        with pytest.raises(CorpusError, match=name):
            TextSearch(bundle, tmp_path / name)
    with pytest.raises(ConfigError, match="standard input"):
        TextSearch(bundle, "-")
    with pytest.raises(ConfigError, match="text_column"):
        TextSearch(bundle, tmp_path, text_column="a")
    (tmp_path / "one.txt").write_text("tea\n", encoding="utf-8")
    with pytest.raises(TypeError):
        TextSearch(bundle, tmp_path / "one.txt").find(3)  # type: ignore[arg-type]
