"""Encoders for the tests of search and labels: vectors that depend on the text alone, and no model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mirrorkit.text.ragged import Floats


class Drawn:
    """Give each string a vector of its own, not of unit length, and remember what it was asked for."""

    def __init__(self, dim: int = 6) -> None:
        self.dim = dim
        self.asked: list[list[str]] = []

    def encode(self, texts: Sequence[str], /) -> Floats:
        self.asked.append(list(texts))
        return np.stack([self.vector(text) for text in texts])

    def vector(self, text: str) -> Floats:
        rng = np.random.default_rng(list(text.encode()))
        return (rng.normal(size=self.dim) + 0.5).astype(np.float32) * 3

    def unit(self, texts: Sequence[str]) -> Floats:
        vectors = np.stack([self.vector(text) for text in texts])
        unit: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


class Given:
    """Give each string the vector that a table has for it."""

    def __init__(self, vectors: Mapping[str, Sequence[float]]) -> None:
        self.vectors = vectors

    def encode(self, texts: Sequence[str], /) -> Floats:
        return np.array([self.vectors[text] for text in texts], np.float32)


def write_jsonl(file: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return file


def write_beir(
    folder: Path, documents: Mapping[str, str], queries: Mapping[str, str], qrels: Sequence[tuple[str, str, int]]
) -> Path:
    """Write a folder in BEIR's layout, with one split called test."""
    write_jsonl(folder / "corpus.jsonl", [{"_id": one, "title": "", "text": text} for one, text in documents.items()])
    write_jsonl(folder / "queries.jsonl", [{"_id": one, "text": text} for one, text in queries.items()])
    (folder / "qrels").mkdir()
    rows = ["query-id\tcorpus-id\tscore", *(f"{query}\t{document}\t{grade}" for query, document, grade in qrels)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder
