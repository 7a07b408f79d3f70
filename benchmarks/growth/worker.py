"""One point, in a process of its own: CPU seconds (user and system) beyond those of the smallest run, and the peak."""

from __future__ import annotations

import dataclasses
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from mirrorkit.machine.facts import peak_memory_bytes


@dataclass(frozen=True)
class Job:
    """What one process measures."""

    task: str  # encode, train or read
    model: str  # folder of a bundle, or of a model to train; to read none is needed
    corpus: str  # file of texts, one a line
    threads: int
    ending: str = "npy"
    batch_size: int = 200  # pairs
    max_length: int = 50  # tokens
    scratch: str | None = None  # folder for what is written
    steps: int = 0  # of a training; 0: one epoch


def measure(job: Job) -> dict[str, Any]:
    """Return the figures of one point."""
    figures = {"encode": _encode, "train": _train, "read": _read}[job.task](job)
    return {**figures, "peak_memory_bytes": peak_memory_bytes()}


def _encode(job: Job) -> dict[str, Any]:
    from mirrorkit import encode_file

    with tempfile.TemporaryDirectory(dir=job.scratch) as scratch:
        one = Path(scratch) / "one.txt"
        one.write_text("one text\n", encoding="utf-8")
        out = Path(scratch) / f"vectors.{job.ending}"

        def run(corpus: str) -> Any:
            return encode_file(job.model, corpus, out, threads=job.threads, overwrite=True)

        run(str(one))  # imports, and what is read from the disk for the first time
        start, _, _ = _spent(lambda: run(str(one)))
        cpu, wall, result = _spent(lambda: run(job.corpus))
        return {
            "units": result.texts,
            "cpu_seconds": cpu - start,
            "start_cpu_seconds": start,
            "wall_seconds": wall,
            "out_bytes": out.stat().st_size,
            "variant": result.variant,
        }


def _train(job: Job) -> dict[str, Any]:
    import torch

    from mirrorkit.model.encoder import SentenceEncoder
    from mirrorkit.training.corpus import load_corpus
    from mirrorkit.training.loop import train
    from mirrorkit.training.recipes import OFFICIAL

    torch.set_num_threads(job.threads)
    recipe = dataclasses.replace(OFFICIAL["sentence-bert"], batch_size=job.batch_size, max_length=job.max_length)
    encoder = SentenceEncoder.load(job.model, pooling=recipe.pooling, dropout=recipe.dropout)

    def run(corpus: Path | list[str], steps: int) -> Any:
        asked = dataclasses.replace(recipe, steps=steps)
        return train(encoder, load_corpus(corpus), asked, device="cpu")

    with Path(job.corpus).open(encoding="utf-8") as file:
        two = list(islice(file, 2))
    start, _, _ = _spent(lambda: run(two, 1))  # a step of two strings: what torch does once alone
    cpu, wall, stats = _spent(lambda: run(Path(job.corpus), job.steps))
    return {
        "units": stats.pairs,
        "steps": stats.steps,
        "cpu_seconds": cpu,
        "start_cpu_seconds": start,
        "wall_seconds": wall,
        "precision": stats.precision,
    }


def _read(job: Job) -> dict[str, Any]:
    from mirrorkit.training.corpus import load_corpus

    start, _, _ = _spent(lambda: load_corpus(["one", "two"]))  # imports
    cpu, wall, corpus = _spent(lambda: load_corpus(Path(job.corpus)))
    return {"units": len(corpus), "cpu_seconds": cpu, "start_cpu_seconds": start, "wall_seconds": wall}


def _spent(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Return the processor's seconds of all threads, those of the clock, and what came of it."""
    before, began = _processor(), time.perf_counter()
    found = work()
    return _processor() - before, time.perf_counter() - began, found


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    print(json.dumps(measure(Job(**json.loads(sys.argv[1])))))
