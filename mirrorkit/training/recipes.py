"""Hyper-parameters as data: the official Mirror-BERT recipes and our own."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mirrorkit.errors import ConfigError
from mirrorkit.layout import Pooling, as_pooling


@dataclass(frozen=True)
class Recipe:
    """Every hyper-parameter of one fine-tune. Checked once, when it is made."""

    epochs: int = 1
    batch_size: int = 200  # pairs; the last batches share what is left, so that no string is dropped
    max_length: int = 50  # tokens a training string is cut to, special tokens included
    learning_rate: float = 2e-5  # peak, AdamW
    weight_decay: float = 0.01  # on all parameters
    warmup: float = 0.0  # share of the steps in which the rate climbs to its peak
    decay: bool = False  # then falls linearly to zero; else it stays
    temperature: float = 0.04  # of the softmax over cosines
    dropout: float = 0.1  # in the embeddings, the attention and the feed-forward layers
    drophead: float = 0.0  # probability that an attention head is silenced
    span_mask: int = 5  # characters hidden in the second view; 0 for none
    mask_from: int = 30  # characters: shorter strings are not masked
    pooling: Pooling = Pooling.MEAN

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate", "temperature"):
            _require(0 < getattr(self, name) < math.inf, name, getattr(self, name), "above 0 and finite")
        for name in ("dropout", "drophead", "warmup"):
            _require(0 <= getattr(self, name) < 1, name, getattr(self, name), "at least 0 and below 1")
        for name in ("weight_decay", "span_mask", "mask_from"):
            _require(0 <= getattr(self, name) < math.inf, name, getattr(self, name), "at least 0 and finite")
        _require(self.batch_size > 1, "batch_size", self.batch_size, "at least 2, since the others are the negatives")
        _require(self.max_length > 2, "max_length", self.max_length, "at least 3 tokens")

    def as_dict(self) -> dict[str, object]:
        """Return the hyper-parameters as plain data."""
        return {**dataclasses.asdict(self), "pooling": str(self.pooling)}


def _require(holds: bool, name: str, value: object, wanted: str) -> None:
    if not holds:
        raise ConfigError(f"{name} {value}: must be {wanted}")


_SENTENCE_BERT = Recipe(pooling=Pooling.MEAN_PADDED)
_SENTENCE_ROBERTA = Recipe(pooling=Pooling.CLS)
_WORD = Recipe(epochs=2, max_length=25, temperature=0.2, span_mask=0, pooling=Pooling.CLS)

# From scripts/ and train.py of cambridgeltl/mirror-bert. There is no official script for words with RoBERTa:
# word-roberta is word-bert, whose values the paper gives for both.
OFFICIAL: Mapping[str, Recipe] = {
    "sentence-bert": _SENTENCE_BERT,
    "sentence-bert-drophead": dataclasses.replace(_SENTENCE_BERT, dropout=0.0, drophead=0.2),
    "sentence-roberta": _SENTENCE_ROBERTA,
    "sentence-roberta-drophead": dataclasses.replace(_SENTENCE_ROBERTA, dropout=0.0, drophead=0.05),
    "word-bert": _WORD,
    "word-roberta": _WORD,
}

AUTO = "auto"


def choose(
    name: str,
    *,
    width: int,
    own_pooling: Pooling | None = None,
    texts: Sequence[str],
    overrides: Mapping[str, object],
) -> Recipe:
    """Return the recipe `name` with those of the overrides that are not None.

    What `auto` means depends on `width` (the model's hidden size), on the pooling that the base came with, if it came
    with one, and on whether `texts` are words or sentences. Raises ConfigError for an unknown name or a bad value.
    """
    if name != AUTO and name not in OFFICIAL:
        raise ConfigError(f"recipe {name!r}: must be one of {', '.join([AUTO, *OFFICIAL])}")
    recipe = auto_recipe(width, own_pooling, texts) if name == AUTO else OFFICIAL[name]
    changes = {key: value for key, value in overrides.items() if value is not None}
    if "pooling" in changes:
        changes["pooling"] = as_pooling(changes["pooling"])
    return dataclasses.replace(recipe, **changes)  # type: ignore[arg-type]  # checked in __post_init__


def auto_recipe(width: int, own_pooling: Pooling | None, texts: Sequence[str]) -> Recipe:
    """Choose by the model's width and by whether the strings are words or sentences.

    For models up to 512 wide the sentence values were chosen on the STS-B development set with a model of 384: a larger
    rate, a softer temperature and a longer mask than the official ones. Wider models get the official values, which
    were chosen for a base-sized model; only the pooling differs, a mean without the padding.
    """
    small = width <= 512
    pooling = own_pooling or Pooling.MEAN
    rate = 1e-4 if small else 2e-5
    if statistics.median(len(t.split()) for t in texts[:10_000]) <= 3:
        return dataclasses.replace(_WORD, learning_rate=rate, pooling=pooling)
    if small:
        return Recipe(learning_rate=rate, temperature=0.07, span_mask=10, pooling=pooling)
    return Recipe(learning_rate=rate, pooling=pooling)


def listing() -> dict[str, dict[str, object]]:
    """Return every recipe as plain data; `auto` as it stands for sentences and a small or a base-sized model."""
    sentences, words = ["a sentence of more than three words"], ["word"]
    own = {
        "auto (sentences, small)": auto_recipe(384, None, sentences),
        "auto (sentences, base)": auto_recipe(768, None, sentences),
        "auto (words, small)": auto_recipe(384, None, words),
        "auto (words, base)": auto_recipe(768, None, words),
    }
    return {name: recipe.as_dict() for name, recipe in {**own, **OFFICIAL}.items()}
