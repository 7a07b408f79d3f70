"""Which settings are tried: one by one from the recipe as it was, then together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.word_dev.cells import Cell
from mirrorkit.training.recipe import Changes

# The recipe as it was before these cells: spelled out, so that a new `auto` does not change what they are.
BEFORE: Changes = {
    "epochs": 2,
    "batch_size": 200,
    "max_length": 25,
    "learning_rate": 1e-4,
    "temperature": 0.2,
    "dropout": 0.1,
    "drophead": 0.0,
    "warmup": 0.0,
    "decay": False,
    "pooling": "mean",
    "blend": "0",
}
SHORT = 25  # steps of a trial; what a setting gives shows by then, and the whole run scores there on the way
ONE: dict[str, Changes] = {
    "temperature 0.1": {"temperature": 0.1},
    "rate 2e-4": {"learning_rate": 2e-4},
    "temperature 0.05": {"temperature": 0.05},
    "rate 4e-4": {"learning_rate": 4e-4},
    "dropout 0.2": {"dropout": 0.2},
    "cls+mean": {"pooling": "cls+mean"},
    "batch 100": {"batch_size": 100, "steps": 2 * SHORT},
    "drophead 0.2": {"drophead": 0.2},
    "max": {"pooling": "max"},
    "temperature 0.4": {"temperature": 0.4},
    "rate 5e-5": {"learning_rate": 5e-5},
    "decoupled": {"decoupled": True},
    "decoupled, batch 64, 78 steps": {"decoupled": True, "batch_size": 64, "steps": 78},
    "decoupled, temperature 0.1, batch 64, 78 steps": {
        "decoupled": True,
        "temperature": 0.1,
        "batch_size": 64,
        "steps": 78,
    },
}
DECAY: Changes = {"warmup": 0.1, "decay": True}
TOGETHER: dict[str, Changes] = {
    "rate 4e-4, decay": {"learning_rate": 4e-4, **DECAY},
    "rate 4e-4, decay, temperature 0.4": {"learning_rate": 4e-4, "temperature": 0.4, **DECAY},
    "rate 4e-4, decay, half": {"learning_rate": 4e-4, "steps": 2 * SHORT, **DECAY},
    "rate 8e-4, decay, half": {"learning_rate": 8e-4, "steps": 2 * SHORT, **DECAY},
    "decoupled, batch 64": {"decoupled": True, "batch_size": 64},
}
# Trials at four times the rate, which by 25 steps has almost all that the whole run at the old one gives.
QUICK: dict[str, tuple[str, Changes]] = {
    "quick cls+mean": ("identity", {"pooling": "cls+mean"}),
    "quick contexts": ("contexts", {}),
    "quick max": ("identity", {"pooling": "max"}),
    "quick slip": ("slip", {}),
}
VIEWS = ("context", "contexts", "quoted", "slip", "inflected")
CORPORA = ("phrases", "glosses")


def cells(bases: Sequence[str], seeds: Sequence[int]) -> Iterator[Cell]:
    """Yield every cell of these bases and seeds."""
    for seed in seeds:
        for base in bases:
            yield Cell("before", {**BEFORE}, base=base, seed=seed, looks=(SHORT, 2 * SHORT), whole=True)
            for label, changes in TOGETHER.items():
                yield Cell(label, {**BEFORE, **changes}, base=base, seed=seed, whole=True)
            for label, (views, changes) in QUICK.items():
                quick: Changes = {**BEFORE, "steps": SHORT, "learning_rate": 4e-4, **changes}
                yield Cell(label, quick, views=views, base=base, seed=seed)
            yield Cell("short context", {**BEFORE, "steps": SHORT}, views="context", base=base, seed=seed)
            for label, changes in ONE.items():
                yield Cell(f"short {label}", {**BEFORE, "steps": SHORT, **changes}, base=base, seed=seed)
            for views in VIEWS:
                yield Cell(f"short {views}", {**BEFORE, "steps": SHORT}, views=views, base=base, seed=seed)
            for corpus in CORPORA:
                yield Cell(f"short {corpus}", {**BEFORE, "steps": SHORT}, corpus=corpus, base=base, seed=seed)
