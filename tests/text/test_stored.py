"""Strings on disk read as a list does, and repeats are left out."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mirrorkit.errors import CorpusError
from mirrorkit.text import stored
from mirrorkit.text.stored import Store, StoredTexts


def store(texts: Sequence[str], *, repeats: bool = True) -> StoredTexts:
    kept = Store(1)
    kept.add((text,) for text in texts)
    (column,), _ = kept.columns(repeats=repeats)
    return column


def test_it_reads_as_the_list_does(real_texts: list[str]) -> None:
    column = store(real_texts)
    assert len(column) == len(real_texts)
    assert list(column) == real_texts
    assert [column[i] for i in (3, 0, -1, len(column) - 1)] == [real_texts[i] for i in (3, 0, -1, -1)]
    assert list(column[2:9:3]) == real_texts[2:9:3]
    assert list(column[::-1]) == real_texts[::-1]
    assert column[5:][0] == real_texts[5]
    assert real_texts[4] in column
    with pytest.raises(IndexError):
        column[len(real_texts)]


def test_in_blocks_far_apart_and_out_of_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "_BLOCK", 7)
    monkeypatch.setattr(stored, "_BUFFER", 50)
    texts = [f"string {i} " + "x" * (i % 23) for i in range(500)]
    column = store(texts)
    assert list(column) == texts
    rng = np.random.default_rng(0)
    for rows in (rng.permutation(500), np.sort(rng.choice(500, 20, replace=False)), np.arange(0), np.array([4, 4])):
        assert list(column.take(rows)) == [texts[i] for i in rows.tolist()]
        assert list(column.take(rows).take(np.arange(len(rows))[::-1])) == [texts[i] for i in rows[::-1].tolist()]


def test_repeats_are_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("a", "b"), ("ab", ""), ("a", "c"), ("a", "b"), ("", "ab"), ("a", "b"), ("é", "b")]
    kept = Store(2)
    kept.add(rows[:3])
    kept.add(rows[3:])
    columns, repeats = kept.columns(repeats=False)
    assert repeats == 2
    assert list(zip(*columns, strict=True)) == list(dict.fromkeys(rows))
    everything, none = kept.columns(repeats=True)
    assert none == 0
    assert list(zip(*everything, strict=True)) == rows


def test_nothing_at_all() -> None:
    assert list(store([])) == []


def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Path("/dev/full").open("wb", buffering=0))  # noqa: SIM115
    with pytest.raises(CorpusError, match=r"does not fit into .*TMPDIR names another folder, and `limit`"):
        store(["a text"])
