"""The cells: one setting of the recipe for words each, trained from a base and scored on the development sets."""

from __future__ import annotations

import random
import resource
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import SHARED
from benchmarks.verdict.labels import Memo, graded
from benchmarks.word_dev.relations import WordNet
from benchmarks.word_dev.sets import graded_pairs, score_pairs, synonyms
from benchmarks.word_dev.views import OWN
from mirrorkit.evaluation.lexical import read_word_pairs
from mirrorkit.formats.layout_reader import read_layout
from mirrorkit.machine.torch_device import pick_autocast
from mirrorkit.model.backbone import width_of
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.model.hub import locate_model
from mirrorkit.training.base import load_base
from mirrorkit.training.blend import weights_of
from mirrorkit.training.corpus import Corpus, load_corpus
from mirrorkit.training.loop import train
from mirrorkit.training.recipe import Changes
from mirrorkit.training.recipes import choose

WORDS = SHARED / "data" / "corpora" / "words_en_10k.txt"
SIMLEX = SHARED / "data" / "lexical" / "simlex999.tsv"
BASES = {"minilm-mlm": str(SHARED / "models" / "minilm-mlm"), "tiny": "tiny"}
BLENDS = (0.2,)  # shares of the base that are tried on the weights of a whole cell
TAILS = (0.5,)  # last parts of the steps whose weights are averaged


@dataclass(frozen=True)
class Cell:
    """One training: what differs from the recipe of `auto` for words, and from identity views and the plain corpus."""

    label: str
    changes: Changes = field(default_factory=Changes)
    views: str = "identity"
    corpus: str = "words"
    base: str = "minilm-mlm"
    seed: int = 1
    looks: tuple[int, ...] = ()  # steps after which it is scored on the way
    whole: bool = False  # whether sentences, blends and averages are scored too, which costs as much as short cells

    @property
    def name(self) -> str:
        return f"{self.base}/{self.label}/{self.seed}"


class Workshop:
    """Runs cells; keeps what is the same in several of them."""

    def __init__(self, wordnet: Path | None, keep: Path | None = None) -> None:
        self._keep = keep
        self._net = WordNet(wordnet)
        barred = read_word_pairs(SIMLEX)  # its pairs must not occur; its scores are not looked at here
        pairs = list(zip(barred.left, barred.right, strict=True))
        self._graded = graded_pairs(self._net, pairs)
        self._synonyms = synonyms(self._net, pairs)
        self._sentences = graded()

    @property
    def sizes(self) -> dict[str, int]:
        """Return how many pairs, questions and words there are."""
        sizes = {f"pairs of {part}": len(pairs) for part, pairs in self._graded.items()}
        return sizes | {"synonym questions": len(self._synonyms.right), "vocabulary": len(self._synonyms.words)}

    @cached_property
    def _words(self) -> list[str]:
        return list(load_corpus(WORDS).texts)

    def corpus(self, name: str) -> Corpus:
        """Return the corpus of that name: the words, or the words with phrases or glosses of WordNet."""
        if name == "words":
            return load_corpus(WORDS)
        rng = random.Random(0)
        known = set(self._words)
        if name == "phrases":
            more = {word.replace("_", " ") for one in self._net.synsets.values() for word in one.words if "_" in word}
            fit = sorted(one for one in more if all(word in known for word in one.split()))
        else:
            glosses = (one.gloss.partition(";")[0].strip() for one in self._net.synsets.values())
            fit = sorted({gloss for gloss in glosses if 2 < len(gloss.split()) < 9})
        return load_corpus([*self._words, *rng.sample(fit, min(len(fit), len(self._words)))])

    def run(self, cell: Cell) -> dict[str, Any]:
        """Train, and score the end, the way there, averages of the tail and blends with the base."""
        folder, corpus = locate_model(BASES[cell.base]).folder, self.corpus(cell.corpus)
        layout = read_layout(folder)
        changes: Changes = dict(cell.changes)  # type: ignore[assignment]
        if cell.views != "identity":
            changes["views"] = OWN[cell.views]
        recipe = choose(
            "auto-words",
            width=width_of(layout, trust_remote_code=False),
            own_pooling=layout.pooling if layout.named else None,
            texts=corpus.texts,
            changes=changes,
        )
        encoder = load_base(folder, recipe, "cpu", False, compare=False)
        start, way, spent = weights_of(encoder), {}, 0.0
        sums: dict[float, tuple[int, dict[str, torch.Tensor]]] = {}

        def after_step(done: int, total: int) -> None:
            nonlocal spent
            begun = cpu_seconds()
            for tail in TAILS if cell.whole else ():
                if done > (1 - tail) * total:
                    count, summed = sums.get(tail, (0, {}))
                    for name, one in encoder.state_dict().items():
                        summed[name] = summed[name].add_(one) if name in summed else one.detach().double()
                    sums[tail] = (count + 1, summed)
            if done in cell.looks:
                way[str(done)] = self.score(encoder)
            spent += cpu_seconds() - begun

        begun = cpu_seconds()
        stats = train(
            encoder,
            corpus,
            recipe,
            seed=cell.seed,
            device="cpu",
            after_step=after_step,
            make_views=OWN.get(cell.views),
        )
        seconds = cpu_seconds() - begun - spent
        if self._keep and cell.whole:
            encoder.save(self._keep / cell.name)
        end = weights_of(encoder)
        scores = {"end": self.score(encoder, sentences=cell.whole)}
        for share in BLENDS if cell.whole else ():
            _give(encoder, {name: torch.lerp(one, start[name], share) for name, one in end.items()})
            scores[f"blend {share:g}"] = self.score(encoder)
        for tail, (count, summed) in sums.items():
            _give(encoder, {name: (one / count).float() for name, one in summed.items()})
            scores[f"tail {tail:g}"] = self.score(encoder)
        return {"steps": stats.steps, "cpu_seconds": seconds, "scores": scores, "way": way}

    def base(self, name: str) -> dict[str, float]:
        """Return the scores of a base as it is."""
        return self.score(SentenceEncoder.load(locate_model(BASES[name]).folder, pooling="mean"), sentences=True)

    def score(self, encoder: SentenceEncoder, *, sentences: bool = False) -> dict[str, float]:
        """Return all development scores × 100; those of sentences, which cost more, where they are asked for."""
        memo = Memo(encoder)
        was = encoder.training
        encoder.eval()
        with torch.autocast("cpu", dtype := pick_autocast("auto", "cpu"), enabled=dtype != torch.float32):
            found = {**score_pairs(self._graded, memo), "synonyms": self._synonyms.score(memo)}
            if sentences:
                found |= {one.name: one.score(one.items(memo)) for one in self._sentences}
        encoder.train(was)
        return found | {"words": float(np.mean([found["pairs"], found["synonyms"]]))}


def cpu_seconds() -> float:
    """Return the user and system seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _give(encoder: SentenceEncoder, weights: Mapping[str, torch.Tensor]) -> None:
    encoder.load_state_dict(dict(weights))
