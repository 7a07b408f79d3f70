"""A folder as people have them: files of any kind in it, and text of any kind in the files."""

from __future__ import annotations

import errno
import os
import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from mirrorkit.errors import CorpusError
from mirrorkit.text import folders, sentences, stored, units
from mirrorkit.text.stored import Store
from mirrorkit.text.units import Unit, divided
from mirrorkit.training import corpus as reading
from mirrorkit.training.corpus import load_corpus
from mirrorkit.training.duplicates import equal_documents
from mirrorkit.training.view_choice import crop_tokens

PLAIN = {"a.txt": b"The first text.\n", "b.md": b"Another text.\n"}
ODD = {
    "mac.txt": (b"one\rtwo\rthree", r"its lines end in carriage returns alone"),
    "paper.txt": (b"%PDF-1.4 and more", r"is a PDF; extract its text first"),
    "two\nlines.txt": (b"\0", r"^two\\nlines\.txt \(binary\)$"),
    "long.txt": (b"x" * (1 << 20) + b"y\n", r"a line of more than 1 MB"),
}


def put(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("name", ODD)
def test_what_no_reader_takes_is_skipped_and_named(tmp_path: Path, name: str) -> None:
    content, reason = ODD[name]
    corpus = load_corpus(put(tmp_path, {**PLAIN, name: content}), unit="line")
    assert corpus.texts == ["The first text.", "Another text."]
    (skipped,) = corpus.skipped
    assert re.search(reason, skipped)


def test_a_line_as_long_as_may_be_is_read(tmp_path: Path) -> None:
    content = b"short\n" + b"x" * ((1 << 20) - 1) + b"\nend\n"
    assert len(load_corpus(put(tmp_path, {**PLAIN, "long.txt": content}), unit="line").texts) == 5
    one_more = content.replace(b"\nend", b"x\nend")
    assert len(load_corpus(put(tmp_path, {**PLAIN, "long.txt": one_more}), unit="line").texts) == 2
    assert len(load_corpus(tmp_path, unit="document").texts) == 3


def test_a_document_that_is_too_long_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "LONGEST_DOCUMENT", 1 << 21)
    corpus = load_corpus(put(tmp_path, {**PLAIN, "dump.txt": b"some words\n" * 200_000}))
    assert corpus.skipped == ("dump.txt (a document of more than 2 MB)",)
    assert len(load_corpus(tmp_path, unit="paragraph").texts) == 3


def test_pipes_and_loops_are_skipped(tmp_path: Path) -> None:
    put(tmp_path, PLAIN)
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "loop.txt").symlink_to("loop.txt")
    (tmp_path / "again").symlink_to(tmp_path)
    corpus = load_corpus(tmp_path)
    assert len(corpus.texts) == 2
    assert [name.split(" ")[0] for name in corpus.skipped] == ["loop.txt", "pipe.txt"]


def test_a_name_that_is_no_text_can_be_written(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"bad\xff.txt")).write_bytes(b"\0")
        (tmp_path / os.fsdecode(b"fine\xff.txt")).write_text("A text.", encoding="utf-8")
    except OSError:
        pytest.skip("this file system takes names in UTF-8 alone")
    corpus = load_corpus(put(tmp_path, PLAIN))
    assert corpus.skipped == ("bad\\udcff.txt (binary)",)
    assert len(corpus.texts) == 3


def test_a_folder_that_is_called_so_has_a_name_that_can_be_written(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"sur\xff\n")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes names in UTF-8 alone")
    corpus = load_corpus(put(folder, PLAIN))
    assert corpus.name == "sur\\udcff\\n"
    assert corpus.understood.startswith("sur\\udcff\\n: 2 text files")
    one = folder / os.fsdecode(b"lines\xff.txt")
    one.write_text("One.\nTwo.\n", encoding="utf-8")
    assert load_corpus(one).name == "lines\\udcff.txt"


def test_a_folder_that_cannot_be_looked_into_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, PLAIN)
    closed = tmp_path / "closed"
    closed.mkdir()
    scan = os.scandir

    def refused(path: str) -> object:
        if str(path) == str(closed):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refused)  # root may look into any
    assert load_corpus(tmp_path).skipped == ("closed (Permission denied)",)


def test_where_nothing_can_be_read_the_error_says_why(tmp_path: Path) -> None:
    put(tmp_path, {"a.txt": b"\0", "b.png": b"\0"})
    wanted = r"no readable \.txt or \.md file in this folder; 2 files skipped: a\.txt \(binary\), b\.png \(neither"
    with pytest.raises(CorpusError, match=wanted):
        load_corpus(tmp_path)


@pytest.mark.parametrize("text", ["“", "漢字。", "「漢。", "‘"])
def test_text_full_of_marks_is_split_in_small_blocks(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    work: list[int] = []

    class Segmenter:
        @staticmethod
        def segment(language: str, block: str) -> list[str]:
            assert language == "en"
            lengths.append(len(block))
            work.append(len(block) * sum(map(block.count, "“‘「。")))
            return [block]

    monkeypatch.setattr(sentences, "require", lambda *_, **__: Segmenter)
    sentences.sentences(text * (100_000 // len(text)))
    assert max(work) <= 8_192 * 1_024  # that the time goes by
    assert sum(work) <= 100_000 * 1_024
    assert sum(lengths) == 100_000 // len(text) * len(text)
    lengths.clear()
    sentences.sentences("今天天气很好我们去公园吧。" * 5_000)  # running text stays in blocks of the old size
    assert min(lengths[:-1]) > 8_000


def test_a_blank_line_costs_no_splitting(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def noted(text: str) -> list[str]:
        asked.append(text)
        return [text]

    monkeypatch.setattr(units, "sentences", noted)
    rows = [("",)] * 1_000 + [("One. Two.",)]
    assert list(divided(rows, Unit.SENTENCE)) == [("One. Two.",)]
    assert asked == ["One. Two."]


@pytest.mark.parametrize(
    "text", ["", " ", "a", " a  b ", "a\u00a0\u2003b\n" * 50, "x" * 100, " " * 100 + "y", "ab " * 60]
)
def test_a_long_text_is_folded_as_a_short_one(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = " ".join(text.split())
    for piece in (1, 2, 3, 7, 1000):
        monkeypatch.setattr(reading, "_PIECE", piece)
        assert reading._folded(text) == wanted


def documents(count: int, size: int) -> Iterator[tuple[str]]:
    for i in range(count):
        yield (f"{i} " + "some words in a row " * (size // 20),)


def peak(work: object) -> int:
    assert callable(work)
    tracemalloc.start()
    work()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def test_documents_on_disk_are_never_in_memory_together() -> None:
    kept = Store(1)
    size = 200_000  # 40 MB in all; Store takes 4 MB of them at once, as text and as bytes
    assert peak(lambda: kept.add(documents(200, size))) < 20_000_000
    (column,), _ = kept.columns(repeats=False)
    assert sum(1 for _ in column) == 200
    assert peak(lambda: [len(text) for text in column]) < 20_000_000
    assert peak(lambda: crop_tokens((30, 250), column, lambda texts: [len(text) for text in texts])) < 20_000_000
    assert peak(lambda: equal_documents(column)) < 20_000_000
    assert equal_documents(column).tolist() == [0] * 10 + [10] * 90 + [100] * 100  # equal but for digits, of one length


def test_strings_are_read_in_portions_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{i} " + "x" * (i * 37 % 500) for i in range(300)]
    kept = Store(1)
    monkeypatch.setattr(stored, "_ENOUGH", 1_000)
    kept.add((text,) for text in texts)
    (column,), _ = kept.columns(repeats=False)
    assert list(column) == texts
    assert list(column[5:90:7]) == texts[5:90:7]
    assert list(column[:0]) == []


def test_a_folded_document_takes_no_list_of_all_its_words() -> None:
    text = "ab  cd\n" * 500_000  # 3.5 MB; a list of its words would take some 60
    assert peak(lambda: reading._folded(text)) < 15_000_000
