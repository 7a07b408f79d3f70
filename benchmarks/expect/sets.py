"""What a cell is scored on: search and topics of the corpus' domain, graded sentences, words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.expect.cells import DOCUMENTS_OF
from benchmarks.record import SHARED
from benchmarks.verdict.labels import Labelled, Memo
from mirrorkit.assets.paths import HELD_OUT
from mirrorkit.evaluation.graded import read_pairs
from mirrorkit.evaluation.lexical import read_word_pairs
from mirrorkit.evaluation.search import SearchSet
from mirrorkit.evaluation.sets import KNN, RETRIEVAL, SEARCH, QuerySet, read_task_sets
from mirrorkit.machine.torch_device import pick_autocast
from mirrorkit.model.encoder import SentenceEncoder

LONGEST = 128  # tokens of a document that is scored on
STS, WORDS = "stsb-dev", "simlex999"


def labelled(corpus: str, domains: Path) -> list[Labelled]:
    """Return the sets of a corpus by the names that the record has for them; of "" those of all corpora."""
    every = [Labelled(STS, read_pairs(SHARED / "data" / "sts" / f"{STS}.tsv", score_column=0))]
    if corpus in ("words", ""):
        every.append(Labelled(WORDS, read_word_pairs(SHARED / "data" / "lexical" / f"{WORDS}.tsv")))
    for name, domain in DOCUMENTS_OF.items():
        folder = domains / domain / f"{domain}-dev"
        if corpus in (name, "") and folder.is_dir():
            sets = read_task_sets(retrieval=folder, split="dev", knn=folder.with_suffix(".tsv"))
            every += [_named(one, name) for one in sets.each()]
    if corpus in ("documentation", ""):
        (held_out,) = read_task_sets(search=HELD_OUT).each()
        every.append(_named(held_out, "documentation"))
    return every


def _named(one: QuerySet, corpus: str) -> Labelled:
    if isinstance(one.data, SearchSet):
        one = replace(one, data=replace(one.data, main="mrr_at_10"))
    kind = {RETRIEVAL: SEARCH, KNN: "topics"}.get(one.kind, one.kind)
    return Labelled(f"{kind}:{corpus}", one)


def scores(encoder: SentenceEncoder, sets: list[Labelled]) -> dict[str, float]:
    """Return the score × 100 of each: Spearman, MRR@10 of a search, accuracy of the nearest neighbours' label."""
    whole, encoder.max_length = encoder.max_length, min(LONGEST, encoder.max_length)
    memo, dtype = Memo(encoder), pick_autocast("auto", "cpu")
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        found = {one.name: one.score(one.items(memo)) for one in sets}
    encoder.max_length = whole
    return found
