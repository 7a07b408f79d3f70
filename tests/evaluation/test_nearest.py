"""Hold the search in blocks, and faiss, to a plain sort of all scores."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest

from mirrorkit.evaluation import nearest as module
from mirrorkit.evaluation.nearest import encode_unit, greatest_first, nearest
from mirrorkit.text.ragged import Floats
from tests.evaluation.fakes import Drawn
from tests.progress import Told


def vectors(count: int, seed: int, *, coarse: bool = False) -> Floats:
    """Draw unit vectors; coarse ones lie on few points and so tie in many products."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, 2, (count, 4)) * 1.0 + [1, 0, 0, 0] if coarse else rng.normal(size=(count, 8))
    unit: Floats = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    return unit


def plainly(queries: Floats, documents: Floats, count: int, hidden: list[int]) -> list[list[int]]:
    rows = []
    for query, own in zip(queries, hidden, strict=True):
        scores = (documents.astype(np.float64) @ query).astype(np.float32)
        ranked = sorted(range(len(documents)), key=lambda i: (-scores[i], i))
        kept = [i for i in ranked if i != own]
        rows.append([*kept, -1][: min(count, len(documents))])
    return rows


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("count", [1, 3, 39, 40, 100])
@pytest.mark.parametrize("block", [7, 40 * 6, 1 << 20])
def test_blocks_give_what_a_sort_gives(monkeypatch: pytest.MonkeyPatch, coarse: bool, count: int, block: int) -> None:
    monkeypatch.setattr(module, "_BLOCK", block)
    queries, documents = vectors(17, 1, coarse=coarse), vectors(40, 2, coarse=coarse)
    hidden = [-1, *range(16)]
    assert nearest(queries, documents, count, hidden).tolist() == plainly(queries, documents, count, hidden)


@pytest.mark.parametrize("repeats", [1, 4])
def test_faiss_gives_what_numpy_gives(monkeypatch: pytest.MonkeyPatch, repeats: int) -> None:
    pytest.importorskip("faiss", reason="needs the search extra")
    queries, documents = vectors(50, 1), np.tile(vectors(2000 // repeats, 2), (repeats, 1))
    hidden = [-1, *range(49)]
    by_numpy = nearest(queries, documents, 20, hidden)
    monkeypatch.setattr(module, "LARGE", 1999)
    assert (nearest(queries, documents, 20, hidden) == by_numpy).all()
    assert (nearest(queries, documents, 5) == nearest(queries, documents, 20)[:, :5]).all()


def test_without_faiss_the_search_goes_on_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    queries, documents = vectors(5, 1), vectors(60, 2)
    expected = nearest(queries, documents, 10)
    monkeypatch.setattr(module, "LARGE", 59)
    monkeypatch.setitem(sys.modules, "faiss", None)
    with caplog.at_level(logging.INFO, "mirrorkit"):
        assert (nearest(queries, documents, 10) == expected).all()
    assert "60 documents are searched exactly by numpy" in caplog.text
    assert "pip install 'mirrorkit[search]'" in caplog.text


def test_each_distinct_text_is_encoded_once_and_put_in_its_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SLICE", 2)
    encoder, told = Drawn(), Told()
    texts = ["bb", "a", "bb", "ccc", "a", "dddd", "e", "bb"]
    found = encode_unit(encoder, texts, told)
    assert encoder.asked == [["dddd", "ccc"], ["bb", "a"], ["e"]]
    assert told.seen == [(2, 5), (4, 5), (5, 5)]
    assert found == pytest.approx(encoder.unit(texts), abs=1e-6)
    assert found.dtype == np.float32


def test_ids_are_taken_the_greatest_first_by_their_bytes() -> None:
    assert greatest_first(["d1", "d10", "d2", "é", "z"]) == ["é", "z", "d2", "d10", "d1"]
