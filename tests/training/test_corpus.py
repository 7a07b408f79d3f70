"""Clean, count and sample the strings to train on."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.text.stored import StoredTexts
from mirrorkit.training import corpus
from mirrorkit.training.corpus import load_corpus


def numbered(file: Path, count: int, *, tail: str = "") -> Path:
    with file.open("w", encoding="utf-8") as handle:
        handle.writelines(f"string {i}{tail}\n" for i in range(count))
    return file


def test_white_space_is_folded_blank_rows_counted_and_repeats_dropped(tmp_path: Path) -> None:
    file = tmp_path / "c.txt"
    file.write_text("  a\t b\n\n\u3000\na b\nMay\nmay\nc\na\u00a0b\n", encoding="utf-8")
    corpus = load_corpus(file)
    assert corpus.texts == ["a b", "May", "may", "c"]  # in the order of the file
    assert (corpus.rows, corpus.blank, corpus.repeats, len(corpus)) == (8, 2, 2, 4)
    everything = load_corpus(file, keep_repeats=True)
    assert everything.texts == ["a b", "a b", "May", "may", "c", "a b"]
    assert (everything.rows, everything.blank, everything.repeats) == (8, 2, 0)


def test_a_pair_is_a_repeat_only_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "p.txt"
    file.write_text("a||b\na||c\n a || b \nb||a\n", encoding="utf-8")
    corpus = load_corpus(file, pairs=True)
    assert (corpus.texts, corpus.partners) == (["a", "a", "b"], ["b", "c", "a"])
    assert corpus.repeats == 1


@pytest.mark.parametrize("keep_repeats", [False, True])
@pytest.mark.parametrize("most", [0, 4_000, 10**6])
def test_a_corpus_on_disk_is_that_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, keep_repeats: bool
) -> None:
    lines = [f"{i % 7} größer\u3000als {'x' * (i % 5)}" for i in range(100)]
    for name, text, width in (("c.txt", "\n".join([*lines, "", "a\u3000"]), 1), ("p.txt", "\n".join(lines), 2)):
        rows = [line.replace("als", "||als") for line in text.split("\n")] if width > 1 else text.split("\n")
        file = tmp_path / name
        file.write_text("\n".join(rows), encoding="utf-8")
        wanted = load_corpus(file, pairs=width > 1, keep_repeats=keep_repeats)
        assert isinstance(wanted.texts, list)
        with monkeypatch.context() as small:
            small.setattr(corpus, "IN_MEMORY", most)
            found = load_corpus(file, pairs=width > 1, keep_repeats=keep_repeats)
        assert isinstance(found.texts, StoredTexts) == (most < 10**6)
        assert found.in_memory() == wanted
        rows_taken = np.array([3, 0, 3])
        assert found.take(rows_taken).in_memory() == wanted.take(rows_taken)


def test_one_string_many_times_is_refused_on_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "IN_MEMORY", 3)
    file = tmp_path / "c.txt"
    file.write_text("same\n" * 9, encoding="utf-8")
    with pytest.raises(CorpusError, match=r"c\.txt: 1 usable string"):
        load_corpus(file)


def test_words_count_with_what_a_string_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "IN_MEMORY", 10_000)
    assert isinstance(load_corpus(numbered(tmp_path / "few.txt", 50)).texts, list)
    many = load_corpus(numbered(tmp_path / "many.txt", 200))  # 2,000 characters
    assert isinstance(many.texts, StoredTexts)
    assert len(many) == 200


def test_half_a_character_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "c.jsonl"
    file.write_text('"fine \\ud83d\\ude00"\n"broken \\ud83d"\n', encoding="utf-8")
    assert load_corpus(file).texts == ["fine 😀", "broken \ufffd"]


def test_strings_in_memory() -> None:
    corpus = load_corpus(["one ", "two", "", "one"])
    assert (corpus.texts, corpus.name) == (["one", "two"], "strings in memory")
    assert (corpus.rows, corpus.blank, corpus.repeats) == (4, 1, 1)
    assert corpus.sha256 == hashlib.sha256(b"one \ntwo\n\none\n").hexdigest()
    with pytest.raises(TypeError, match=r"corpus\[1\] is int, not str"):
        load_corpus(["one", 2])
    with pytest.raises(CorpusError, match="no usable string"):
        load_corpus([])
    with pytest.raises(ConfigError, match=r"corpus\[0\] is str; with `pairs=True` a row is a tuple of two strings"):
        load_corpus(["a||b", "c||d"], pairs=True)


@pytest.mark.parametrize("keep_repeats", [False, True])
def test_a_sample_is_even_over_the_file_and_in_its_order(tmp_path: Path, keep_repeats: bool) -> None:
    file = numbered(tmp_path / "c.txt", 20_000)
    picked = Counter[int]()
    for seed in range(5):
        corpus = load_corpus(file, limit=2000, seed=seed, keep_repeats=keep_repeats)
        numbers = [int(text.removeprefix("string ")) for text in corpus.texts]
        assert len(numbers) == len(set(numbers)) == 2000
        assert numbers == sorted(numbers)
        assert corpus.rows == 20_000
        picked.update(number // 2000 for number in numbers)
    # 1,000 are expected in each tenth; the standard deviation is 28.
    assert len(picked) == 10
    assert all(abs(count - 1000) < 140 for count in picked.values())


def test_a_sample_depends_on_the_seed_alone(tmp_path: Path) -> None:
    file = numbered(tmp_path / "c.txt", 500)
    once = load_corpus(file, limit=50, seed=3).texts
    assert load_corpus(file, limit=50, seed=3).texts == once
    assert load_corpus(file, limit=50, seed=4).texts != once


def test_a_limit_above_the_count_keeps_all(tmp_path: Path) -> None:
    file = numbered(tmp_path / "c.txt", 30)
    assert load_corpus(file, limit=30).texts == load_corpus(file).texts
    assert load_corpus(file, limit=31).texts == load_corpus(file).texts
    for wrong in (1, 0, -5):
        with pytest.raises(ConfigError, match=f"limit {wrong}: must be at least 2"):
            load_corpus(file, limit=wrong)


def test_a_frequent_row_is_sampled_once_unless_repeats_are_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = ["frequent"] * 3000 + [f"rare {i}" for i in range(3000)]
    file = tmp_path / "c.txt"
    file.write_text("".join(rows[i] + "\n" for i in rng.permutation(6000)), encoding="utf-8")
    for seed in range(8):
        texts = load_corpus(file, limit=300, seed=seed).texts
        assert len(set(texts)) == len(texts) == 300
    kept = load_corpus(file, limit=300, keep_repeats=True).texts
    assert len(kept) == 300
    assert 100 < kept.count("frequent") < 200
    assert load_corpus(file, limit=3001).repeats == 2999


def test_pairs_are_sampled_together(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text("".join(json.dumps({"a": f"l{i}", "b": f"r{i}"}) + "\n" for i in range(200)), encoding="utf-8")
    corpus = load_corpus(file, pairs=True, limit=20)
    assert len(corpus) == 20
    assert corpus.partners == [text.replace("l", "r") for text in corpus.texts]


def test_a_sample_takes_memory_for_what_it_keeps_and_no_more(tmp_path: Path) -> None:
    file = numbered(tmp_path / "c.txt", 20_000, tail=" and quite some more text" * 20)
    assert file.stat().st_size > 9_000_000
    load_corpus(file, limit=10)  # what is imported on the way is not counted
    tracemalloc.start()
    try:
        load_corpus(file, limit=10)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
