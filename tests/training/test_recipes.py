"""Hold the recipes to the official scripts, and overrides to their limits."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any, cast, get_type_hints

import pytest

from mirrorkit.errors import ConfigError
from mirrorkit.formats.plain import plain
from mirrorkit.formats.pooling import Pooling
from mirrorkit.training.own import MakeViews
from mirrorkit.training.recipe import Changes, Recipe
from mirrorkit.training.recipes import OFFICIAL, choose, listing

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


def pick(name: str | Recipe = "auto", width: int = 384, own: Pooling | None = None, **changes: Any) -> Recipe:
    return choose(name, width=width, own_pooling=own, texts=SENTENCES, changes=cast("Changes", changes))


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
    words = choose("auto", width=384, texts=WORDS, changes={})
    sentences = pick()
    assert (words.shuffle, sentences.shuffle) == (0.0, 0.5)
    assert words.max_length < sentences.max_length
    assert words.temperature > sentences.temperature


def test_auto_lowers_the_rate_for_wide_models() -> None:
    rates = [pick(width=width).learning_rate for width in (128, 384, 768, 1024)]
    assert rates == sorted(rates, reverse=True)
    assert rates[1] > rates[2]


def test_auto_changes_the_order_of_words_in_half_of_what_is_its_own_second_view() -> None:
    usual = pick()
    assert (usual.shuffle, usual.span_mask, usual.decoupled, usual.average_last) == (0.5, 10, True, 0.5)
    assert (usual.batch_size, usual.steps, usual.learning_rate, usual.temperature) == (64, 31, 1e-4, 0.05)
    ordered = pick(shuffle=0.0)
    assert (ordered.shuffle, ordered.span_mask) == (0.0, 10)
    assert pick(lora=8).average_last == 0  # which has no mean of weights
    taught = choose("auto", width=384, texts=SENTENCES, changes={}, taught=True)
    assert taught == dataclasses.replace(usual, batch_size=200, steps=10, learning_rate=3 * 1e-4, temperature=0.07)
    own_loss = choose("auto", width=384, texts=SENTENCES, changes={}, own_loss=True)
    assert (own_loss.decoupled, own_loss.shuffle) == (False, 0.5)
    known_pairs = choose("auto", width=384, texts=SENTENCES, changes={}, pairs=True)
    others = [pick(width=768), pick(own=Pooling.MEAN), pick("sentence-bert"), known_pairs, pick(views="sentence")]
    for other in others:
        assert (other.shuffle, other.decoupled, other.average_last) == (0.0, False, 0.0)


@pytest.mark.parametrize("texts", [SENTENCES, WORDS])
def test_auto_keeps_the_pooling_that_the_base_came_with(texts: list[str]) -> None:
    assert choose("auto", width=384, own_pooling=Pooling.MAX, texts=texts, changes={}).pooling is Pooling.MAX
    assert choose("auto", width=384, own_pooling=None, texts=texts, changes={}).pooling is Pooling.MEAN


def test_auto_trains_on_as_many_pairs_whatever_the_batch_and_the_corpus() -> None:
    assert [pick(batch_size=size).steps * size for size in (50, 100, 200)] == [2000] * 3
    assert pick(seconds=20.0).steps == 0  # the clock decides, and nothing else is written down
    assert pick(steps=0).steps == 0  # a pass over the corpus, as asked
    many = [f"word{i}" for i in range(10_001)]
    assert choose("auto", width=384, texts=WORDS, changes={}).steps == 0
    assert choose("auto", width=384, texts=many, changes={}).steps == 100


OVERRIDES: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 17,
    "max_length": 99,
    "learning_rate": 3e-4,
    "weight_decay": 0.0,
    "warmup": 0.1,
    "decay": True,
    "temperature": 0.5,
    "dropout": 0.0,
    "drophead": 0.3,
    "span_mask": 0,
    "mask_from": 0,
    "pooling": "cls",
}


@pytest.mark.parametrize("name", ["auto", *PUBLISHED])
def test_every_override_is_taken_alone_and_with_the_others(name: str) -> None:
    as_is = pick(name)
    assert choose(name, width=384, texts=SENTENCES, changes=cast("Changes", dict.fromkeys(OVERRIDES))) == as_is
    for field, value in OVERRIDES.items():
        wanted = dataclasses.replace(as_is, **{field: value})
        if field in ("epochs", "batch_size") and as_is.steps:  # which would decide otherwise, or be another share
            wanted = dataclasses.replace(wanted, steps=0 if field == "epochs" else round(2000 / 17))
        assert pick(name, **{field: value}) == wanted
    everything = plain(pick(name, **OVERRIDES))
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


def test_the_types_of_the_changes_are_those_of_the_fields() -> None:
    """`Changes` says the names again, for editors and mypy; nothing may be missing or other there."""
    fields, changes = get_type_hints(Recipe), get_type_hints(Changes, localns={"MakeViews": MakeViews})
    assert list(changes) == list(fields)
    assert changes.pop("views") == str | MakeViews | None  # a name or a function
    for name in changes:
        assert changes[name] == (str if fields[name] is Pooling else fields[name]) | None


def test_every_field_has_its_help() -> None:
    for field in dataclasses.fields(Recipe):
        assert field.metadata["help"].endswith(".")


@pytest.mark.parametrize(("field", "value"), [("epochs", 1.5), ("epochs", "2"), ("decay", 1), ("warmup", True)])
def test_a_value_of_another_type_is_named(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^{field} {value!r}: must be "):
        pick("auto", **{field: value})


def test_an_unknown_field_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'epoch'; the hyper-parameters are epochs, batch_size, .*, pooling"):
        pick("auto", epoch=3)


def test_a_recipe_is_taken_as_it_is() -> None:
    own = Recipe(epochs=4)
    assert pick(own) == own
    assert pick(own, epochs=5) == dataclasses.replace(own, epochs=5)


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"'word-bart': must be one of auto, auto-words, .*, sentence-bert, .*word-roberta"
    ):
        pick("word-bart")


def test_the_listing_is_plain_data_with_every_field() -> None:
    fields = {field.name for field in dataclasses.fields(Recipe)}
    recipes = json.loads(json.dumps(plain(listing())))
    assert set(PUBLISHED) < set(recipes)
    assert any(name.startswith("auto") for name in recipes)
    for name, values in recipes.items():
        assert set(values) == fields, name
    assert recipes["word-bert"]["temperature"] == 0.2
