"""Sentences of running text as people write it."""

from __future__ import annotations

import time

import pytest

from mirrorkit.text.sentences import sentences

CASES: dict[str, tuple[str, list[str]]] = {
    "abbreviations": (
        "Dr. Smith met J. R. R. Tolkien, e.g. in Oxford. See Fig. 3 and sec. 4.2. The U.S. Government agreed.",
        ["Dr. Smith met J. R. R. Tolkien, e.g. in Oxford.", "See Fig. 3 and sec. 4.2.", "The U.S. Government agreed."],
    ),
    "decimals and versions": (
        "It cost $3.50 in 1.2.3. Pi is 3.14159! Is it?",
        ["It cost $3.50 in 1.2.3.", "Pi is 3.14159!", "Is it?"],
    ),
    "quotations": (
        'He said "Is it cheap?" and left. "Why?" she asked.',
        ['He said "Is it cheap?" and left.', '"Why?" she asked.'],
    ),
    "addresses": ("Visit https://a.b/c?d=1. Thanks.", ["Visit https://a.b/c?d=1.", "Thanks."]),
    "chinese": ("今天天气很好。我们去公园吧！你来吗？", ["今天天气很好。", "我们去公园吧！", "你来吗？"]),
    "japanese": ("自然言語処理は面白い。はい。", ["自然言語処理は面白い。", "はい。"]),
    "hindi": ("यह पहला वाक्य है। यह दूसरा है।", ["यह पहला वाक्य है।", "यह दूसरा है।"]),
    "arabic": ("كيف حالك؟ أنا بخير.", ["كيف حالك؟", "أنا بخير."]),
    "armenian": ("Սա առաջինն է։ Սա երկրորդն է։", ["Սա առաջինն է։", "Սա երկրորդն է։"]),
    "thai has no full stop": ("นี่คือประโยคแรก นี่คือประโยคที่สอง", ["นี่คือประโยคแรก นี่คือประโยคที่สอง"]),
    "white space": ("  One\nline \t runs on.\n\nTwo.  ", ["One line runs on.", "Two."]),
    "no end": ("no full stop at all", ["no full stop at all"]),
    "nothing": (" \n ", []),
}


@pytest.mark.parametrize("case", CASES)
def test_text_falls_into_its_sentences(case: str) -> None:
    text, expected = CASES[case]
    assert sentences(text) == expected


def test_another_language_knows_its_own_abbreviations() -> None:
    text = "Am 3. Oktober war es kalt. Prof. Dr. Müller kam."
    assert sentences(text, "de") == ["Am 3. Oktober war es kalt.", "Prof. Dr. Müller kam."]


@pytest.mark.parametrize(
    ("text", "count"),
    [("The cat sat there. " * 100_000, 100_000), ("今天天气很好。" * 20_000, 20_000), ("One line.\n" * 50_000, 50_000)],
)
def test_a_long_text_is_cut_between_sentences_only(text: str, count: int) -> None:
    found = sentences(text)
    assert len(found) == count
    assert len(set(found)) == 1


@pytest.mark.parametrize("text", ['"(“' * 100_000, "a. " * 300_000, "a" * 3_000_000, "?!" * 300_000])
def test_nothing_is_lost_and_nothing_is_slow(text: str) -> None:
    start = time.perf_counter()
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())
    assert time.perf_counter() - start < 10  # quadratic time would be minutes
