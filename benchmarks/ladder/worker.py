"""Train and score one cell: python -m benchmarks.ladder.worker '{"rung": {…}, "seed": 1, "domains": "…"}'."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.ladder.cells import Rung, base_folder, read_corpus
from benchmarks.ladder.own_views import OWN_VIEWS
from benchmarks.ladder.spread import OWN_LOSSES
from benchmarks.record import SHARED
from mirrorkit.assets.paths import GRADED
from mirrorkit.correlation import spearman
from mirrorkit.evaluation.graded import read_pairs
from mirrorkit.evaluation.pairs import GradedPairs, pair_cosines
from mirrorkit.evaluation.search import SearchSet
from mirrorkit.evaluation.sets import QuerySet, read_task_sets
from mirrorkit.formats.layout_reader import read_layout
from mirrorkit.formats.plain import plain
from mirrorkit.machine.torch_device import pick_autocast
from mirrorkit.model.backbone import width_of
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.progress import Silent
from mirrorkit.training.attempt import attempt
from mirrorkit.training.base import load_base, token_counter
from mirrorkit.training.blend import weights_of
from mirrorkit.training.corpus import Corpus
from mirrorkit.training.loop import train
from mirrorkit.training.recipe import Recipe
from mirrorkit.training.recipes import choose
from mirrorkit.training.watch import TrainStats

SHORT = 96  # tokens of a document that is searched for, in development
LONG = 128  # tokens of a test document
FEW = 300  # documents and queries of it
SEARCH = "docstrings"
SEVEN = ("sts12", "sts13", "sts14", "sts15", "sts16", "stsb-test", "sickr-test")


class Labels:
    """The labelled sets: those of development, or, for the last table, the seven sets and the test documents."""

    def __init__(self, domains: Path, *, final: bool, search: bool) -> None:
        names = (SEVEN if not search else ()) if final else ("stsb-dev", "sts16")
        files = [SHARED / "data" / "sts" / f"{name}.tsv" for name in names]
        files += [] if final else [GRADED]
        self.pairs: list[GradedPairs] = [read_pairs(file, score_column=0) for file in files]
        part = "test" if final else "dev"
        self._search: QuerySet | None = None
        if search:
            (found,) = read_task_sets(retrieval=domains / SEARCH / f"{SEARCH}-{part}", split=part).each()
            self._search = found if final else _few(found)
        self._final = final

    def score(self, encoder: SentenceEncoder) -> dict[str, float]:
        """Return Spearman × 100 of each set of pairs, and MRR@10 × 100 of the search."""
        training, whole = encoder.training, encoder.max_length
        encoder.eval()
        dtype = pick_autocast("auto", "cpu")
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            cosines = pair_cosines(encoder, self.pairs) if self.pairs else {}
            found = {one.name: 100 * spearman(cosines[one.name], one.score) for one in self.pairs}
            if self._final and found:
                found["seven"] = sum(found.values()) / len(found)
            if self._search:
                encoder.max_length = min(whole, LONG if self._final else SHORT)
                found["search"] = 100 * float(self._search.main_scores(encoder).mean())
        encoder.max_length = whole
        encoder.train(training)
        return found


def _few(given: QuerySet) -> QuerySet:
    """Return the first queries of a search, each with its document among those of the others."""
    data = given.data
    assert isinstance(data, SearchSet)
    queries = dict(list(data.queries.items())[:FEW])
    relevant = {query: data.relevant[query] for query in queries}
    documents = {one: data.documents[one] for grades in relevant.values() for one in grades}
    return dataclasses.replace(
        given, data=dataclasses.replace(data, queries=queries, documents=documents, relevant=relevant)
    )


class Curve:
    """Scores the encoder after some steps; what that costs is none of the training's CPU seconds."""

    def __init__(self, encoder: SentenceEncoder, labels: Labels, at: Sequence[int]) -> None:
        self._encoder, self._labels, self._at = encoder, labels, set(at)
        self._start, self._scoring = time.process_time(), 0.0
        self.points: dict[str, dict[str, float]] = {}

    def after_step(self, done: int, total: int) -> None:
        """Add a point, if it is one of those asked for; the last one is scored when all is done."""
        if done in self._at and done < total:
            begun = time.process_time()
            self.points[str(done)] = {"cpu": self.cpu(), **self._labels.score(self._encoder)}
            self._scoring += time.process_time() - begun

    def cpu(self) -> float:
        """Return the CPU seconds so far."""
        return time.process_time() - self._start - self._scoring


def before(rung: Rung, *, gently: bool) -> dict[str, Any]:
    """Return what `auto` took before the ladder was climbed, so that a rung stays what it was."""
    crops = rung.changes.get("views") == "crop" or any(name in rung.corpus for name in ("docstrings", "manuals"))
    found: dict[str, Any] = {"shuffle": 0.0, "decoupled": False, "average_last": 0.0, "crop": "100,250"}
    if not gently:
        found["learning_rate"] = 2e-4 if crops else 1e-4
        found |= {} if crops else {"batch_size": 200, "temperature": 0.07}
    return found if crops or rung.views else found | {"span_mask": 10}


def settle(rung: Rung, corpus: Corpus) -> Recipe:
    """Return what `auto` takes for this corpus and base, with the changes of the rung."""
    folder = base_folder(rung.base)
    layout = read_layout(folder)
    changes = rung.changes if rung.now else before(rung, gently=layout.named) | rung.changes
    return choose(
        "auto",
        width=width_of(layout, trust_remote_code=False),
        own_pooling=layout.pooling if layout.named else None,
        texts=corpus.texts,
        changes=changes | ({"views": OWN_VIEWS[rung.views]} if rung.views else {}),  # type: ignore[arg-type]  # they come from JSON and are checked there
        count_tokens=token_counter(folder, layout, False),
    )


def run(rung: Rung, seed: int, domains: Path, *, final: bool) -> dict[str, Any]:
    """Train as often as the rung has members, and return the scores, the CPU seconds and the recipe."""
    labels = Labels(domains, final=final, search=rung.search)
    parts = [dataclasses.replace(rung, corpus=names) for names in rung.corpus.split("|")]
    corpora = [(part, read_corpus(part.corpus, domains)) for part in parts]
    members = max(rung.members, len(corpora))
    points: dict[str, dict[str, float]] = {}
    total: dict[str, torch.Tensor] = {}
    cpu, steps = 0.0, 0
    for number in range(members):
        part, corpus = corpora[number % len(corpora)]
        recipe = settle(part, corpus)
        encoder = load_base(base_folder(rung.base), recipe, "cpu", False, compare=False)
        curve = Curve(encoder, labels, rung.at)

        def fit(
            given: SentenceEncoder,
            data: Corpus,
            settings: Recipe,
            after_step: Callable[[int, int], None] | None = None,
            own: int = seed + number,
            curve: Curve = curve,
        ) -> TrainStats:
            return train(
                given,
                data,
                settings,
                seed=own,
                device="cpu",
                after_step=after_step or curve.after_step,
                make_views=OWN_VIEWS.get(rung.views),
                loss=OWN_LOSSES.get(rung.loss),
            )

        done = attempt(fit, encoder, corpus, recipe, seed + number, Silent(), leads=True, dev=[])
        cpu, steps = cpu + curve.cpu(), done.stats.steps
        points |= curve.points
        if members > 1:
            points[f"member {number + 1}"] = {"cpu": curve.cpu(), **labels.score(encoder)}
            for name, tensor in weights_of(encoder).items():
                total[name] = total[name] + tensor if name in total else tensor
    if members > 1:
        mean = {name: t / members if t.is_floating_point() else t // members for name, t in total.items()}
        encoder.load_state_dict(mean)
    points[str(steps)] = {"cpu": cpu, **labels.score(encoder)}
    return {"steps": steps, "recipe": plain(recipe), "strings": len(corpus), "points": points}


def main(argument: str) -> None:
    """Print the figures as one line of JSON."""
    given = json.loads(argument)
    fields = {one.name for one in dataclasses.fields(Rung)}
    rung = Rung(**{name: value for name, value in given["rung"].items() if name in fields})
    print(json.dumps(run(rung, given["seed"], Path(given["domains"]), final=given.get("final", False))))


if __name__ == "__main__":
    main(sys.argv[1])
