"""The rungs in the order they were climbed; the first one on a base and corpus is what others are held against."""

from __future__ import annotations

import dataclasses
from typing import Any

from benchmarks.ladder.cells import Rung
from benchmarks.ladder.spread import OWN_LOSSES


def _each(prefix: str, corpus: str, tried: dict[str, dict[str, Any]], **more: Any) -> list[Rung]:
    return [Rung(f"{prefix} {name}".strip(), corpus, changes, **more) for name, changes in tried.items()]


def today(corpus: str) -> str:
    """Return the name of the rung that is `auto` as it was."""
    return f"{corpus}: auto"


SENTENCES = _each(
    "sentences:",
    "sentences",
    {
        "auto": {},
        "batch 32": {"batch_size": 32, "steps": 64},
        "batch 400": {"batch_size": 400, "steps": 10},
        "rate 2e-4": {"learning_rate": 2e-4},
        "rate 2e-4, decay": {"learning_rate": 2e-4, "warmup": 0.1, "decay": True},
        "50 steps, warm-up, decay": {"steps": 50, "warmup": 0.1, "decay": True},
        "temperature 0.05": {"temperature": 0.05},
        "temperature 0.1": {"temperature": 0.1},
        "dropout 0.05": {"dropout": 0.05},
        "dropout 0.2": {"dropout": 0.2},
        "drophead 0.1": {"drophead": 0.1},
        "mask 20": {"span_mask": 20},
        "blend 0.25": {"blend": "0.25"},
    },
    search=False,
)
SENTENCES += _each("sentences:", "sentences", {"curve": {"steps": 100}}, at=(20, 46), search=False)
SENTENCES += _each("sentences:", "sentences", {"batch 64": {"batch_size": 64, "steps": 100}}, at=(31, 60), search=False)

DOCUMENTS = _each("docs:", "docstrings", {"auto": {}})
DOCUMENTS += _each("docs:", "docstrings", {"curve": {"steps": 100}}, at=(16, 31, 60))
DOCUMENTS += _each(
    "docs:",
    "docstrings",
    {
        "crop 30,250": {"crop": "30,250"},
        "crop 30,120": {"crop": "30,120"},
        "crop 50,150": {"crop": "50,150"},
        "sentence": {"views": "sentence", "batch_size": 64, "steps": 31, "learning_rate": 2e-4, "span_mask": 0},
        "temperature 0.04": {"temperature": 0.04},
        "temperature 0.1": {"temperature": 0.1},
        "mask 10": {"span_mask": 10},
        "rate 3e-4": {"learning_rate": 3e-4},
        "rate 4e-4, warm-up, decay": {"learning_rate": 4e-4, "warmup": 0.1, "decay": True},
        "dropout 0.05": {"dropout": 0.05},
        "dropout 0": {"dropout": 0.0},
    },
)
PLAIN = _each(
    "plain:",
    "plain",
    {
        "identity": {"views": "identity", "batch_size": 64, "steps": 31},
        "crop 30,250": {"views": "crop", "crop": "30,250", "batch_size": 64, "steps": 31},
        "crop 20,100": {"views": "crop", "crop": "20,100", "batch_size": 64, "steps": 31},
        "sentence": {"views": "sentence", "batch_size": 64, "steps": 31, "learning_rate": 2e-4},
    },
)
MIXED = _each(
    "mixed:",
    "sentences+docstrings",
    {
        "auto": {},
        "crop 30,250": {"views": "crop", "crop": "30,250", "batch_size": 64, "steps": 31},
    },
)
MIXED += _each(
    "mixed plain:",
    "sentences+plain",
    {"crop 80,250": {"views": "crop", "crop": "80,250", "batch_size": 64, "steps": 31}},
)

# Parts of the loss, each alone: those that the product has, and those that it has not, since they did not pay.
LOSS = _each(
    "sentences loss:",
    "sentences",
    {
        "decoupled": {"decoupled": True},
        "hard negatives 0.5": {"hard_negatives": 0.5},
        "overlap from 0.5": {"duplicate_overlap": 0.5},
    },
    search=False,
)
LOSS += [Rung(f"sentences loss: {name}", "sentences", loss=name, search=False) for name in OWN_LOSSES]
MEANS = _each(
    "sentences mean:",
    "sentences",
    {
        "rate 2e-4, 10 steps, last 0.5": {"learning_rate": 2e-4, "average_last": 0.5},
        "rate 2e-4, 20 steps, last 0.5": {"learning_rate": 2e-4, "average_last": 0.5, "steps": 20},
        "46 steps, last 0.5": {"average_last": 0.5, "steps": 46},
        "batch 64, 31 steps": {"batch_size": 64, "steps": 31},
        "batch 64, 31 steps, last 0.5": {"batch_size": 64, "steps": 31, "average_last": 0.5},
    },
    search=False,
)
MEANS += _each("sentences mean:", "sentences", {"three seeds": {}}, search=False, members=3)

OWN = [
    Rung(f"sentences own: {name}", "sentences", views=name, search=False)
    for name in ("dropped", "both dropped", "shuffled", "swapped", "both shuffled")
]
OWN += [
    Rung(f"sentences own: shuffled, {name}", "sentences", changes, views="shuffled", search=False)
    for name, changes in (
        ("mask 10", {"span_mask": 10}),
        ("rate 2e-4, last 0.5", {"learning_rate": 2e-4, "average_last": 0.5}),
        ("20 steps", {"steps": 20}),
        ("batch 64, 31 steps", {"batch_size": 64, "steps": 31}),
        ("temperature 0.05", {"temperature": 0.05}),
    )
]
_DOCUMENTS: dict[str, Any] = {"batch_size": 64, "steps": 31, "learning_rate": 2e-4, "max_length": 48}
OWN += [Rung("docs own: crop shuffled", "docstrings", _DOCUMENTS, views="crop shuffled")]
OWN += _each(
    "sentences crop:",
    "sentences",
    {"20,80": {"views": "crop", "crop": "20,80", "batch_size": 200, "steps": 10}},
    search=False,
)

_BEST: dict[str, Any] = {"shuffle": 1.0, "learning_rate": 2e-4, "average_last": 0.5, "span_mask": 0}
SHUFFLED = _each(
    "sentences shuffled:",
    "sentences",
    {
        "rate 2e-4, last 0.5": _BEST,
        "rate 3e-4, last 0.5": _BEST | {"learning_rate": 3e-4},
        "rate 2e-4, last 0.5, mask 10": _BEST | {"span_mask": 10},
        "rate 2e-4, last 0.5, temperature 0.05": _BEST | {"temperature": 0.05},
        "rate 2e-4, last 0.5, dropout 0.2": _BEST | {"dropout": 0.2},
        "rate 2e-4, last 0.5, batch 100": _BEST | {"batch_size": 100, "steps": 20},
        "rate 2e-4, last 0.5, 14 steps": _BEST | {"steps": 14},
        "rate 2e-4, last 0.5, three seeds": _BEST,
    },
    search=False,
)
SHUFFLED[-1] = dataclasses.replace(SHUFFLED[-1], members=3)
_CROP: dict[str, Any] = {"crop": "30,250"}
SHUFFLED += _each(
    "docs:",
    "docstrings",
    {
        "crop 30,250, shuffled": _CROP | {"shuffle": 1.0},
        "crop 30,250, rate 4e-4, last 0.5": _CROP | {"learning_rate": 4e-4, "average_last": 0.5},
        "crop 30,250, shuffled, rate 4e-4, last 0.5": _CROP
        | {"shuffle": 1.0, "learning_rate": 4e-4, "average_last": 0.5},
        "crop 30,120, 60 steps": {"crop": "30,120", "steps": 60},
    },
)

TOGETHER = _each(
    "sentences together:",
    "sentences",
    {
        "decoupled, rate 2e-4, last 0.5": {"decoupled": True, "learning_rate": 2e-4, "average_last": 0.5},
        "shuffled, decoupled, rate 2e-4, last 0.5": _BEST | {"decoupled": True},
        "shuffled, decoupled, hard negatives 0.5, rate 2e-4, last 0.5": _BEST
        | {"decoupled": True, "hard_negatives": 0.5},
        "shuffled, decoupled, rate 3e-4, last 0.5": _BEST | {"decoupled": True, "learning_rate": 3e-4},
        "shuffled, decoupled, batch 64, 31 steps, last 0.5": _BEST | {"decoupled": True, "batch_size": 64, "steps": 31},
        "shuffled, decoupled, temperature 0.1, rate 2e-4, last 0.5": _BEST | {"decoupled": True, "temperature": 0.1},
        "shuffled, decoupled, temperature 0.05, rate 2e-4, last 0.5": _BEST | {"decoupled": True, "temperature": 0.05},
        "shuffled, decoupled, hard negatives 0.25, rate 2e-4, last 0.5": _BEST
        | {"decoupled": True, "hard_negatives": 0.25},
        "shuffled, hard negatives 0.5, rate 2e-4, last 0.5": _BEST | {"hard_negatives": 0.5},
        "shuffled, decoupled, dropout 0.2, rate 2e-4, last 0.5": _BEST | {"decoupled": True, "dropout": 0.2},
    },
    search=False,
)
# Each second view is either shuffled or masked.
TOGETHER += [
    Rung(
        f"sentences together: {name}",
        "sentences",
        _BEST | {"decoupled": True, "span_mask": 10, "shuffle": share},
        search=False,
    )
    for name, share in (("half shuffled, half masked", 0.5), ("0.3 shuffled", 0.3), ("0.7 shuffled", 0.7))
]
TOGETHER += _each(
    "docs:",
    "docstrings",
    {
        "crop 30,250, decoupled": _CROP | {"decoupled": True},
        "crop 30,250, hard negatives 0.5": _CROP | {"hard_negatives": 0.5},
        "crop 30,250, shuffled, decoupled": _CROP | {"shuffle": 1.0, "decoupled": True},
        "crop 30,250, decoupled, rate 4e-4, last 0.5": _CROP
        | {"decoupled": True, "learning_rate": 4e-4, "average_last": 0.5},
    },
)

SOUP = [
    Rung("mean of corpora: crops of sentences, docs", "sentences|docstrings", {"crop": "30,250"}),
    Rung("mean of corpora: sentences, plain", "sentences|plain", {"crop": "30,250", "views": "crop"}, search=False),
]
SOUP += [Rung("mean of corpora: sentences, docs, auto as it is", "sentences|docstrings", now=True)]
BLENDS = _each(
    "sentences:",
    "sentences",
    {
        "rate 3e-4, last 0.5": {"learning_rate": 3e-4, "average_last": 0.5},
        "rate 2e-4, blend 0.25": {"learning_rate": 2e-4, "blend": "0.25"},
        "46 steps, blend 0.4": {"steps": 46, "blend": "0.4"},
    },
    search=False,
)

# Half shuffled and half masked, and smaller batches, which the decoupled loss allows; on a record of another machine,
# where the first rung is what the others are held against.
_HALF: dict[str, Any] = _BEST | {"decoupled": True, "span_mask": 10, "shuffle": 0.5}
_NO_DROPOUT: dict[str, Any] = {"dropout": 0.0}
_SMALL: dict[str, Any] = _HALF | {"batch_size": 64, "steps": 31, "learning_rate": 1e-4}
SMALLER = _each(
    "sentences batches:",
    "sentences",
    {
        "200, 10 steps, rate 2e-4": _HALF,
        "200, 20 steps, rate 2e-4": _HALF | {"steps": 20},
        "100, 20 steps, rate 2e-4": _HALF | {"batch_size": 100, "steps": 20},
        "100, 20 steps, rate 1e-4": _HALF | {"batch_size": 100, "steps": 20, "learning_rate": 1e-4},
        "64, 31 steps, rate 2e-4": _SMALL | {"learning_rate": 2e-4},
        "64, 31 steps, rate 1e-4": _SMALL,
        "64, 31 steps, rate 1e-4, temperature 0.1": _SMALL | {"temperature": 0.1},
        "64, 31 steps, rate 1e-4, temperature 0.05": _SMALL | {"temperature": 0.05},
        "64, 31 steps, rate 1e-4, temperature 0.04": _SMALL | {"temperature": 0.04},
        "64, 31 steps, rate 1e-4, temperature 0.03": _SMALL | {"temperature": 0.03},
        "64, 31 steps, rate 1.4e-4, temperature 0.05": _SMALL | {"temperature": 0.05, "learning_rate": 1.4e-4},
        "64, 46 steps, rate 1e-4, temperature 0.05": _SMALL | {"temperature": 0.05, "steps": 46},
        "32, 62 steps, rate 7e-5, temperature 0.05": _SMALL
        | {"batch_size": 32, "steps": 62, "learning_rate": 7e-5, "temperature": 0.05},
        "64, 31 steps, rate 1e-4, temperature 0.05, dropout 0": _SMALL | _NO_DROPOUT | {"temperature": 0.05},
    },
    search=False,
)
SMALLER += _each(
    "docs batches:",
    "docstrings",
    {
        "64, 31 steps": _CROP,
        "32, 62 steps": _CROP | {"batch_size": 32, "steps": 62},
        "32, 62 steps, rate 1e-4": _CROP | {"batch_size": 32, "steps": 62, "learning_rate": 1e-4},
        "64, 62 steps, crop 30,120": {"crop": "30,120", "steps": 62},
        "64, 31 steps, temperature 0.05": _CROP | {"temperature": 0.05},
        "64, 31 steps, dropout 0": _CROP | _NO_DROPOUT,
        "64, 31 steps, last 0.5": _CROP | {"average_last": 0.5},
        "64, 46 steps, last 0.5": _CROP | {"average_last": 0.5, "steps": 46},
        "64, 38 steps, dropout 0": _CROP | _NO_DROPOUT | {"steps": 38},
    },
)

# The last table: `auto` as it was and as it is.
FINAL = [
    rung
    for corpus, name, search in (("sentences", "sentences", False), ("docstrings", "docs", True))
    for rung in (
        Rung(f"{name}: auto as it was", corpus, search=search),
        Rung(f"{name}: auto as it is", corpus, search=search, now=True),
    )
]
FINAL += [Rung("sentences: all shuffled", "sentences", _BEST | {"decoupled": True}, search=False)]
FINAL += [Rung("sentences: half shuffled, batches of 200", "sentences", _HALF, search=False)]
FINAL += [
    Rung("docs: auto as it was", "docstrings", base="all-MiniLM-L6-v2"),
    Rung("docs: auto as it is", "docstrings", base="all-MiniLM-L6-v2", now=True),
    Rung("docs: auto as it is, 150 steps", "docstrings", {"steps": 150}, now=True),
    Rung("docs: auto as it is, 150 steps", "docstrings", {"steps": 150}, base="all-MiniLM-L6-v2", now=True),
]

RUNGS: list[Rung] = [
    *SENTENCES,
    *DOCUMENTS,
    *PLAIN,
    *MIXED,
    *LOSS,
    *MEANS,
    *OWN,
    *SOUP,
    *BLENDS,
    *SHUFFLED,
    *TOGETHER,
    *SMALLER,
]
