"""Train and score once, in a process of its own: python -m benchmarks.reproduce.worker MODEL TRAINING GIVEN."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import Any

from benchmarks.reproduce.arms import Training, make
from benchmarks.reproduce.models import find_model
from benchmarks.reproduce.sets import Given, read, score
from mirrorkit.errors import MirrorkitError
from mirrorkit.machine.facts import peak_memory_bytes


def run(model: str, training: Training, given: Given) -> dict[str, Any]:
    """Return the figures of the training, the score of every row, and seconds of wall and of all threads."""
    sets = read(given)
    begun, cpu = time.perf_counter(), time.process_time()
    encoder, figures = make(find_model(model), training)
    trained, used = time.perf_counter(), time.process_time()
    scores = score(encoder, sets)
    seconds = {
        "train": trained - begun,
        "train_cpu": used - cpu,
        "score": time.perf_counter() - trained,
        "score_cpu": time.process_time() - used,
    }
    run_of = {name: value for name, value in asdict(training).items() if name in ("arm", "seed")}
    return {**run_of, **figures, "scores": scores, "seconds": seconds, "peak_memory_bytes": peak_memory_bytes()}


if __name__ == "__main__":
    try:
        name, job, paths = sys.argv[1:]
        print(json.dumps(run(name, Training(**json.loads(job)), Given(**json.loads(paths)))))
    except MirrorkitError as err:
        print(f"error: {err}", file=sys.stderr)
        sys.exit(2)
