"""Inputs of several files, and how to hold a folder of shards against them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from mirrorkit.runtime.encoder import Encoder
from mirrorkit.text.awkward import AWKWARD

ROWS = 40  # in each file


def texts_of(number: int) -> list[str]:
    """Return the texts of a file: ragged, awkward, blank and repeated ones."""
    plain = [f"file {number}, sentence {i}" + " and more of it" * (i % 7) for i in range(ROWS - 6)]
    return [*plain, "", "  ", plain[0], plain[0], *(text for text in AWKWARD[number : number + 2])][:ROWS]


def write_jsonl(file: Path, number: int, times: int = 1) -> None:
    texts = texts_of(number) * times
    rows = ({"id": 1000 * number + i, "text": text, "lang": "en"} for i, text in enumerate(texts))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_parquet(file: Path, texts: list[str], group: int) -> None:
    table = pa.table({"id": pa.array(range(len(texts)), pa.int32()), "text": texts})
    parquet.write_table(table, file, row_group_size=group)


def make_input(folder: Path, files: int = 4, times: int = 1) -> Path:
    """Write a folder of files of texts, each text so many times."""
    for number in range(files):
        write_jsonl(folder / ("sub" if number % 2 else "") / f"part{number}.jsonl", number, times)
    return folder


def check_shards(out: Path, files: int, encoder: Encoder, times: int = 1, **options: Any) -> None:
    """Raise AssertionError unless every row of `make_input` is there once, in order, with the encoder's own bits."""
    for number in range(files):
        table = parquet.read_table(out / ("sub" if number % 2 else "") / f"part{number}.jsonl.parquet")
        texts = texts_of(number) * times
        assert table["id"].to_pylist() == [str(1000 * number + i) for i in range(len(texts))]
        np.testing.assert_array_equal(vectors_of(table), np.concatenate(list(encoder.encode_iter(texts, **options))))
    left = {file.relative_to(out).parts[0] for file in out.rglob("*") if file.name.startswith((".", "_"))}
    assert left <= {"_SUCCESS", "_made_by.json", "_manifest.json", "_shards"}


def vectors_of(table: Any) -> Any:
    return np.array(table["embedding"].to_pylist())
