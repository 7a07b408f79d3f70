"""Files as people have them: what is to be read of each, and which are to be refused with what message."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
from typing import Any

WORDS = ["the", "museum", "opens", "at", "nine", "on", "sunday", "and", "closes", "late", "while", "visitors", "wait"]
TEXTS = [" ".join(WORDS[(i * k) % 13] for k in range(1, 6 + i % 5)).capitalize() + f" {i}." for i in range(120)]
COMMAS = [text.replace(" ", ", ", 1) if i % 6 == 0 else text for i, text in enumerate(TEXTS)]
OBJECTS = [{"id": i, "text": text} for i, text in enumerate(TEXTS)]
JSONL = "".join(json.dumps(row) + "\n" for row in OBJECTS)
PLAIN = "".join(text + "\n" for text in TEXTS)


def table(rows: list[list[Any]], **style: Any) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", **style).writerows(rows)
    return out.getvalue()


def lines(form: str, texts: list[str] = TEXTS, header: str = "") -> str:
    return header + "".join(form.format(i=i, text=text) + "\n" for i, text in enumerate(texts))


TWO = {"text_column": "2"}
NUMBERED: list[list[Any]] = [["id", "text"], *([i, text] for i, text in enumerate(TEXTS))]
SPOKEN = [f'He said "{text}"' if i % 40 == 0 else text for i, text in enumerate(TEXTS)]
ACCENTED = ["Café. " + text for text in TEXTS]

# name, content, what is understood (behind the name, before the count), the texts
READ: dict[str, tuple[str, str | bytes, str, list[str]]] = {
    "JSON lines called .json": ("c.json", JSONL, "JSON lines, key 'text' of 2", TEXTS),
    "JSON lines called .json.gz": (
        "c.json.gz",
        gzip.compress(JSONL.encode()),
        "gzip, JSON lines, key 'text' of 2",
        TEXTS,
    ),
    "JSON lines called .txt": ("c.txt", JSONL, "JSON lines, key 'text' of 2", TEXTS),
    "an array over many lines": ("c.json", json.dumps(OBJECTS, indent=2), "JSON array, key 'text' of 2", TEXTS),
    "an array on one line": ("c.json", json.dumps(OBJECTS), "JSON array, key 'text' of 2", TEXTS),
    "an array of strings": ("c.json", json.dumps(TEXTS), "JSON array", TEXTS),
    "an array called .jsonl": ("c.jsonl", json.dumps(OBJECTS), "JSON array, key 'text' of 2", TEXTS),
    "an array called .txt": ("c.txt", json.dumps(OBJECTS), "JSON array, key 'text' of 2", TEXTS),
    "objects over many lines": (
        "c.json",
        "\n".join(json.dumps(row, indent=1) for row in OBJECTS),
        "JSON, key 'text' of 2",
        TEXTS,
    ),
    "lines that begin with brackets": ("c.txt", "[UNK] said\n{so}\n" + PLAIN, "plain text, a line each", []),
    "semicolons": (
        "c.csv",
        lines("{i};{text}, yes;{i}", header="id;review;stars\n"),
        "delimiter ';', header, column 'review' of 3",
        [f"{text}, yes" for text in TEXTS],
    ),
    "bars": ("c.csv", lines("{i}|{text}", header="id|text\n"), "delimiter '|', header, column 'text' of 2", TEXTS),
    "one column, commas quoted": (
        "c.csv",
        table([["text"], *([text] for text in COMMAS)]),
        "delimiter ',', header, column 'text' of 1",
        COMMAS,
    ),
    "one column of sentences without a header": (
        "c.csv",
        table([[text] for text in COMMAS]),
        "delimiter ',', no header, column 1 of 1",
        COMMAS,
    ),
    "two columns without a header": (
        "c.csv",
        table([[text, i % 3] for i, text in enumerate(COMMAS)]),
        "delimiter ',', no header, column 1 of 2",
        COMMAS,
    ),
    "cells in single quotes": (
        "c.csv",
        lines("pos;'{text}; really'"),
        "delimiter ';', quoted by ', no header, column 2 of 2",
        [f"{text}; really" for text in TEXTS],
    ),
    "a space behind the delimiter": (
        "c.csv",
        lines('{i}, "{text}, ok"', header="id, review\n"),
        "delimiter ',', header, column 'review' of 2",
        [f"{text}, ok" for text in TEXTS],
    ),
    "the index of a data frame": (
        "c.csv",
        table([["", "text"], *NUMBERED[1:]]),
        "delimiter ',', header, column 'text' of 2",
        TEXTS,
    ),
    "tabs, all quoted": (
        "c.tsv",
        table(NUMBERED, delimiter="\t", quoting=csv.QUOTE_ALL),
        "delimiter tab, header, column 'text' of 2",
        TEXTS,
    ),
    "tabs, quoted where needed": (
        "c.tsv",
        table([["id", "text"], *([i, text] for i, text in enumerate(SPOKEN))], delimiter="\t"),
        "delimiter tab, header, column 'text' of 2",
        SPOKEN,
    ),
    "tabs, quotation marks of the texts": (
        "c.tsv",
        lines('{i}\t"Yes," he said. {text}', header="index\tsentence\n"),
        "delimiter tab, header, column 'sentence' of 2",
        [f'"Yes," he said. {text}' for text in TEXTS],
    ),
    "tabs in a file called .txt": ("c.txt", lines("{i}\t{text}"), "delimiter tab, no header, column 2 of 2", TEXTS),
    "commas in a file called .tsv": (
        "c.tsv",
        table([["id", "text"], *([i, text] for i, text in enumerate(COMMAS))]),
        "delimiter ',', header, column 'text' of 2",
        COMMAS,
    ),
    "bzip2": ("c.txt.bz2", bz2.compress(PLAIN.encode()), "bzip2, plain text, a line each", TEXTS),
    "xz": ("c.txt.xz", lzma.compress(PLAIN.encode()), "xz, plain text, a line each", TEXTS),
    "gzip without a name for it": ("corpus", gzip.compress(PLAIN.encode()), "gzip, plain text, a line each", TEXTS),
    "UTF-16": (
        "c.txt",
        "".join(f"{text}\n" for text in ACCENTED).encode("utf-16"),
        "UTF-16, plain text, a line each",
        ACCENTED,
    ),
    "the Unicode text of a spreadsheet": (
        "c.csv",
        lines("{i}\t{text}", ACCENTED, header="id\ttext\n").replace("\n", "\r\n").encode("utf-16"),
        "UTF-16, delimiter tab, header, column 'text' of 2",
        ACCENTED,
    ),
}

# name, content, the whole message or its beginning
REFUSED: dict[str, tuple[str, str | bytes, str]] = {
    "one column with bare commas": (
        "c.csv",
        lines("{text}", COMMAS, header="text\n"),
        "c.csv, line 2: has 2 columns between ',', wanted 1; give another `delimiter`, or `delimiter=none` if every",
    ),
    "a ragged row": (
        "c.csv",
        table([*NUMBERED, [7, "one", "too many"]]),
        "c.csv, line 122: has 3 columns between ',', wanted 2",
    ),
    "a cell that is not closed": (
        "c.csv",
        lines("pos;'{text}; really'") + "pos;'It's good; really'\n",
        "c.csv, line 121: a quoted cell is not closed as it should be",
    ),
    "two delimiters that fit": (
        "c.csv",
        lines("a{i};b,c{i}"),
        "c.csv: both ',' and ';' split every line equally well; give one as `delimiter`",
    ),
    "a first line that may be anything": (
        "c.csv",
        "apple\npear\nplum\n",
        "c.csv: cannot tell whether the first line ('apple') names the columns; give `header=True` or `header=False`",
    ),
    "two columns of one name": (
        "c.csv",
        table([["text", "text"], *([text, text] for text in TEXTS)]),
        "c.csv: 2 columns are called 'text'; give `text_column` as a number from 1 to 2",
    ),
    "two columns of texts": (
        "c.csv",
        table([["question", "answer"], *([text, text[::-1]] for text in TEXTS)]),
        "c.csv: choose with `text_column` among question, answer",
    ),
    "two columns in a file called .txt": (
        "c.txt",
        lines("{text}\tand {text}"),
        "c.txt: choose with `text_column` among columns 1 to 2; or `delimiter=none`, which reads every line as it",
    ),
    "Latin-1": ("c.txt", "café\nthé\n".encode("latin-1"), "c.txt, line 1: byte 0xe9 is not UTF-8; say which encoding"),
    "two encodings": (
        "c.txt",
        "café\n".encode() + "thé\n".encode("latin-1"),
        "c.txt, line 2: byte 0xe9 is not UTF-8; say which encoding it is, such as `encoding=cp1252`",
    ),
    "UTF-16 without a mark": ("c.txt", PLAIN.encode("utf-16-le"), "c.txt, line 1: holds a zero byte, so this is a bin"),
    "a spreadsheet": ("c.xlsx", b"PK\x03\x04" + bytes(99), "c.xlsx: is a ZIP archive, as .xlsx, .docx and .zip are"),
    "an old spreadsheet": ("c.xls", b"\xd0\xcf\x11\xe0" + bytes(99), "c.xls: is an old Office document"),
    "a pickle": ("c.pkl", b"\x80\x04\x95" + bytes(20), "c.pkl: is a pickle, which is never loaded"),
    "a name of gzip alone": ("c.txt.gz", PLAIN, "c.txt.gz: not a complete gzip file (its first bytes are of another"),
    "bzip2 cut off": ("c.bz2", bz2.compress(PLAIN.encode())[:-99], "c.bz2: not a complete bzip2 file"),
    "xz cut off": ("c.xz", lzma.compress(PLAIN.encode())[:-99], "c.xz: not a complete xz file"),
    "returns alone": ("c.txt", "one\rtwo\r", "c.txt: its lines end in carriage returns alone"),
    "an array that does not end": ("c.json", json.dumps(OBJECTS)[:-1], "c.json, line 1: not JSON (the array does not"),
    "an array and more": ("c.json", json.dumps(TEXTS) + "\n{}", "c.json, line 2: not JSON (more follows behind the e"),
    "an array without a comma": ("c.json", '["a"\n "b"]', "c.json, line 2: not JSON (no comma after an element"),
    "one text of JSON": (
        "c.txt",
        '{"text": "a"}\nnot JSON\n',
        "c.txt, line 2: not JSON (Expecting value); the first line is, and `delimiter=none` reads all as they stand",
    ),
}
