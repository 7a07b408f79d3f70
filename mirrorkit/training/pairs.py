"""What an epoch trains on: a first and a second view of every string, and which of them say the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mirrorkit.errors import ConfigError
from mirrorkit.text.ragged import Ints
from mirrorkit.training.corpus import Corpus
from mirrorkit.training.duplicates import same_documents
from mirrorkit.training.large import LARGE
from mirrorkit.training.own import MakeViews, two_views
from mirrorkit.training.pieces import two_crops, two_sentences
from mirrorkit.training.recipe import Recipe
from mirrorkit.training.view_choice import Views, settled


@dataclass(frozen=True)
class Pairs:
    """Two views of each of n strings, not masked yet."""

    first: list[str]
    second: list[str]
    groups: Ints | None  # [2n], equal where two views are of the same text; None: let the tokens tell
    negatives: list[str] | None = None  # a text for each string that does not mean the same


def neighbours(rows: Ints, count: int) -> Ints:
    """Return the row after each of these of `count` rows; after the last one the row before it."""
    return np.where(rows + 1 < count, rows + 1, rows - 1)


class PairMaker:
    """Makes the pairs of one draw after another; what is the same in all of them is done once.

    Near-duplicates are found in the whole corpus, and of a large one among the strings of each draw.
    """

    def __init__(self, corpus: Corpus, recipe: Recipe, make: MakeViews | None = None) -> None:
        self._corpus = corpus
        self._crop = recipe.crop_range
        self._make = make
        if recipe.views is Views.OWN:
            if make is None:
                raise ConfigError("views own: give the function that makes them as `views`")
            self._views, self._same = Views.OWN, None
            return
        if corpus.partners is not None or recipe.views is Views.IDENTITY:
            self._views, self._same = Views.IDENTITY, None
            return
        self._views = settled(recipe.views, self._crop, corpus.texts)
        if self._views is Views.ADJACENT and not corpus.in_order:
            raise ConfigError("views adjacent: a sample has no neighbours; give no `limit`")
        self._same = None
        if self._views is not Views.IDENTITY and len(corpus) <= LARGE:
            self._same = same_documents(corpus.texts)

    def draw(self, rows: Ints, rng: np.random.Generator) -> Pairs:
        """Return new pairs for these rows of the corpus; `rng` alone decides what they are."""
        if self._views in (Views.CROP, Views.SENTENCE):
            return self._cut(rows, rng)
        texts = self._corpus.texts
        own = [texts[i] for i in rows.tolist()]
        if self._make is not None:
            made = [two_views(self._make, text, rng) for text in own]
            return Pairs([pair[0] for pair in made], [pair[1] for pair in made], None)
        if self._views is Views.IDENTITY:
            partners, negatives = (
                None if column is None else [column[i] for i in rows.tolist()]
                for column in (self._corpus.partners, self._corpus.negatives)
            )
            return Pairs(own, own if partners is None else partners, None, negatives)
        assert self._views is Views.ADJACENT
        next_to = neighbours(rows, len(texts))
        second = [texts[i] for i in next_to.tolist()]
        return Pairs(own, second, self._families(np.concatenate([rows, next_to]), own + second))

    def _cut(self, rows: Ints, rng: np.random.Generator) -> Pairs:
        """Return two pieces of each text, which alone are kept: the texts of an epoch may not fit into memory."""
        texts = self._corpus.texts
        draws = rng.random((len(rows), 5)).tolist()
        cut = two_sentences if self._views is Views.SENTENCE else self._two_crops
        own = (texts[i] for i in rows.tolist())
        found = [cut(text, draw) or (text, text) for text, draw in zip(own, draws, strict=True)]
        groups = np.tile(self._families(rows, self._corpus.take(rows).texts), 2)
        return Pairs([pair[0] for pair in found], [pair[1] for pair in found], groups)

    def _families(self, rows: Ints, texts: Sequence[str]) -> Ints:
        """Return which of these texts are near-duplicates of one another, [len(rows)]."""
        return same_documents(texts) if self._same is None else self._same[rows]

    def _two_crops(self, text: str, draws: Sequence[float]) -> tuple[str, str] | None:
        return two_crops(text, *self._crop, draws)
