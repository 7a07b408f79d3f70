"""Files as people have them: each is read as it is meant, and said how, or refused in one line with what to give."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirrorkit.errors import ConfigError, CorpusError, MirrorkitError
from mirrorkit.text.dialect import SAMPLE
from mirrorkit.text.reading import Reading
from mirrorkit.training.corpus import load_corpus
from tests.text.content_cases import ACCENTED, COMMAS, JSONL, NUMBERED, PLAIN, READ, REFUSED, TEXTS, TWO, lines, table


def put(folder: Path, name: str, content: str | bytes) -> Path:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


@pytest.mark.parametrize("case", READ)
def test_a_file_is_read_as_it_is_meant(tmp_path: Path, case: str) -> None:
    name, content, layout, texts = READ[case]
    corpus = load_corpus(put(tmp_path, name, content))
    assert corpus.texts == texts or not texts
    assert corpus.understood == f"{name}: {layout}, {corpus.rows} rows"
    assert corpus.rows == len(texts or TEXTS) + 2 * (not texts)


def test_zstd_and_arrow(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="needs the parquet extra")
    ipc = pytest.importorskip("pyarrow.ipc")
    parquet = pytest.importorskip("pyarrow.parquet")
    with arrow.CompressedOutputStream(str(tmp_path / "c.txt.zst"), "zstd") as out:
        out.write(PLAIN.encode())
    corpus = load_corpus(tmp_path / "c.txt.zst")
    assert (corpus.texts, corpus.understood) == (TEXTS, "c.txt.zst: zstd, plain text, a line each, 120 rows")
    whole = (tmp_path / "c.txt.zst").read_bytes()
    with pytest.raises(CorpusError, match=r"^cut\.zst: not a complete zstd file"):
        load_corpus(put(tmp_path, "cut.zst", whole[:-60]))
    rows = arrow.table({"id": list(range(120)), "review": [*TEXTS[:-1], None], "id2": list(range(120))})
    for file, make in (("c.arrow", ipc.new_file), ("s.arrow", ipc.new_stream)):
        with make(str(tmp_path / file), rows.schema) as writer:
            writer.write_table(rows, 50)
        corpus = load_corpus(tmp_path / file)
        assert (corpus.texts, corpus.blank) == (TEXTS[:-1], 1)
        assert corpus.understood == f"{file}: arrow, column 'review' of 3, 120 rows, 1 empty"
    parquet.write_table(rows, tmp_path / "c.parquet")
    renamed = put(tmp_path, "c.data", (tmp_path / "c.parquet").read_bytes())
    assert load_corpus(renamed).understood == "c.data: parquet, column 'review' of 3, 120 rows, 1 empty"
    twice = rows.rename_columns(["text", "text", "n"])
    parquet.write_table(twice, tmp_path / "twice.parquet")
    with pytest.raises(ConfigError, match=r"^twice\.parquet: 2 columns are called 'text'; give `text_column` as a n"):
        load_corpus(tmp_path / "twice.parquet", text_column="text")
    assert load_corpus(tmp_path / "twice.parquet", text_column="2").texts == TEXTS[:-1]


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_told_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    name, content, message = REFUSED[case]
    with pytest.raises((CorpusError, ConfigError)) as caught:
        load_corpus(put(tmp_path, name, content))
    assert str(caught.value).startswith(message)
    assert len(str(caught.value).splitlines()) == 1


# what the user says -> what is read
SAID: dict[str, tuple[str, str | bytes, Reading, dict[str, Any], list[str]]] = {
    "no delimiter": ("c.csv", lines("{text}", COMMAS, header="text\n"), Reading(delimiter="none"), {}, COMMAS),
    "no delimiter in JSON": ("c.txt", '{"a": 1}\nb\n', Reading(delimiter="none"), {}, ['{"a": 1}', "b"]),
    "a header": ("c.csv", "apple\npear\nplum\n", Reading(header=True), {}, ["pear", "plum"]),
    "no header": ("c.csv", "apple\npear\nplum\n", Reading(header=False), {}, ["apple", "pear", "plum"]),
    "a delimiter": ("c.csv", "a;b,c\nd;e,f\n", Reading(delimiter=";", header=False), TWO, ["b,c", "e,f"]),
    "another one": ("c.txt", "x~one two\ny~three\n", Reading(None, "~", None, False), TWO, ["one two", "three"]),
    "an encoding": ("c.txt", "café\nthé\n".encode("cp1252"), Reading(encoding="cp1252"), {}, ["café", "thé"]),
    "a longer one": ("c.csv", "text\n日本\n中国\n".encode("sjis"), Reading(encoding="sjis"), {}, ["日本", "中国"]),
    "a column of a name": ("c.txt", lines("{i};{text}", header="n;what\n"), Reading(), {"text_column": "what"}, TEXTS),
    "one of two": ("c.csv", table([["text"] * 2, *(["x", t] for t in TEXTS)]), Reading(), TWO, TEXTS),
    "bad rows left out": ("c.csv", table([*NUMBERED, [7, "one", "too many"]]), Reading(skip_bad=True), {}, TEXTS),
    "bad lines of JSON left out": ("c.jsonl", JSONL + "{\n[1]\n{\"id\": 2}\n", Reading(skip_bad=True), {}, TEXTS),
}  # fmt: skip


@pytest.mark.parametrize("case", SAID)
def test_the_user_has_the_last_word(tmp_path: Path, case: str) -> None:
    name, content, reading, more, texts = SAID[case]
    corpus = load_corpus(put(tmp_path, name, content), reading=reading, **more)
    assert corpus.texts == texts
    left_out = {"bad rows left out": 1, "bad lines of JSON left out": 3}.get(case)
    assert corpus.understood.endswith(f", {left_out} bad left out") or not left_out


WRONG: dict[str, tuple[Callable[[], Reading], str]] = {
    "a delimiter of two": (lambda: Reading(delimiter="ab"), r"^delimiter 'ab': must be one character"),
    "a letter": (lambda: Reading(delimiter="a"), r"^delimiter 'a': must be one character"),
    "no encoding": (lambda: Reading(encoding="utf-99"), r"^encoding 'utf-99': must be one that Python knows"),
    "no text encoding": (lambda: Reading(encoding="zlib"), r"^encoding 'zlib': must be one that Python knows"),
    "another encoding": (lambda: Reading(encoding="latin-1"), r"^encoding 'latin-1': c\.txt is UTF-8, as its letters"),
    "no such delimiter": (lambda: Reading(delimiter=";"), r"^c\.txt: no column 2, there are 1; or"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_word_of_the_user_is_named(tmp_path: Path, case: str) -> None:
    make, message = WRONG[case]
    file = put(tmp_path, "c.txt", "".join(f"{text}\n" for text in ACCENTED))
    column = "2" if case == "no such delimiter" else None
    with pytest.raises(MirrorkitError, match=message):
        load_corpus(file, reading=make(), text_column=column)


def test_an_encoding_is_held_to_and_its_mark_too(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"^c\.txt, line 3: byte 0x82 is not shift_jis; give the `encoding` that"):
        load_corpus(put(tmp_path, "c.txt", "日本\n語\n".encode("sjis") + b"\x82\n"), reading=Reading(encoding="sjis"))
    with pytest.raises(ConfigError, match=r"^encoding 'cp1252': c\.txt begins with the byte order mark of UTF-16"):
        load_corpus(put(tmp_path, "c.txt", "a\nb\n".encode("utf-16")), reading=Reading(encoding="cp1252"))


def test_a_dialect_is_held_to_beyond_the_sample(tmp_path: Path) -> None:
    many = SAMPLE // 40
    rows = table([["id", "text"], *([i, f"{TEXTS[i % 120]} and {i}"] for i in range(many))])
    assert len(rows) > SAMPLE
    corpus = load_corpus(put(tmp_path, "c.csv", rows))
    assert len(corpus) == many
    with pytest.raises(CorpusError, match=rf"^c\.csv, line {many + 2}: has 1 column between ',', wanted 2"):
        load_corpus(put(tmp_path, "c.csv", rows + "alone\n"))
    with pytest.raises(CorpusError, match=rf"^c\.csv, line {many + 2}: a quoted cell is not closed"):
        load_corpus(put(tmp_path, "c.csv", rows + '1,"open\n'))
    start = rows[: rows.rindex("\n", 0, SAMPLE - 20) + 1]  # and a cell on both sides of where the sample ends
    corpus = load_corpus(put(tmp_path, "c.csv", start + '7,"begins here\n' + "and goes on\n" * 9 + 'and ends"\n'))
    assert corpus.texts[-1] == "begins here " + "and goes on " * 9 + "and ends"


def test_the_files_of_the_official_projects(tmp_path: Path) -> None:
    nli = table([["sent0", "sent1", "hard_neg"], *([t, t.lower(), t.upper()] for t in COMMAS)])
    corpus = load_corpus(put(tmp_path, "nli_for_simcse.csv", nli), pairs=True, text_column="sent0,sent1")
    assert (corpus.texts, corpus.partners) == (COMMAS, [text.lower() for text in COMMAS])
    names = lines("C{i:07d}||{text}||a {text}")
    with pytest.raises(ConfigError, match=r"^umls\.txt: choose with `text_column` among columns 1 to 3"):
        load_corpus(put(tmp_path, "umls.txt", names), pairs=True)
    corpus = load_corpus(tmp_path / "umls.txt", pairs=True, text_column="2,3")
    assert (corpus.texts, corpus.partners) == (TEXTS, [f"a {text}" for text in TEXTS])
    dictionary = put(tmp_path, "train_dictionary.txt", lines("D{i:06d}||{text}"))
    assert (
        load_corpus(dictionary).understood == "train_dictionary.txt: delimiter '||', no header, column 2 of 2, 120 rows"
    )
    mentions = put(tmp_path, "0.concept", lines("1019||{i}|9||Disease||{text}||D1|D2"))
    assert load_corpus(mentions, text_column="4").texts == TEXTS
    bad = put(tmp_path, "pairs.txt", lines("{text}||b {text}") + "a||b||c\n\nalone\n")
    with pytest.raises(CorpusError, match=r"^pairs\.txt, line 121: has 3 columns between '\|\|', wanted 2"):
        load_corpus(bad, pairs=True)
    corpus = load_corpus(bad, pairs=True, reading=Reading(skip_bad=True))
    assert corpus.texts == TEXTS
    assert corpus.understood.endswith("columns 1 and 2 of 2, 121 rows, 1 empty, 2 bad left out")


def test_several_files_and_patterns(tmp_path: Path) -> None:
    one = put(tmp_path, "a.txt", "one two\nthree\n")
    two = put(tmp_path, "b.csv", "id;text\n1;four, five\n2;three\n")
    (tmp_path / "sub").mkdir()
    three = put(tmp_path / "sub", "c.txt", "six\n")
    corpus = load_corpus([one, two])
    assert corpus.texts == ["one two", "three", "four, five"]
    assert (corpus.name, corpus.rows, corpus.repeats, corpus.size) == ("a.txt, b.csv", 4, 1, 14 + 29)
    assert corpus.understood == (
        "a.txt, b.csv: 2 files, a.txt: plain text, a line each; b.csv: delimiter ';', header, column 'text' of 2, "
        "4 rows, 1 repeated"
    )
    assert load_corpus(f"{tmp_path}/**/*.txt").texts == ["one two", "three", "six"]
    assert load_corpus([tmp_path / "*.txt", three]).texts == ["one two", "three", "six"]
    assert load_corpus([one, tmp_path / "sub"]).texts == ["one two", "three", "six"]  # a line each where files are
    with pytest.raises(CorpusError, match=r"\*\.md: no file has a name like this$"):
        load_corpus(f"{tmp_path}/*.md")
    odd = put(tmp_path, "[1].txt", "a\nb\n")
    assert load_corpus(odd).texts == ["a", "b"]  # a file of that very name
    with pytest.raises(ConfigError, match=r"a folder of plain text has neither columns nor pairs"):
        load_corpus([one, tmp_path / "sub"], text_column="x")


def test_strings_that_are_names_of_files_are_not_trained_on(tmp_path: Path) -> None:
    names = [str(put(tmp_path, name, "one\ntwo\n")) for name in ("a.txt", "b.txt")]
    with pytest.raises(ConfigError, match=r"must be a text, and all 2 strings are names of files; .*\[Path\(name\)"):
        load_corpus(names)
    assert load_corpus([*names, "a text"]).texts == [*names, "a text"]


def test_what_was_understood_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = "review;stars\n" + "good and fine it was;5\n" * 3 + ";1\nbad from the very start;1\n"
    with caplog.at_level(logging.INFO):
        load_corpus(put(tmp_path, "c.csv", content))
    assert caplog.messages == ["c.csv: delimiter ';', header, column 'review' of 2, 5 rows, 1 empty, 2 repeated"]
    sample = load_corpus(put(tmp_path, "c.txt", PLAIN), limit=50)
    assert sample.understood == "c.txt: plain text, a line each, 120 rows, an even sample of 50 of them"
