"""Measure one cell in a process of its own: python -m benchmarks.expect.worker CELL_AS_JSON DOMAINS."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.expect.cells import AS_IS, RECIPES, Cell, base_folder, drawn, texts_of
from benchmarks.expect.sets import labelled, scores
from mirrorkit.errors import ConfigError, MirrorkitError
from mirrorkit.formats.plain import plain
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.training.corpus import load_corpus
from mirrorkit.training.finetune import finetune


def measure(cell: Cell, domains: Path) -> dict[str, Any]:
    """Train, score and return what the record keeps; CPU seconds are of all threads, without reading the corpus."""
    sets = labelled(cell.corpus, domains)
    found: dict[str, Any] = asdict(cell)
    if cell.recipe == AS_IS:
        encoder = SentenceEncoder.load(base_folder(cell.base))
    else:
        texts = texts_of(cell.corpus, domains)
        count = drawn(cell.size, len(texts))
        if count is None:
            raise ConfigError(f"{cell.name}: the corpus has {len(texts)} strings only")
        corpus = list(load_corpus(texts, limit=count, seed=cell.seed).texts)
        start = time.process_time()
        result = finetune(base_folder(cell.base), corpus, seed=cell.seed, verdict=False, **RECIPES[cell.recipe])
        found["train_cpu_seconds"] = time.process_time() - start
        encoder = result.encoder
        found |= {
            "strings": count,
            "corpus_strings": len(texts),
            "views": str(result.recipe.views),
            "steps": result.stats.steps,
            "pairs": result.stats.pairs,
            "precision": result.stats.precision,
            "settings": plain(result.recipe),
        }
    start = time.process_time()
    found["scores"] = scores(encoder, sets)
    found["score_cpu_seconds"] = time.process_time() - start
    return found


if __name__ == "__main__":
    try:
        print(json.dumps(measure(Cell(**json.loads(sys.argv[1])), Path(sys.argv[2]))))
    except MirrorkitError as err:
        print(f"error: {err}", file=sys.stderr)
        sys.exit(2)
