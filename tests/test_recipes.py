"""Hold the recipes to the official scripts, and overrides to their limits."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest

from mirrorkit.errors import ConfigError
from mirrorkit.layout import Pooling
from mirrorkit.training.recipes import OFFICIAL, Recipe, choose, listing

SENTENCES = ["the cat sat on the mat", "a dog barked at the moon", "it rained"]
WORDS = ["cat", "ice cream", "as soon as", "a much longer phrase than the others"]

# From scripts/ and train.py of cambridgeltl/mirror-bert:
# epochs, batch, length, temperature, dropout, drophead, span, pooling
PUBLISHED = {
    "sentence-bert": (1, 200, 50, 0.04, 0.1, 0.0, 5, "mean-padded"),
    "sentence-bert-drophead": (1, 200, 50, 0.04, 0.0, 0.2, 5, "mean-padded"),
    "sentence-roberta": (1, 200, 50, 0.04, 0.1, 0.0, 5, "cls"),
    "sentence-roberta-drophead": (1, 200, 50, 0.04, 0.0, 0.05, 5, "cls"),
    "word-bert": (2, 200, 25, 0.2, 0.1, 0.0, 0, "cls"),
    "word-roberta": (2, 200, 25, 0.2, 0.1, 0.0, 0, "cls"),
}


def pick(name: str = "auto", width: int = 384, own: Pooling | None = None, **overrides: Any) -> Recipe:
    return choose(name, width=width, own_pooling=own, texts=SENTENCES, overrides=overrides)


@pytest.mark.parametrize("name", PUBLISHED)
def test_official_values_are_the_published_ones(name: str) -> None:
    r = pick(name)
    values = (r.epochs, r.batch_size, r.max_length, r.temperature, r.dropout, r.drophead, r.span_mask, str(r.pooling))
    assert values == PUBLISHED[name]
    assert (r.learning_rate, r.weight_decay, r.warmup, r.decay) == (2e-5, 0.01, 0.0, False)


def test_there_are_no_other_official_ones() -> None:
    assert set(OFFICIAL) == set(PUBLISHED)


def test_the_base_does_not_bend_an_official_recipe() -> None:
    assert pick("sentence-bert", width=1024, own=Pooling.MAX) == OFFICIAL["sentence-bert"]


def test_auto_tells_words_from_sentences() -> None:
    words = choose("auto", width=384, texts=WORDS, overrides={})
    sentences = pick()
    assert words.span_mask == 0 < sentences.span_mask  # five characters are most of a word
    assert words.max_length < sentences.max_length
    assert words.temperature > sentences.temperature


def test_auto_lowers_the_rate_for_wide_models() -> None:
    rates = [pick(width=width).learning_rate for width in (128, 384, 768, 1024)]
    assert rates == sorted(rates, reverse=True)
    assert rates[1] > rates[2]


@pytest.mark.parametrize("texts", [SENTENCES, WORDS])
def test_auto_keeps_the_pooling_that_the_base_came_with(texts: list[str]) -> None:
    assert choose("auto", width=384, own_pooling=Pooling.MAX, texts=texts, overrides={}).pooling is Pooling.MAX
    assert choose("auto", width=384, own_pooling=None, texts=texts, overrides={}).pooling is Pooling.MEAN


OVERRIDES: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 17,
    "max_length": 99,
    "learning_rate": 3e-4,
    "weight_decay": 0.0,
    "temperature": 0.5,
    "dropout": 0.0,
    "drophead": 0.3,
    "span_mask": 0,
    "mask_from": 0,
    "pooling": "cls",
}


@pytest.mark.parametrize("name", ["auto", *PUBLISHED])
def test_every_override_is_taken_alone_and_with_the_others(name: str) -> None:
    plain = pick(name)
    assert choose(name, width=384, texts=SENTENCES, overrides=dict.fromkeys(OVERRIDES)) == plain
    for field, value in OVERRIDES.items():
        assert pick(name, **{field: value}) == dataclasses.replace(plain, **{field: value})
    everything = pick(name, **OVERRIDES).as_dict()
    assert {field: everything[field] for field in OVERRIDES} == OVERRIDES


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", 1),
        ("batch_size", 0),
        ("max_length", 2),
        ("learning_rate", 0.0),
        ("learning_rate", -1e-5),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("weight_decay", -0.1),
        ("weight_decay", math.inf),
        ("temperature", 0.0),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("drophead", 1.0),
        ("span_mask", -1),
        ("mask_from", -1),
        ("pooling", "median"),
    ],
)
def test_a_bad_value_is_named(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^{field} '?{value}'?: must be "):
        pick("auto", **{field: value})


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'word-bart': must be one of auto, sentence-bert, .*word-roberta"):
        pick("word-bart")


def test_the_listing_is_plain_data_with_every_field() -> None:
    fields = {field.name for field in dataclasses.fields(Recipe)}
    recipes = json.loads(json.dumps(listing()))
    assert set(PUBLISHED) < set(recipes)
    assert any(name.startswith("auto") for name in recipes)
    for name, values in recipes.items():
        assert set(values) == fields, name
    assert recipes["word-bert"]["temperature"] == 0.2
