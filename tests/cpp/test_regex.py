"""The regular expressions of tokenizer files match as in `tokenizers`, in time that is linear in the text."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tokenizers import Regex, pre_tokenizers

from tests.cpp.building import run
from tests.cpp.patterns import PUBLISHED, REFUSED, SYNTAX

pytestmark = pytest.mark.cpp

EVERY = PUBLISHED | SYNTAX
# Characters among which expressions tell apart; the rest is drawn from all of Unicode.
TELLING = [
    *"aabbccddxyzssttKkSsABCMEl''''    \t\n\n\r\f...,;:!?-_/\\[]{}()|&*+<=>@#$%^~`\"0123456789éÉßſKøñĲǅʰªº",
    *"αβΓжЖאبपि्কกำ漢字かナ한글々〇ー。、；…—“”€½²Ⅷ①٣\u00a0\u2003\u2028\u200b\u200d\ufeff\u0301\u0308\U0001f600\U0001d400",
    *("'s", "'RE", "'ll", "don't", "I'VE", "  ", "\r\n", " \n ", "abc", "aab", "Hello", "WORLD", "12345", "a.b", "kas"),
]


def texts(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)

    def one() -> str:
        if rng.random() < 0.03:
            c = rng.randrange(1, 0x110000)
            return "x" if 0xD800 <= c < 0xE000 else chr(c)
        return str(rng.choice(TELLING))

    return ["".join(one() for _ in range(rng.randrange(1, 16))) for _ in range(count)]


def ends_of(pattern: str, lines: list[str], built: Path) -> list[list[int]]:
    done = run([built / "tests" / "splits", pattern], data=b"".join(t.encode() + b"\0" for t in lines))
    assert done.returncode == 0, done.stdout
    return [[int(word) for word in line.split()] for line in done.stdout.decode().splitlines()]


def expected(pattern: str, lines: list[str]) -> list[list[int]]:
    splitter = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    found = []
    for text in lines:
        ends = [0]
        for piece, _ in splitter.pre_tokenize_str(text):
            ends.append(ends[-1] + len(piece.encode()))
        found.append(ends[1:])
    return found


@pytest.mark.parametrize("name", EVERY)
def test_it_matches_as_in_tokenizers(name: str, built: Path) -> None:
    lines = texts(3_000, seed=len(name))
    _compare(EVERY[name], lines, built)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_it_matches_as_in_tokenizers_in_many_strings(name: str, built: Path) -> None:
    _compare(EVERY[name], texts(100_000, seed=1_000 + len(name)), built)


def _compare(pattern: str, lines: list[str], built: Path) -> None:
    wanted, found = expected(pattern, lines), ends_of(pattern, lines, built)
    assert len(found) == len(lines)
    wrong = [(t, w, f) for t, w, f in zip(lines, wanted, found, strict=True) if w != f]
    assert not wrong, f"{len(wrong)} of {len(lines)}: {wrong[:3]}"


@pytest.mark.parametrize("pattern", REFUSED, ids=lambda pattern: pattern[:20])
def test_what_is_not_understood_is_named(pattern: str, built: Path) -> None:
    done = run([built / "tests" / "splits", pattern], data=b"")
    assert done.returncode == 2
    assert done.stdout.decode().startswith(f"pattern: the regular expression {pattern} is not known to this library (")


@pytest.mark.parametrize("pattern", [r"(?:a+)+b", r"(?:a|a)+b", r"\s+x", r"(?:\w+\s?)+$-", r"a{1,30}a{1,30}a{1,30}b"])
def test_no_expression_runs_for_ever(pattern: str, built: Path) -> None:
    """Backtracking alone would take years for most of these."""
    text = (" " if pattern == r"\s+x" else "a") * 300_000
    assert ends_of(pattern, [text], built) == [[len(text)]]
