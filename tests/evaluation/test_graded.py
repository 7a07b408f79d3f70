"""Hold the shipped similarity set to what its README says of it."""

from __future__ import annotations

from collections import Counter

import pytest

from mirrorkit.assets.paths import GRADED


@pytest.fixture(scope="module")
def pairs() -> list[tuple[float, str, str]]:
    rows = [line.split("\t") for line in GRADED.read_text(encoding="utf-8").splitlines()]
    assert {len(row) for row in rows} == {3}
    return [(float(score), first, second) for score, first, second in rows]


def test_there_are_enough_pairs(pairs: list[tuple[float, str, str]]) -> None:
    assert len(pairs) == 240


def test_scores_are_half_points_spread_evenly(pairs: list[tuple[float, str, str]]) -> None:
    histogram = Counter(score for score, _, _ in pairs)
    inner = {half / 2: 20 for half in range(1, 10)}
    assert histogram == {0.0: 30, **inner, 5.0: 30}  # the ends have no further half point to share with


def test_the_order_says_nothing_about_the_score(pairs: list[tuple[float, str, str]]) -> None:
    scores = [score for score, _, _ in pairs]
    for start in range(0, 240, 60):  # any quarter is a fair sample of the whole
        assert 2.0 < sum(scores[start : start + 60]) / 60 < 3.0


def test_no_pair_twice_and_no_sentence_more_than_twice(pairs: list[tuple[float, str, str]]) -> None:
    assert len({frozenset((first.lower(), second.lower())) for _, first, second in pairs}) == len(pairs)
    used = Counter(sentence.lower() for _, *sides in pairs for sentence in sides)
    assert max(used.values()) <= 2


def test_sentences_are_clean(pairs: list[tuple[float, str, str]]) -> None:
    for _, *sides in pairs:
        for sentence in sides:
            assert sentence == " ".join(sentence.split())
            assert sentence[0].isupper()
            assert sentence[-1] in ".?!"
            assert 4 <= len(sentence.split()) <= 25


def test_word_overlap_alone_does_not_solve_it(pairs: list[tuple[float, str, str]]) -> None:
    """Some pairs must share most words and mean other things, some the reverse."""
    overlap = [(score, _jaccard(first, second)) for score, first, second in pairs]
    assert sum(score <= 2.5 and shared >= 0.4 for score, shared in overlap) >= 10
    assert sum(score >= 4 and shared <= 0.2 for score, shared in overlap) >= 10


def _jaccard(first: str, second: str) -> float:
    one, other = (set(sentence.lower().strip(".?!").split()) for sentence in (first, second))
    return len(one & other) / len(one | other)
