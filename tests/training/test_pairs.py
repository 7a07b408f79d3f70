"""The two views of every string: which ones a corpus gets, that they are new in every epoch, what says the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.training.corpus import Corpus, load_corpus
from mirrorkit.training.pairs import PairMaker, Pairs
from mirrorkit.training.recipe import Changes, Recipe
from mirrorkit.training.recipes import choose
from mirrorkit.training.view_choice import Views, about, crop_tokens, settled

WORDS = [
    f"{a}{b}{c}" for a in ("ba", "ko", "ri", "sen", "tu") for b in ("ma", "lo", "di", "ne") for c in ("s", "t", "n")
]
RNG = np.random.default_rng(1)
DOCUMENTS = [" ".join(RNG.choice(WORDS, 8)).capitalize() + "." for _ in range(400)]
DOCUMENTS = [" ".join(DOCUMENTS[i * 10 : i * 10 + 10]) for i in range(40)]  # of ten sentences, some 450 characters
SHORT = [" ".join(RNG.choice(WORDS, 6)) for _ in range(40)]
CROP = (100, 250)


def recipe(views: str, **changes: Any) -> Recipe:
    return Recipe(views=Views(views), **changes)


def draw(corpus: Corpus, views: str, seed: int = 1, rows: list[int] | None = None) -> Pairs:
    chosen = np.arange(len(corpus)) if rows is None else np.array(rows)
    return PairMaker(corpus, recipe(views)).draw(chosen, np.random.default_rng(seed))


def test_identity_is_the_string_twice_and_draws_nothing() -> None:
    corpus = load_corpus(DOCUMENTS)
    rng = np.random.default_rng(1)
    pairs = PairMaker(corpus, recipe("identity")).draw(np.arange(40), rng)
    assert pairs.first == pairs.second == corpus.texts
    assert pairs.groups is None
    assert rng.random() == np.random.default_rng(1).random()


def test_known_pairs_stay_what_they_are(tmp_path: Path) -> None:
    file = tmp_path / "p.txt"
    file.write_text("".join(f"{a}||{b}\n" for a, b in zip(DOCUMENTS[:20], DOCUMENTS[20:], strict=True)))
    corpus = load_corpus(file, pairs=True)
    pairs = draw(corpus, "crop", rows=[3, 5])
    assert pairs.first == [corpus.texts[3], corpus.texts[5]]
    assert pairs.second == [DOCUMENTS[23], DOCUMENTS[25]]


def test_crops_are_new_in_every_epoch_and_the_same_for_a_seed() -> None:
    corpus = load_corpus(DOCUMENTS)
    maker, rng = PairMaker(corpus, recipe("crop")), np.random.default_rng(1)
    epochs = [maker.draw(np.arange(40), rng) for _ in range(2)]
    assert epochs[0].first == draw(corpus, "crop").first
    assert epochs[0].second == draw(corpus, "crop").second
    assert all(one != other for one, other in zip(epochs[0].first, epochs[1].first, strict=True))
    for first, second, text in zip(epochs[0].first, epochs[0].second, corpus.texts, strict=True):
        assert first in text
        assert second in text
        assert 100 <= len(first) <= 250
        assert first not in second


def test_a_mixed_corpus_has_both_views_in_one_batch() -> None:
    corpus = load_corpus([text for both in zip(DOCUMENTS, SHORT, strict=True) for text in both])
    pairs = draw(corpus, "auto")
    same = [first == second for first, second in zip(pairs.first, pairs.second, strict=True)]
    assert same == [False, True] * 40


def test_two_sentences() -> None:
    corpus = load_corpus([*DOCUMENTS, SHORT[0]])
    pairs = draw(corpus, "sentence")
    for first, second, text in zip(pairs.first[:40], pairs.second[:40], corpus.texts, strict=False):
        assert first != second
        assert first in text
        assert second in text
        assert first.count(".") == second.count(".") == 1
    assert pairs.first[40] == pairs.second[40] == SHORT[0]


def test_neighbours() -> None:
    corpus = load_corpus(SHORT)
    pairs = draw(corpus, "adjacent")
    assert pairs.first == corpus.texts
    assert pairs.second == [*corpus.texts[1:], corpus.texts[-2]]
    assert pairs.groups is not None
    assert pairs.groups.tolist() == [*range(40), *range(1, 40), 38]
    with pytest.raises(ConfigError, match="views adjacent: a sample has no neighbours; give no `limit`"):
        draw(load_corpus(SHORT, limit=20), "adjacent")


def test_what_says_the_same_has_one_number() -> None:
    """Both crops of a document, of its copies and of its near copies: none of them is a negative of another."""
    near = DOCUMENTS[0].replace(DOCUMENTS[0].split()[20], "other", 1)
    corpus = load_corpus([*DOCUMENTS, near, DOCUMENTS[1].upper(), DOCUMENTS[2]], keep_repeats=True)
    pairs = draw(corpus, "crop")
    assert pairs.groups is not None
    assert pairs.groups.tolist() == [*range(40), 0, 1, 2] * 2
    assert draw(corpus, "crop", rows=[41, 1, 5]).groups.tolist() == [1, 1, 5, 1, 1, 5]  # type: ignore[union-attr]


def test_auto_goes_by_the_share_of_documents() -> None:
    assert settled(Views.AUTO, CROP, DOCUMENTS) is Views.CROP
    assert settled(Views.AUTO, CROP, SHORT) is Views.IDENTITY
    assert settled(Views.AUTO, CROP, DOCUMENTS[:8] + SHORT[:32]) is Views.CROP
    assert settled(Views.AUTO, CROP, DOCUMENTS[:7] + SHORT[:32]) is Views.IDENTITY
    assert settled(Views.AUTO, CROP, SHORT * 1000 + DOCUMENTS * 1000) is Views.CROP  # not the first ones alone
    assert settled(Views.SENTENCE, CROP, SHORT) is Views.SENTENCE


def test_where_a_fifth_is_no_document_strings_are_masked() -> None:
    def mask(texts: list[str]) -> int:
        return choose("auto", width=384, texts=texts, changes={}).span_mask

    assert mask(DOCUMENTS) == mask([*DOCUMENTS, *SHORT[:9]]) == 0
    assert mask([*DOCUMENTS, *SHORT[:10]]) == mask(DOCUMENTS[:8] + SHORT[:32]) == Recipe.span_mask


def test_it_is_said_what_was_chosen_and_why() -> None:
    mixed = DOCUMENTS + SHORT[:5]
    assert about(Views.CROP, CROP, mixed) == (
        "crop: 40 of 45 strings have room for two crops of 100 characters; the other 5 are their own second view"
    )
    assert about(Views.CROP, CROP, DOCUMENTS) == "crop: 40 of 40 strings have room for two crops of 100 characters"
    assert about(Views.IDENTITY, CROP, SHORT) == "identity: no string has room for two crops of 100 characters"
    assert about(Views.ADJACENT, CROP, SHORT) == "adjacent"


def test_crops_longer_than_every_document_are_an_error() -> None:
    longest = max(map(len, DOCUMENTS))
    with pytest.raises(
        CorpusError, match=rf"^views crop: none of the 40 .* two crops of 900 .* longest has {longest};"
    ):
        about(Views.CROP, (900, 1000), DOCUMENTS)
    assert settled(Views.AUTO, (900, 1000), DOCUMENTS) is Views.IDENTITY


def test_documents_of_one_sentence_have_no_two_sentences() -> None:
    with pytest.raises(CorpusError, match=r"^views sentence: none of the 2 strings has two sentences; give a larger"):
        about(Views.SENTENCE, CROP, ["a single line of some words", "another one without an end"])
    assert "1 of 2 strings" in about(
        Views.SENTENCE, CROP, ["One sentence stands here. A second one follows it.", "a single line"]
    )


def count(texts: Any) -> list[int]:
    return [len(text.split()) + 2 for text in texts]


def test_the_maximum_length_is_chosen_by_the_crops() -> None:
    length = crop_tokens(CROP, DOCUMENTS, count)
    assert length % 8 == 0
    pairs = draw(load_corpus(DOCUMENTS * 5, keep_repeats=True), "crop")
    assert np.mean([tokens <= length for tokens in count(pairs.first)]) >= 0.5
    assert np.mean([tokens <= length - 8 for tokens in count(pairs.first)]) < 0.6
    assert crop_tokens((300, 400), SHORT, lambda texts: pytest.fail("there is nothing to count")) == 0


def pick(texts: list[str], own: Any = None, **changes: Any) -> Recipe:
    return choose("auto", width=384, own_pooling=own, texts=texts, changes=cast(Changes, changes), count_tokens=count)


def test_auto_makes_a_recipe_for_documents() -> None:
    documents, sentences = pick(DOCUMENTS), pick(SHORT)
    assert (documents.views, sentences.views) == (Views.CROP, Views.IDENTITY)
    assert documents.max_length == crop_tokens(CROP, DOCUMENTS, count)
    assert pick(DOCUMENTS, max_length=33).max_length == 33
    assert pick(DOCUMENTS, views="identity") == sentences
    assert pick(DOCUMENTS, crop="20,60").max_length < documents.max_length
    assert pick(SHORT, views="crop").views is Views.CROP
    assert (documents.batch_size, documents.temperature) == (64, 0.07)
    assert (pick(DOCUMENTS, epochs=3).steps, pick(SHORT, epochs=3).steps) == (0, 0)  # who says epochs means them
    assert pick(DOCUMENTS, epochs=3, steps=7).steps == 7
    assert choose("sentence-bert", width=384, texts=DOCUMENTS, changes={}).views is Views.IDENTITY
    assert choose("auto", width=384, texts=DOCUMENTS, changes={}, pairs=True).views is Views.IDENTITY


def test_a_sentence_encoder_is_trained_gently_and_pulled_back() -> None:
    plain, strong = pick(DOCUMENTS), pick(DOCUMENTS, own="mean")
    assert (plain.blend, strong.blend) == ("0", "auto")
    assert strong.learning_rate < plain.learning_rate
    assert strong.steps == plain.steps
    assert strong.blend_share is None
    assert dataclasses.replace(strong, blend="0.25").blend_share == 0.25


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("views", "crops"),
        ("crop", "100"),
        ("crop", "250,100"),
        ("crop", "0,250"),
        ("crop", "100,110"),
        ("crop", "-5,250"),
        ("crop", "a,b"),
        ("crop", "100,250,300"),
        ("steps", -1),
        ("blend", "1.5"),
        ("blend", "-0.5"),
        ("blend", "half"),
        ("blend", "nan"),
    ],
)
def test_a_bad_value_is_named(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^{field} '?{value}'?: must be "):
        Recipe(**{field: value})
