"""Words and sentences of thirty languages, and what packages ship of them: none is taken for the other."""

from __future__ import annotations

import pytest

from mirrorkit.errors import ConfigError
from mirrorkit.text.scripts import is_unspaced, words_in
from mirrorkit.training.recipes import choose
from mirrorkit.training.text_kind import kind_of
from tests.text.languages import KINDS, LANGUAGES, texts

_MARKS = ".!?…。！？।॥؟၊။།។ "
UNSPACED = {"Thai", "Lao", "Khmer", "Burmese", "Tibetan", "Chinese", "Japanese"}
BABEL = ("en de fr es it pt nl pl cs ru uk el tr fi hu ar fa he hi bn ta th lo km my bo zh ja ko vi").split()  # noqa: SIM905


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_language_is_taken_for_another_kind(language: str, kind: str) -> None:
    strings = texts(language, kind)
    words = kind in ("words", "phrases")
    assert kind_of(strings).words == words
    assert kind_of([text.rstrip(_MARKS) for text in strings]).words == words  # as titles and queries are written
    assert kind_of(strings).why.startswith("words: " if words else "sentences: ")
    recipe = choose("auto", width=384, texts=strings, changes={})
    mask = 0 if words else 10
    assert (recipe.temperature, recipe.max_length, recipe.span_mask) == (*((0.2, 25) if words else (0.05, 50)), mask)


@pytest.mark.parametrize("language", LANGUAGES)
def test_scripts_without_blanks_are_known(language: str) -> None:
    assert {is_unspaced(text) for text in texts(language, "sentences")} == {language in UNSPACED}


@pytest.mark.parametrize("code", BABEL)
def test_the_names_that_cldr_has_are_words(code: str) -> None:
    babel = pytest.importorskip("babel", reason="comes with the docs extra")
    locale = babel.Locale.parse(code)
    days = [*locale.days["stand-alone"]["wide"].values(), *locale.months["stand-alone"]["wide"].values()]
    for names in (days, list(locale.languages.values()), list(locale.territories.values())):
        assert kind_of([str(name) for name in names]).words


def test_what_is_said_of_it() -> None:
    assert kind_of(["window", "bread"]).why == "words: the middle string has 1 word"
    told = kind_of(texts("English", "sentences")).why
    assert told == "sentences: the middle string has 7 words, and 100% end as sentences do"
    assert kind_of(texts("Thai", "sentences")).why == "sentences: the middle string has about 8.33 words"


def test_what_cannot_be_told_is_asked_for() -> None:
    between = ["โรคหลอดเลือดหัวใจ"]  # a disease, of four words
    with pytest.raises(
        ConfigError, match=r"^recipe auto: cannot tell words from sentences \(the middle string has about 4"
    ):
        choose("auto", width=384, texts=between, changes={})
    for recipe, temperature in (("auto-words", 0.2), ("auto-sentences", 0.05)):
        assert choose(recipe, width=384, texts=between, changes={}).temperature == temperature


def test_the_sample_is_of_the_whole_corpus() -> None:
    assert not kind_of(["word"] * 10_000 + ["This is a sentence of seven words."] * 12_000).words


def test_words_are_counted_where_blanks_part_them() -> None:
    assert words_in("a b  c") == 3
    assert words_in("\u00e9t\u00e9 \u2013 hiver") == 2
    assert words_in("GPT\u306f\u8a00\u8a9e\u30e2\u30c7\u30eb") == pytest.approx(1 + 4 / 2.5 + 2 / 1.7)
    assert words_in("") == 0
