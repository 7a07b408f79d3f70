"""`mirrorkit-cli search`: the lines of a file nearest to what is typed, as Python ranks them; bad input is one line."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the export extra")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")

from mirrorkit.runtime.encoder import Encoder
from tests.conftest import REAL_TEXTS
from tests.cpp.building import run
from tests.lookups import lookup_bundle

pytestmark = pytest.mark.cpp

TEXTS = [text for text in (" ".join(text.split()) for text in REAL_TEXTS) if text]
QUERIES = ["When does the museum open?", "ein Fuchs"]


@pytest.fixture(scope="module")
def bundle(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lookup_bundle(tmp_path_factory.mktemp("search") / "bundle", tiny)


class Search:
    """The program over one bundle."""

    def __init__(self, built: Path, bundle: Path, environment: dict[str, str]) -> None:
        self.words: list[str | Path] = [built / "mirrorkit-cli", "search", bundle]
        self.environment = environment

    def __call__(self, file: Path, queries: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
        command = [*self.words, file, "--variant", "fp32", "--threads", "1", *options]
        return run(command, data=queries, env=self.environment)

    def answers(self, file: Path, queries: Sequence[str], *options: str) -> list[list[list[str]]]:
        """Return the fields of each line of each answer."""
        done = self(file, "\n".join(queries).encode(), *options)
        assert done.returncode == 0, done.stderr
        return [[line.split("\t") for line in one.split("\n")] for one in done.stdout.decode().split("\n\n")[:-1]]

    def complains(self, file: Path, queries: bytes = b"text\n") -> str:
        """Return the one line that it ends with."""
        done = self(file, queries)
        assert done.returncode == 2
        line = done.stderr.decode().splitlines()[-1]
        assert line.startswith("mirrorkit-cli: ")
        return line


@pytest.fixture
def search(built: Path, bundle: Path, environment: dict[str, str]) -> Search:
    return Search(built, bundle, environment)


def written(folder: Path, content: bytes) -> Path:
    (folder / "lines.txt").write_bytes(content)
    return folder / "lines.txt"


def test_the_ten_nearest_are_those_of_python(search: Search, bundle: Path, tmp_path: Path) -> None:
    encoder = Encoder(bundle, "fp32", threads=1)
    scores = encoder.similarity(encoder.encode(QUERIES), encoder.encode(TEXTS))
    answers = search.answers(written(tmp_path, "\n".join(TEXTS).encode()), QUERIES)
    assert len(answers) == len(QUERIES)
    for answer, expected in zip(answers, scores, strict=True):
        best = np.sort(expected)[::-1][:10]
        np.testing.assert_allclose([float(score) for score, _, _ in answer], best, rtol=0, atol=1e-4)
        np.testing.assert_allclose([expected[int(line) - 1] for _, line, _ in answer], best, rtol=0, atol=1e-4)
        for _, line, text in answer:
            assert TEXTS[int(line) - 1].startswith(text.rstrip("…"))


def test_lines_are_counted_as_an_editor_counts_them(search: Search, tmp_path: Path) -> None:
    (answer,) = search.answers(written(tmp_path, b"\r\none cat\r\n \t\n\ntwo dogs\n"), ["", "one cat"])
    assert [(line, text) for _, line, text in answer] == [("2", "one cat"), ("5", "two dogs")]


def test_prompts_go_before_queries_and_documents(
    built: Path, bundle: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(bundle, tmp_path / "prompted"))
    manifest = json.loads((folder / "mirrorkit.json").read_text(encoding="utf-8"))
    manifest["prompts"] = {"query": "what says ", "document": "somebody says ", "other": "cats "}
    (folder / "mirrorkit.json").write_text(json.dumps(manifest), encoding="utf-8")
    encoder, search = Encoder(folder, "fp32", threads=1), Search(built, folder, environment)
    file = written(tmp_path, b"one cat")
    for options, query in (
        ([], encoder.encode_query(["dogs"])),
        (["--prompt-name", "other"], encoder.encode(["dogs"], prompt_name="other")),
        (["--prompt", ""], encoder.encode(["dogs"], prompt="")),
    ):
        (((score, *_),),) = search.answers(file, ["dogs"], *options)
        expected = encoder.similarity(query, encoder.encode_document(["one cat"]))[0, 0]
        assert float(score) == pytest.approx(float(expected), abs=1e-4)


def test_a_long_line_is_shown_in_part_and_cut_between_characters(search: Search, tmp_path: Path) -> None:
    long = "a" + "é" * 1_000_000  # byte 160 is within a character
    (answer,) = search.answers(written(tmp_path, f"{long}\nwith\ttab and \x07\n".encode()), ["tab"])
    shown = {line: text for _, line, text in answer}
    assert shown == {"1": long[: 1 + 79] + "…", "2": "with tab and  "}


def test_no_queries_is_no_error(search: Search, tmp_path: Path) -> None:
    file = written(tmp_path, b"one cat\n")
    assert search(file, b"").stdout == b""
    assert search(file, b"").returncode == 0
    closed = ["sh", "-c", 'exec "$@" <&-', "sh", *search.words, file, "--variant", "fp32"]
    done = run(closed, env=search.environment)
    assert (done.returncode, done.stdout) == (0, b"")


def test_bad_input_is_one_line(search: Search, tmp_path: Path) -> None:
    assert search.complains(tmp_path / "none.txt").endswith("none.txt: cannot be read")
    assert search.complains(tmp_path).endswith(f"{tmp_path}: cannot be read")
    assert search.complains(written(tmp_path, b"\n \r\n")).endswith("lines.txt: has no text in it")
    assert search.complains(written(tmp_path, b"a\n\nb\xff\n")).endswith("lines.txt: line 3: not valid UTF-8")
    said = search.complains(written(tmp_path, b"a\n"), b"b\n\n\xff\n")
    assert said.endswith("standard input: line 3: not valid UTF-8")


def test_it_needs_a_bundle_and_a_file(search: Search) -> None:
    done = run(search.words)
    assert done.returncode == 2
    assert done.stderr.startswith(b"mirrorkit-cli: search: a bundle and a file of texts are needed")


def test_a_full_disk_is_said(search: Search, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    words = [*search.words, written(tmp_path, b"a\n"), "--variant", "fp32"]
    done = run(["sh", "-c", 'exec "$@" >/dev/full', "sh", *words], data=b"b\n", env=search.environment)
    assert done.returncode == 2
    assert done.stderr.endswith(b"standard output: cannot be written\n")
