"""Score a model folder on STS: python -m benchmarks.training.score MODEL STS_FOLDER DEVICE POOLING [MAX_LENGTH]."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from mirrorkit.evaluation.sts import evaluate_sts
from mirrorkit.model.encoder import SentenceEncoder


def score(model: str, sts: str, device: str, pooling: str, max_length: str | None = None) -> dict[str, Any]:
    """Return Spearman × 100 of every file in the folder, and their average."""
    encoder = SentenceEncoder.load(model, pooling=pooling, max_length=int(max_length) if max_length else None)
    tasks = sorted(file.stem for file in Path(sts).glob("*.tsv"))
    report = evaluate_sts(encoder.to(device), sts, tasks)
    return {"average": report.average, "sets": {name: found.spearman for name, found in report.tasks.items()}}


if __name__ == "__main__":
    print(json.dumps(score(*sys.argv[1:])))
