"""Which two views of a string a corpus is fit for."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from enum import Enum

from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.training.large import LARGE
from mirrorkit.training.pieces import has_two_crops, has_two_sentences, two_crops

CountTokens = Callable[[Sequence[str]], Sequence[int]]  # of each text, special tokens included, not cut

ENOUGH = 0.2  # share of documents in a corpus from which on `auto` takes crops
_SAMPLE = 10_000  # strings that `auto` looks at
_CROPPED = 500  # documents whose crops are counted in tokens
_KEPT_WHOLE = 0.5  # share of the crops that the maximum length must not cut; more cost twice as much and gain nothing


class Views(str, Enum):
    """What the two views of a string are."""

    AUTO = "auto"  # crop where there are documents among the strings, else identity
    IDENTITY = "identity"  # the string twice
    CROP = "crop"  # two pieces of it that do not overlap
    SENTENCE = "sentence"  # two of its sentences
    ADJACENT = "adjacent"  # the string and the one after it
    OWN = "own"  # what a function of the user's makes of it

    def __str__(self) -> str:
        return self.value


def as_views(value: object) -> Views:
    """Return the views of that name; raises ConfigError for ones that there are not.

    `own` has no function by its name alone.
    """
    named = [views for views in Views if views is not Views.OWN]
    if value is Views.OWN or value in named:
        return Views(value)
    raise ConfigError(f"views {value!r}: must be one of {', '.join(named)}; in Python also a function")


def settled(views: Views, crop: tuple[int, int], texts: Sequence[str]) -> Views:
    """Return the views, where they are `auto` the ones that fit the texts: crops if a fifth of them are documents."""
    if views is not Views.AUTO:
        return views
    sample = texts[:: max(1, len(texts) // _SAMPLE)]
    documents = sum(has_two_crops(text, *crop) for text in sample)
    return Views.CROP if documents >= ENOUGH * len(sample) else Views.IDENTITY


def is_mixed(crop: tuple[int, int], texts: Sequence[str]) -> bool:
    """Tell whether a fifth of the texts or more have no room for two crops, and so are their own second view."""
    sample = texts[:: max(1, len(texts) // _SAMPLE)]
    return sum(not has_two_crops(text, *crop) for text in sample) >= ENOUGH * len(sample)


def about(views: Views, crop: tuple[int, int], texts: Sequence[str]) -> str:
    """Return what these views make of these texts, in a line for people.

    Raises CorpusError where no text has room for two crops: that would be identity under another name.
    """
    sample = texts[:: max(1, len(texts) // LARGE)]
    count = sum(has_two_crops(text, *crop) for text in sample)
    room = f"room for two crops of {crop[0]} characters"
    if views is Views.CROP and not count and not any(has_two_crops(text, *crop) for text in texts):
        raise CorpusError(
            f"views crop: none of the {len(texts):,} strings has {room}, the longest has "
            f"{max(map(len, texts)):,}; give a smaller `crop`, a larger `unit` or `views=identity`"
        )
    strings = f"{len(sample):,} strings{' looked at' * (len(sample) < len(texts))}"
    others = f"; the other {len(sample) - count:,} are their own second view" if count < len(sample) else ""
    if views is Views.CROP:
        return f"crop: {count:,} of {strings} have {room}{others}"
    if views is Views.SENTENCE:
        return _about_sentences(texts)
    if views is Views.IDENTITY:
        return f"identity: {f'{count:,} of {strings} have' if count else 'no string has'} {room}"
    return str(views)


def _about_sentences(texts: Sequence[str]) -> str:
    sample = texts[:: max(1, len(texts) // _CROPPED)]
    count = sum(has_two_sentences(text) for text in sample)
    if not count and not any(map(has_two_sentences, texts)):
        raise CorpusError(
            f"views sentence: none of the {len(texts):,} strings has two sentences; give a larger `unit` or "
            "`views=identity`"
        )
    return f"sentence: {count:,} of {len(sample):,} strings looked at have two sentences"


def crop_tokens(crop: tuple[int, int], texts: Sequence[str], count: CountTokens) -> int:
    """Return the tokens that hold every other crop of these texts whole, in steps of 8; 0 if they have no crops."""
    rng = random.Random(0)
    documents = [i for i, text in enumerate(texts[: _SAMPLE * 10]) if has_two_crops(text, *crop)]
    sample = rng.sample(documents, min(_CROPPED, len(documents)))  # places: the documents may be many times the memory
    pairs = (two_crops(texts[i], *crop, [rng.random() for _ in range(5)]) for i in sample)
    pieces = [piece for pair in pairs if pair for piece in pair]
    if not pieces:
        return 0
    lengths = sorted(count(pieces))
    return -(-lengths[int(_KEPT_WHOLE * (len(lengths) - 1))] // 8) * 8
