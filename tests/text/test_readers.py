"""Read every file format that a corpus comes in; name file and line of what cannot be read."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.text import packed
from mirrorkit.text.readers import TextSource
from mirrorkit.text.rows import LONGEST_LINE
from mirrorkit.training.corpus import Corpus, load_corpus

TEXTS = ["The first text.", 'A second, with "quotes", commas', "три\u2028и четыре", "five\x0bsix\x85seven"]
READ = ["The first text.", 'A second, with "quotes", commas', "три и четыре", "five six seven"]


def put(folder: Path, name: str, content: str | bytes) -> Path:
    file = folder / name
    data = content.encode() if isinstance(content, str) else content
    file.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return file


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


LINES = "\n".join(TEXTS) + "\n"
CSV = "id,text\n" + "".join(f"{i},{quoted(t)}\n" for i, t in enumerate(TEXTS))
TSV = "text\tid\n" + "".join(f"{t}\t{i}\n" for i, t in enumerate(TEXTS))
JSONL = "".join(json.dumps({"id": i, "text": t}) + "\n" for i, t in enumerate(TEXTS))
FORMATS: dict[str, tuple[str, str | bytes]] = {
    "txt": ("c.txt", LINES),
    "no suffix": ("corpus", LINES),
    "unknown suffix": ("c.dat", LINES),
    "no newline at the end": ("c.txt", LINES.rstrip("\n")),
    "windows line ends": ("c.txt", LINES.replace("\n", "\r\n")),
    "byte order mark": ("c.txt", LINES.encode("utf-8-sig")),
    "txt.gz": ("c.txt.gz", LINES),
    "gz of no other suffix": ("c.gz", LINES),
    "csv": ("c.csv", CSV),
    "csv of one column": ("c.CSV", "sentence\n" + "".join(quoted(t) + "\n" for t in TEXTS)),
    "csv with a byte order mark": ("c.csv", CSV.encode("utf-8-sig")),
    "csv.gz": ("c.csv.gz", CSV),
    "tsv": ("c.tsv", TSV),
    "jsonl": ("c.jsonl", JSONL),
    "jsonl escaped otherwise": ("c.ndjson", "".join(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in TEXTS)),
    "jsonl of strings": ("c.jsonl", "".join(json.dumps(t) + "\n" for t in TEXTS)),
    "jsonl.gz": ("c.jsonl.gz", JSONL),
}


@pytest.mark.parametrize("case", FORMATS)
def test_every_format_gives_the_same_strings(tmp_path: Path, case: str) -> None:
    file = put(tmp_path, *FORMATS[case])
    corpus = load_corpus(file)
    assert corpus.texts == READ
    assert corpus.partners is None
    assert (corpus.name, corpus.rows, corpus.blank, corpus.repeats) == (file.name, 4, 0, 0)
    assert corpus.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert corpus.size == file.stat().st_size


def write_parquet(file: Path, columns: dict[str, list[Any]]) -> Path:
    pytest.importorskip("pyarrow", reason="needs the parquet extra")
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table(columns), file, row_group_size=3)
    return file


def test_parquet(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "c.parquet", {"id": [1, 2, 3, 4, 5], "text": [*TEXTS, None]})
    corpus = load_corpus(file)
    assert (corpus.texts, corpus.rows, corpus.blank) == (READ, 5, 1)
    assert corpus.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    pairs = write_parquet(tmp_path / "p.parquet", {"a": TEXTS, "n": [1, 2, 3, 4], "b": TEXTS[::-1]})
    assert load_corpus(pairs, pairs=True, text_column="b,a").texts == READ[::-1]
    with pytest.raises(CorpusError, match=r"p\.parquet: column n is not of strings"):
        load_corpus(pairs, text_column="n")
    with pytest.raises(CorpusError, match=r"bad\.parquet: not a parquet file"):
        load_corpus(put(tmp_path, "bad.parquet", LINES))
    with pytest.raises(CorpusError, match=r"gone\.parquet: cannot be read \(No such file"):
        load_corpus(tmp_path / "gone.parquet")


class Stdin:
    def __init__(self, content: str | bytes) -> None:
        self.buffer = io.BytesIO(content.encode() if isinstance(content, str) else content)


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = Stdin(LINES)
    monkeypatch.setattr(sys, "stdin", stdin)
    corpus = load_corpus("-")
    assert (corpus.texts, corpus.name) == (READ, "standard input")
    assert corpus.sha256 == hashlib.sha256(LINES.encode()).hexdigest()
    assert not stdin.buffer.closed
    monkeypatch.setattr(sys, "stdin", Stdin("a || b\nc || d\n"))
    pairs = load_corpus("-", pairs=True)
    assert (pairs.texts, pairs.partners) == (["a", "c"], ["b", "d"])
    monkeypatch.setattr(sys, "stdin", Stdin(b"ok\n\xff\n"))
    with pytest.raises(CorpusError, match=r"^standard input, line 2: byte 0xff is not UTF-8"):
        load_corpus("-")


def pairs_of(corpus: Corpus) -> list[tuple[str, str]]:
    assert corpus.partners is not None
    return list(zip(corpus.texts, corpus.partners, strict=True))


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        ("p.txt", "a b||c d\n\ne || f|g\n|| half\n", None),
        ("p.csv", "one,two\na b,c d\n\ne,f|g\n,half\n", None),
        ("p.csv", "x,two,one\n1,c d,a b\n2,f|g,e\n\n3,half,\n", "one,two"),
        ("p.csv", "1,c d,a b\n2,f|g,e\n\n3,half,\n", "3,2"),
        ("p.tsv", 'l\tr\na b\tc d\ne\tf|g\n\n\t"half\n', "l, r"),
        ("p.jsonl", '{"l":"a b","r":"c d"}\n\n{"r":"f|g","l":"e"}\n{"l":null,"r":"half"}\n', "l,r"),
    ],
)
def test_pairs(tmp_path: Path, name: str, content: str, columns: str | None) -> None:
    corpus = load_corpus(put(tmp_path, name, content), pairs=True, text_column=columns)
    assert pairs_of(corpus) == [("a b", "c d"), ("e", "f|g")]
    assert (corpus.rows, corpus.blank) == (4, 2)  # an empty line, and half a pair


def test_a_quoted_field_may_hold_line_ends_and_a_quotation_mark_in_tsv_is_one(tmp_path: Path) -> None:
    assert load_corpus(put(tmp_path, "c.csv", 'text\n"two\r\nlines"\nx\n')).texts == ["two lines", "x"]
    assert load_corpus(put(tmp_path, "c.tsv", 'text\n"open\n5" wide\n')).texts == ['"open', '5" wide']


BAD: dict[str, tuple[str, str | bytes, str]] = {
    "latin-1": (
        "c.txt",
        b"fine\n\ncaf\xe9\n",
        "c.txt, line 3: byte 0xe9 is not UTF-8; say which encoding it is, such as `enc",
    ),
    "binary": ("c.txt", b"a\nb\0c\n", "c.txt, line 2: holds a zero byte, so this is a binary file"),
    "png": ("c.png", b"\x89PNG\r\n\x1a\n\0\0", "c.png: is a picture"),
    "too long": ("c.txt", b"a\n" + b"x" * (LONGEST_LINE + 1), f"c.txt, line 2: longer than {LONGEST_LINE} bytes"),
    "empty": ("c.txt", "", "c.txt: no usable string; training needs at least 2 distinct ones"),
    "blank": ("c.txt", "\n \n\t\n", "c.txt: no usable string"),
    "one line": ("c.txt", "only\n", "c.txt: 1 usable string; training needs at least 2"),
    "one line twice": ("c.txt", "only\n only \n", "c.txt: 1 usable string"),
    "no gzip": ("c.txt", "", "c.txt.gz: not a complete gzip file"),
    "empty csv": ("c.csv", "", "c.csv: choose with `text_column` among no columns"),
    "csv of two columns": ("c.csv", "a,b\n1,2\n", "c.csv: choose with `text_column` among a, b"),
    "short csv row": (
        "c.csv",
        "id,text\n1,x\n2\n",
        "c.csv, line 3: has 1 column between ',', wanted 2; give another `delimiter`",
    ),
    "open quotation": (
        "c.csv",
        'text\nx\n"y\nz\n',
        "c.csv, line 4: a quoted cell is not closed as it should be (unexpected end of data)",
    ),
    "no json": ("c.jsonl", '{"text":"a"}\n{"text":\n', "c.jsonl, line 2: not JSON (Expecting value)"),
    "json too deep": ("c.jsonl", '{"text":"a"}\n' + "[" * 200_000 + "\n", "c.jsonl, line 2: not JSON"),
    "json number too long": ("c.jsonl", '{"text":"a"}\n' + "9" * 5000 + "\n", "c.jsonl, line 2: not JSON"),
    "json list": ("c.jsonl", '{"text":"a"}\n[1]\n', "c.jsonl, line 2: expected an object, found list"),
    "json number": ("c.jsonl", '{"text":"a"}\n{"text":2}\n', "c.jsonl, line 2: text is int, not a string"),
    "json without it": (
        "c.jsonl",
        '{"id":1,"text":"a"}\n{"id":2}\n',
        "c.jsonl, line 2: no column 'text', there are: id",
    ),
    "json of another key": ("c.jsonl", '{"a":"x"}\n\n{"b":"y"}\n', "c.jsonl, line 3: no column 'a', there are: b"),
    "json of two keys": ("c.jsonl", '{"a":"x","b":"y"}\n', "c.jsonl, line 1: choose with `text_column` among a, b"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_is_named(tmp_path: Path, case: str) -> None:
    name, content, complaint = BAD[case]
    file = put(tmp_path, name, content)
    if case == "no gzip":
        file = tmp_path / "c.txt.gz"
        file.write_text("plain")
    with pytest.raises((CorpusError, ConfigError)) as caught:
        load_corpus(file)
    message = str(caught.value).removeprefix(f"{tmp_path}/")
    assert message.startswith(complaint)
    assert len(message.splitlines()) == 1


def test_a_gzip_file_that_was_cut_off(tmp_path: Path) -> None:
    file = put(tmp_path, "c.txt.gz", "".join(f"line {i}\n" for i in range(5000)))
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(CorpusError, match=r"c\.txt\.gz: not a complete gzip file"):
        load_corpus(file)


def test_a_file_that_is_not_there_and_one_that_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"gone\.txt: cannot be read \(No such file or directory\)"):
        load_corpus(tmp_path / "gone.txt")
    with pytest.raises(CorpusError, match=r"no readable \.txt or \.md file in this folder"):
        load_corpus(tmp_path)


def test_three_parts_are_no_pair(tmp_path: Path) -> None:
    for line, parts in (("a||b||c", "3 columns"), ("alone", "1 column")):
        file = put(tmp_path, "p.txt", f"x||y\n\n{line}\n")
        with pytest.raises(CorpusError, match=rf"p\.txt, line 3: has {parts} between '\|\|', wanted 2; give another"):
            load_corpus(file, pairs=True)
    file = put(tmp_path, "p.txt", "alone\nand alone\n")
    with pytest.raises(CorpusError, match=r"p\.txt: holds no pairs; a pair is a\|\|b, or two columns"):
        load_corpus(file, pairs=True)


@pytest.mark.parametrize(
    ("name", "columns", "complaint"),
    [
        ("c.csv", "no", "c.csv: no column 'no', there are: id, text"),
        ("c.jsonl", "no", "c.jsonl, line 1: no column 'no', there are: id, text"),
        ("c.txt", "text", "c.txt: plain text has no columns; `text_column` is for csv"),
        ("c.csv", "id,text", "text_column 'id,text': must name 1 column"),
        ("c.csv", "9", "c.csv: no column 9, there are 2"),
    ],
)
def test_a_column_that_is_not_there(tmp_path: Path, name: str, columns: str, complaint: str) -> None:
    put(tmp_path, "c.csv", CSV)
    put(tmp_path, "c.jsonl", JSONL)
    put(tmp_path, "c.txt", LINES)
    with pytest.raises((CorpusError, ConfigError)) as caught:
        load_corpus(tmp_path / name, text_column=columns)
    assert str(caught.value).startswith(complaint)


def test_a_packed_file_that_swells_as_no_text_does_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bomb.txt.gz"
    file.write_bytes(gzip.compress((b"x" * 1023 + b"\n") * ((packed.UNSUSPICIOUS >> 10) + 1024)))
    with pytest.raises(CorpusError, match="unpacks to more than 200 times its size"):
        for _ in TextSource(str(file)).records():
            pass
    file.write_bytes(gzip.compress(b"a line\n" * 100_000))
    assert sum(1 for _ in TextSource(str(file)).records()) == 100_000


@pytest.mark.parametrize(
    ("name", "content", "also", "rows"),
    [
        ("a.csv", "id,text,n\n7,some text,1\n\n8,and more,\n", ("id", "n"), [("7", "1"), ("", ""), ("8", "")]),
        (
            "a.jsonl",
            '{"id": 7, "text": "x"}\n{"id": "7", "text": null}\n{"id": null, "text": "y"}\n'
            '{"id": [1, {"é": 2.50}], "text": "z"}\n',
            ("id",),
            [("7",), ("7",), (None,), ('[1, {"é": 2.5}]',)],
        ),
        ("a.txt", "one\n\nthree\n", ("text",), [("one",), ("",), ("three",)]),
    ],
)
def test_more_columns_come_behind_the_text(
    name: str, content: str, also: tuple[str, ...], rows: list[tuple[str | None, ...]], tmp_path: Path
) -> None:
    records = list(TextSource(str(put(tmp_path, name, content)), also=also).records())
    assert [record[1:] for record in records] == rows


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "id,text\n7,some text\n", "a.csv: no column 'key', there are: id, text"),
        ("a.jsonl", '{"id": 7, "text": "x"}\n', "a.jsonl, line 1: no column 'key', there are: id, text"),
        ("a.txt", "one\n", "a.txt: no column 'key', there is only the text"),
    ],
)
def test_a_further_column_that_is_not_there(name: str, content: str, said: str, tmp_path: Path) -> None:
    with pytest.raises((ConfigError, CorpusError), match=said):
        list(TextSource(str(put(tmp_path, name, content)), also=("key",)).records())
