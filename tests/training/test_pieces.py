"""Crops and sentences of one document: lengths, borders, no overlap, every script, bad input."""

from __future__ import annotations

import time
import unicodedata

import numpy as np
import pytest

from mirrorkit.training.pieces import beginning, crop_range, has_two_crops, phrase, two_crops, two_sentences

ENGLISH = (
    "The library keeps every document whole. A reader asks for a title and wants the body. Words are never cut in "
    "half, however long the sentence that holds them may be, and nothing of the first piece returns in the second. "
)
SCRIPTS = {
    "english": ENGLISH * 4,
    "german": "Der schnelle braune Fuchs springt über den faulen Hund, während die Donaudampfschifffahrt ruht. " * 8,
    "russian": "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 12,
    "arabic": "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر ومغلف بجلد أزرق. " * 12,
    "hindi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। " * 10,
    "korean": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. " * 15,
    "chinese": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。" * 12,
    "japanese": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。" * 12,
    "thai": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิต่างมีเหตุผลและมโนธรรม" * 8,
    "emoji": "👩‍👩‍👧 " * 3 + "👩‍👩‍👧" * 200,
    "one long word": "a" * 2000,
    "long words": " ".join(["x" * 90, "y" * 130, "z"] * 20),
}


def crops(text: str, count: int = 200, crop: tuple[int, int] = (100, 250), seed: int = 1) -> list[tuple[str, str]]:
    draws = np.random.default_rng(seed).random((count, 5)).tolist()
    return [pair for each in draws if (pair := two_crops(text, *crop, each))]


@pytest.mark.parametrize("script", SCRIPTS)
def test_two_pieces_of_the_text_that_do_not_overlap(script: str) -> None:
    text = " ".join(SCRIPTS[script].split())
    found = crops(text)
    assert len(found) == 200
    low, high = crop_range(text, 100, 250)
    for one, other in found:
        assert low <= len(one) <= high
        assert low <= len(other) <= high
        assert any(
            text.find(right, at + len(left)) >= 0
            for left, right in ((one, other), (other, one))
            for at in [text.find(left)]
            if at >= 0
        )


@pytest.mark.parametrize("crop", [(100, 250), (100, 120), (1, 21), (20, 60), (60, 400)])
@pytest.mark.parametrize("length", [30, 201, 202, 230, 400, 1500])
def test_places_are_exact_where_every_place_is_different(crop: tuple[int, int], length: int) -> None:
    text = "".join(chr(0x4E00 + i) if i % 7 else " " for i in range(1, length + 1)).strip()
    low, high = crop_range(text, *crop)
    found = crops(text, 100, crop)
    assert bool(found) == has_two_crops(text, *crop) == (len(text) > 2 * low)
    for one, other in found:
        a, b = text.index(one), text.index(other)
        first, last = ((a, one), (b, other)) if a < b else ((b, other), (a, one))
        assert first[0] + len(first[1]) <= last[0]
        assert all(low <= len(piece) <= high for piece in (one, other))


@pytest.mark.parametrize("script", ["english", "german", "russian", "arabic", "hindi", "korean"])
def test_no_word_is_cut(script: str) -> None:
    text = " ".join(SCRIPTS[script].split())
    words = set(text.split())
    for pair in crops(text):
        for piece in pair:
            assert set(piece.split()) <= words
            assert piece == piece.strip()


@pytest.mark.parametrize("script", ["thai", "hindi", "emoji", "chinese"])
def test_no_character_is_parted_from_its_marks(script: str) -> None:
    text = " ".join(SCRIPTS[script].split())
    for pair in crops(text):
        for piece in pair:
            assert unicodedata.category(piece[0]) not in ("Mn", "Mc", "Me", "Cf")
            assert piece[-1] != "\u200d"


def test_chinese_and_japanese_crops_are_a_third_as_long() -> None:
    assert crop_range(SCRIPTS["chinese"], 100, 250) == (33, 83)
    assert crop_range(SCRIPTS["japanese"], 100, 250) == (33, 83)
    for other in ("english", "thai", "korean", "arabic"):
        assert crop_range(SCRIPTS[other], 100, 250) == (100, 250)


def test_crops_come_from_all_over_the_document_in_either_order() -> None:
    text = " ".join(f"w{i:04}" for i in range(2000))
    found = crops(text, 2000)
    starts = np.array([[text.index(piece) for piece in pair] for pair in found])
    assert starts.min() < 500
    assert starts.max() > len(text) - 800
    assert 0.45 < (starts[:, 0] < starts[:, 1]).mean() < 0.55
    lengths = np.array([[len(piece) for piece in pair] for pair in found])
    assert lengths.min() < 110
    assert lengths.max() > 240
    assert abs(lengths.mean() - 175) < 5


def test_the_draws_alone_decide() -> None:
    text = SCRIPTS["english"]
    assert crops(text, seed=1) == crops(text, seed=1)
    assert crops(text, seed=1) != crops(text, seed=2)
    assert len(set(crops(text, 200))) > 150


def test_a_text_without_room_gives_none() -> None:
    for text in ("", "word", "a" * 200, "word " * 39 + "last"):
        assert not has_two_crops(text, 100, 250)
        assert two_crops(text, 100, 250, [0.5] * 5) is None
    assert two_crops("a" * 201, 100, 250, [0.5] * 5) == ("a" * 100, "a" * 100)


def test_a_word_that_cannot_be_parted_leaves_no_room() -> None:
    """Of 205 characters each crop takes 100, and a word of 20 stands across the middle."""
    text = ("ab " * 32)[:95] + " " + "x" * 20 + " " + ("ab " * 32)[:89]
    assert len(text) > 201
    assert crops(text, 50) == []


def test_a_document_of_50_megabytes_takes_no_time() -> None:
    text = "word and other " * 3_400_000
    start = time.perf_counter()
    found = crops(text, 200)
    assert len(found) == 200
    assert time.perf_counter() - start < 2  # two crops touch a few hundred characters; this would take minutes else
    assert two_sentences(text, [0.1, 0.9]) is None


def test_two_different_sentences() -> None:
    assert two_sentences(ENGLISH, [0.0, 0.0]) == (
        "The library keeps every document whole.",
        "A reader asks for a title and wants the body.",
    )
    draws = np.random.default_rng(1).random((300, 2)).tolist()
    found = [pair for each in draws if (pair := two_sentences(ENGLISH, each))]
    assert len(found) == 300
    assert all(one != other for one, other in found)
    assert len(set(found)) == 6  # of three sentences, in either order
    for text in ("", "One sentence that stands alone.", "Yes. No. Perhaps.", "The same sentence. " * 2):
        assert two_sentences(text, [0.9, 0.9]) is None


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("draw", [0.0, 0.37, 0.999])
def test_a_phrase_stands_in_its_text_and_is_short(script: str, draw: float) -> None:
    text = " ".join(SCRIPTS[script].split())
    found = phrase(text, draw)
    assert found
    assert found in text
    if script in ("chinese", "japanese"):
        assert len(found) == 8
    elif script not in ("thai", "emoji", "one long word"):
        assert len(found.split()) == min(4, len(text.split()))
    assert unicodedata.category(found[0]) not in ("Mn", "Mc", "Me")


def test_phrases_begin_all_over_the_text_and_a_short_text_is_its_own() -> None:
    text = " ".join(map(str, range(10)))
    assert phrase(text, 0.0) == "0 1 2 3"
    assert phrase(text, 0.999) == "6 7 8 9"
    assert len({phrase(text, draw / 100) for draw in range(100)}) == 7
    assert phrase("two words", 0.9) == "two words"
    assert phrase("自由", 0.9) == "自由"


def test_a_beginning_ends_between_words() -> None:
    text = SCRIPTS["english"]
    found = beginning(text, 100)
    assert text.startswith(found)
    assert 50 <= len(found) <= 100
    assert text[len(found)] == " "
    assert beginning("short", 100) == "short"
    assert len(beginning(SCRIPTS["chinese"], 99)) == 33  # a character says as much as three letters
    assert len(beginning("a" * 2000, 100)) == 100
