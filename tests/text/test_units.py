"""Lines, sentences, paragraphs and documents, of files, fields and folders."""

from __future__ import annotations

import json
import logging
import tracemalloc
from pathlib import Path

import pytest

from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.training.corpus import load_corpus

TEXT = "# Title\nFirst line. Dr. Miller\nruns on.\n\n \nSecond paragraph! Its end?\n"
UNITS = {
    "line": ["# Title", "First line. Dr. Miller", "runs on.", "Second paragraph! Its end?"],
    "paragraph": ["# Title First line. Dr. Miller runs on.", "Second paragraph! Its end?"],
    "sentence": ["# Title First line.", "Dr. Miller runs on.", "Second paragraph!", "Its end?"],
}


def put(file: Path, content: str | bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_file_of_text(tmp_path: Path, unit: str, ends: str) -> None:
    file = put(tmp_path / "notes.md", TEXT.replace("\n", ends))
    corpus = load_corpus(file, unit=unit)
    assert corpus.texts == UNITS[unit]
    assert (corpus.unit, corpus.size) == (unit, file.stat().st_size)


def test_one_file_is_one_document(tmp_path: Path) -> None:
    file = put(tmp_path / "notes.txt", TEXT)
    with pytest.raises(CorpusError, match=r"^notes\.txt: 1 usable string; .*; of one document, `unit=paragraph`"):
        load_corpus(file, unit="document")


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet", "memory"])
@pytest.mark.parametrize("unit", [None, "line", "document", "paragraph", "sentence"])
def test_fields(tmp_path: Path, kind: str, unit: str | None) -> None:
    rows = [TEXT, "Another document. Of two sentences."]
    source: Path | list[str] = rows
    if kind == "jsonl":
        source = put(tmp_path / "c.jsonl", "".join(json.dumps({"id": "1", "body": row}) + "\n" for row in rows))
    elif kind == "csv":
        source = put(tmp_path / "c.csv", "id,body\n" + "".join(f'1,"{row}"\n' for row in rows))
    elif kind == "parquet":
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        source = tmp_path / "c.parquet"
        parquet.write_table(pyarrow.table({"id": ["1", "1"], "body": rows}), source)
    corpus = load_corpus(source, unit=unit, text_column=None if kind == "memory" else "body")
    if unit in ("paragraph", "sentence"):
        last = ["Another document.", "Of two sentences."] if unit == "sentence" else [rows[1]]
        assert corpus.texts == [*UNITS[unit], *last]
    else:
        assert corpus.texts == [" ".join(row.split()) for row in rows]


def test_a_folder_is_a_document_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "docs"
    put(folder / "b.txt", TEXT)
    put(folder / "a" / "deep.MD", "Another document.\n\nOf two paragraphs.\n")
    put(folder / "empty.txt", "")
    put(folder / "picture.png", b"\x89PNG\r\n")
    put(folder / "binary.txt", b"text\0more")
    put(folder / "latin.txt", "caf\xe9".encode("latin-1"))
    put(folder / "cut.txt", "café".encode()[:-1])
    put(folder / ".git" / "hidden.txt", "not read")
    put(folder / ".hidden.txt", "not read")
    (folder / "gone.txt").symlink_to(folder / "nowhere")
    with caplog.at_level(logging.WARNING):
        corpus = load_corpus(folder)
    assert corpus.texts == [" ".join(TEXT.split()), "Another document. Of two paragraphs."]
    assert (corpus.unit, corpus.name, corpus.blank) == ("document", "docs", 1)
    assert corpus.size == len(TEXT) + len("Another document.\n\nOf two paragraphs.\n")
    assert list(corpus.skipped) == [
        "binary.txt (binary)",
        "cut.txt (not UTF-8)",
        "gone.txt (No such file or directory)",
        "latin.txt (not UTF-8)",
        "picture.png (neither .txt nor .md)",
    ]
    assert "docs: 5 files skipped: binary.txt (binary), cut.txt (not UTF-8), " in caplog.text
    assert load_corpus(folder, unit="line").texts == [*UNITS["line"], "Another document.", "Of two paragraphs."]
    assert load_corpus(folder).sha256 == corpus.sha256
    put(folder / "b.txt", TEXT + "more")
    assert load_corpus(folder).sha256 != corpus.sha256


def test_many_skipped_files_are_counted_and_five_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for i in range(9):
        put(tmp_path / f"{i}.bin", b"\0")
    put(tmp_path / "a.txt", "one")
    put(tmp_path / "b.txt", "two")
    assert len(load_corpus(tmp_path).skipped) == 9
    assert "9 files skipped" in caplog.text
    assert caplog.text.count(".bin (") == 5
    assert "and 4 more" in caplog.text


def test_what_cannot_be_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no readable \.txt or \.md file in this folder"):
        load_corpus(tmp_path)
    file = put(tmp_path / "a.txt", "one\ntwo\n")
    with pytest.raises(ConfigError, match=r"^unit 'page': must be one of line, sentence, paragraph, document$"):
        load_corpus(file, unit="page")
    with pytest.raises(ConfigError, match=r"^unit 'document': a pair is a line"):
        load_corpus(file, unit="document", pairs=True)
    with pytest.raises(ConfigError, match="a folder of plain text has neither columns nor pairs"):
        load_corpus(tmp_path, text_column="body")


def test_a_field_or_a_line_of_a_document_may_be_long(tmp_path: Path) -> None:
    text = "word and other " * 200_000  # 3 MB
    file = put(tmp_path / "c.jsonl", json.dumps(text) + "\n" + json.dumps("short") + "\n")
    assert len(load_corpus(file, unit="document").texts[0]) == 2_999_999
    with pytest.raises(CorpusError, match="line 1: longer than 1048576 bytes"):
        load_corpus(file)


def test_a_sample_of_paragraphs_takes_memory_for_what_it_keeps(tmp_path: Path) -> None:
    file = tmp_path / "c.txt"
    with file.open("w", encoding="utf-8") as stream:
        stream.writelines(f"paragraph {i}\nof two lines {'and more ' * 40}\n\n" for i in range(20_000))
    load_corpus(file, unit="paragraph", limit=10)
    tracemalloc.start()
    try:
        assert len(load_corpus(file, unit="paragraph", limit=10)) == 10
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
