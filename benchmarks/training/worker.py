"""Time a bounded number of training steps of one variant; `benchmarks.train` starts a fresh process for each."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.training import official
from mirrorkit.formats.pooling import Pooling
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.training.corpus import load_corpus
from mirrorkit.training.layers import last_layers
from mirrorkit.training.loop import train
from mirrorkit.training.recipes import OFFICIAL

PRECISIONS = {"official": None, "ours-fp32": "fp32", "ours": "auto"}  # variant -> what our trainer is asked for


@dataclass(frozen=True)
class Job:
    """What one process measures."""

    variant: str
    base: str
    sample: str  # file of (warmup_steps + steps) * batch_size distinct strings, one a line
    steps: int
    warmup_steps: int  # trained before the clock starts
    batch_size: int  # pairs
    max_length: int  # tokens
    pooling: str  # mean or cls; the official mean is that over padding
    device: str
    threads: int
    seed: int
    loader_workers: int  # of the official data loader
    train_layers: int = 0  # the last ones that alone are trained, by ours; 0: all


def measure(job: Job) -> dict[str, Any]:
    """Warm up, train, and return the figures of the second part alone; tokenising is in the pairs per second."""
    torch.set_num_threads(job.threads)
    texts = Path(job.sample).read_text(encoding="utf-8").split("\n")
    cut = job.warmup_steps * job.batch_size
    parts = [part for part in (texts[:cut], texts[cut:]) if part]
    figures = _official(job, parts) if job.variant == "official" else _ours(job, parts)
    assert figures["steps"] == job.steps, f"{figures['steps']} steps were trained, not {job.steps}"
    seconds = figures["tokenise_seconds"] + figures["train_seconds"]
    return {"variant": job.variant, "pairs_per_second": figures["pairs"] / seconds, **figures}


def _official(job: Job, parts: list[list[str]]) -> dict[str, Any]:
    settings = official.Settings(
        batch_size=job.batch_size,
        max_length=job.max_length,
        pooling=job.pooling,
        loader_workers=job.loader_workers,
        seed=job.seed,
    )
    encoder, tokenizer = official.load(job.base, settings, job.device)
    stats = [official.train(encoder, tokenizer, part, settings) for part in parts][-1]
    return {"precision": "fp16" if job.device == "cuda" else "fp32", **dataclasses.asdict(stats)}


def _ours(job: Job, parts: list[list[str]]) -> dict[str, Any]:
    recipe = dataclasses.replace(
        OFFICIAL["sentence-bert"],
        batch_size=job.batch_size,
        max_length=job.max_length,
        pooling=Pooling(job.pooling),
    )
    encoder = SentenceEncoder.load(job.base, pooling=recipe.pooling, dropout=recipe.dropout)
    options = {"seed": job.seed, "device": job.device, "autocast": str(PRECISIONS[job.variant])}
    with last_layers(encoder, job.train_layers):
        for part in parts:
            start = time.process_time()
            stats = train(encoder, load_corpus(part), recipe, **options)  # type: ignore[arg-type]
            spent = time.process_time() - start  # with tokenising and reading the few strings
    return {**dataclasses.asdict(stats), "cpu_seconds": spent}


if __name__ == "__main__":
    print(json.dumps(measure(Job(**json.loads(sys.argv[1])))))
