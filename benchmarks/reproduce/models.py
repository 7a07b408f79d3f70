"""The five released models: the base and corpus of each, its recipe, and the figures published for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.record import SHARED
from benchmarks.training.official import Settings
from mirrorkit.errors import ConfigError
from mirrorkit.formats.pooling import Pooling
from mirrorkit.training.recipe import Recipe
from mirrorkit.training.recipes import OFFICIAL

SOURCE = (
    "the README of github.com/cambridgeltl/mirror-bert at 8b6b9de, one figure for each released model, which is of one "
    "training; the paper's own tables are means of three others"
)
STS_AVERAGE = "STS average"
ENGLISH = "Multi-SimLex ENG"
PAIRS = {  # of each of the seven sets, all of a year together
    "sts12": 3_108,
    "sts13": 1_500,
    "sts14": 3_750,
    "sts15": 3_000,
    "sts16": 1_186,
    "stsb-test": 1_379,
    "sickr-test": 4_927,
}


@dataclass(frozen=True)
class Shape:
    """What the configuration of a base says, by which another one is told apart."""

    model_type: str
    vocab_size: int
    hidden_size: int = 768
    num_hidden_layers: int = 12


BERT, ROBERTA = Shape("bert", 30_522), Shape("roberta", 50_265)


@dataclass(frozen=True)
class Released:
    """One model as it was released."""

    name: str  # of the recipe
    hub: str
    base: str
    shape: Shape
    published: Mapping[str, float]  # row of the table -> Spearman × 100; a row that is not here was not published
    corpus: str = "sentences_10k.txt"
    lines_sha256: str = "d8e1ce51d8036760"  # of the authors' file, its first 16 digits
    recipe: Recipe = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "recipe", OFFICIAL[self.name])

    @property
    def default_corpus(self) -> Path:
        """Where the authors' own strings lie, beside the checkout."""
        return SHARED / "data" / "corpora" / self.corpus

    @property
    def words(self) -> bool:
        """Whether it is a model of words, which is not scored on sentences alone."""
        return ENGLISH in self.published

    def settings(self, seed: int, batch_size: int) -> Settings:
        """Return the values of the official script."""
        recipe = self.recipe
        return Settings(
            epochs=recipe.epochs,
            batch_size=batch_size,
            max_length=recipe.max_length,
            learning_rate=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            temperature=recipe.temperature,
            dropout=recipe.dropout,
            span_mask=recipe.span_mask,
            pooling="mean" if recipe.pooling == Pooling.MEAN_PADDED else str(recipe.pooling),
            seed=seed,
        )


MODELS = {
    model.name: model
    for model in (
        Released(
            "sentence-bert",
            "cambridgeltl/mirror-bert-base-uncased-sentence",
            "bert-base-uncased",
            BERT,
            {STS_AVERAGE: 74.51},
        ),
        Released(
            "sentence-bert-drophead",
            "cambridgeltl/mirror-bert-base-uncased-sentence-drophead",
            "bert-base-uncased",
            BERT,
            {STS_AVERAGE: 75.16},
        ),
        Released(
            "sentence-roberta",
            "cambridgeltl/mirror-roberta-base-sentence",
            "roberta-base",
            ROBERTA,
            {STS_AVERAGE: 75.08},
        ),
        Released(
            "sentence-roberta-drophead",
            "cambridgeltl/mirror-roberta-base-sentence-drophead",
            "roberta-base",
            ROBERTA,
            {STS_AVERAGE: 76.67},
        ),
        Released(
            "word-bert",
            "cambridgeltl/mirror-bert-base-uncased-word",
            "bert-base-uncased",
            BERT,
            {ENGLISH: 55.60},
            "words_en_10k.txt",
            "0416c306b9943038",
        ),
    )
}


def find_model(name: str) -> Released:
    """Return the released model of that name; raises ConfigError for any other."""
    if name not in MODELS:
        raise ConfigError(f"model {name!r}: must be one of {', '.join(MODELS)}")
    return MODELS[name]
