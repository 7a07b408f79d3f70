"""Near-duplicates: equal but for case, digits and spaces, or of mostly the same runs of characters."""

from __future__ import annotations

import random
import time

import numpy as np

from mirrorkit.text.ragged import RaggedIds
from mirrorkit.training.duplicates import same_documents, same_tokens

WORDS = [
    f"{a}{b}{c}" for a in ("ba", "ko", "ri", "sen", "tu") for b in ("ma", "lo", "di", "ne") for c in ("s", "t", "n")
]


def document(seed: int, words: int = 120) -> str:
    rng = random.Random(seed)
    return " ".join(rng.choice(WORDS) for _ in range(words))


def changed(text: str, count: int, seed: int = 1) -> str:
    """Put other words for `count` words in a row."""
    words = text.split()
    rng = random.Random(seed)
    at = rng.randrange(len(words) - count)
    words[at : at + count] = [rng.choice(WORDS) for _ in range(count)]
    return " ".join(words)


def test_different_documents_have_numbers_of_their_own() -> None:
    texts = [document(i) for i in range(500)]
    assert same_documents(texts).tolist() == list(range(500))


def test_case_and_digits_make_no_difference() -> None:
    texts = ["Report of 2024, page 17", "another text", "report of 1999, PAGE 23", "Report of 20244, page 17"]
    assert same_documents(texts).tolist() == [0, 1, 0, 3]
    assert same_documents(["Ärger über Öl", "ärger ÜBER öl"]).tolist() == [0, 0]


def test_a_few_words_changed_are_found_and_half_of_them_are_not() -> None:
    originals = [document(i) for i in range(200)]
    copies = [changed(text, 6) for text in originals]
    groups = same_documents(originals + copies)
    assert (groups[200:] == np.arange(200)).mean() > 0.97
    assert (groups[:200] == np.arange(200)).all()
    halves = [changed(text, 60) for text in originals]
    assert (same_documents(originals + halves)[200:] == np.arange(200)).mean() < 0.02


def test_other_scripts_and_short_texts() -> None:
    chinese = "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。" * 3
    thai = "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ" * 3
    texts = [chinese, thai, chinese + "。", thai + " ก", "a", "b", "", "A", "\ud800", "ab"]
    assert same_documents(texts).tolist() == [0, 1, 0, 1, 4, 5, 6, 4, 8, 9]


def test_chains_of_copies_get_one_number() -> None:
    text = document(1)
    assert set(same_documents([text.upper(), text, text + " end", "end " + text]).tolist()) == {0}


def test_nothing_and_one() -> None:
    assert same_documents([]).tolist() == []
    assert same_documents(["one"]).tolist() == [0]
    assert same_documents(["one", "ONE", "one"]).tolist() == [0, 0, 0]


def test_one_document_repeated_and_one_of_50_megabytes() -> None:
    start = time.perf_counter()
    huge = "word and other " * 3_400_000
    assert same_documents([huge, huge + "more", document(1), document(1)]).tolist() == [0, 0, 2, 2]
    assert same_documents([document(1)] * 20_000).max() == 0
    assert time.perf_counter() - start < 10  # done without a care it takes minutes


def test_it_is_the_same_every_time() -> None:
    texts = [document(i % 90) if i % 3 else changed(document(i % 90), 6, i) for i in range(300)]
    assert (same_documents(texts) == same_documents(texts)).all()


def test_equal_tokens_have_the_place_of_the_first() -> None:
    one = RaggedIds.from_blocks([[[1, 2], [3], [1, 2]]])
    other = RaggedIds.from_blocks([[[3], [1], [2, 1]]])
    found = same_tokens([one, other])
    assert found is not None
    assert found.tolist() == [0, 1, 0, 1, 4, 5]
    assert same_tokens([other]) is None
