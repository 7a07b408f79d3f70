"""Time the trainer of sentence-transformers on pairs of a text and itself, in its own environment, without mirrorkit.

Its users are told to do this for an unsupervised start (its SimCSE example): MultipleNegativesRankingLoss on (x, x),
by SentenceTransformerTrainer with its defaults; padding to the longest of a side is its own.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.losses import MultipleNegativesRankingLoss
from sentence_transformers.models import Pooling, Transformer
from transformers import TrainerCallback


class Clock(TrainerCallback):  # type: ignore[misc]  # it has no types where mirrorkit is checked
    """Takes the time after the steps of the warm-up and after the last one."""

    def __init__(self, warmup_steps: int) -> None:
        self._warmup_steps = warmup_steps
        self.begin = self.end = 0.0

    def on_train_begin(self, *_given: Any, **_more: Any) -> None:
        """Begin with the first step, where there is no warm-up."""
        self.begin = time.perf_counter()

    def on_step_end(self, _args: Any, state: Any, _control: Any, **_more: Any) -> None:
        """Take the time."""
        self.end = time.perf_counter()
        if state.global_step == self._warmup_steps:
            self.begin = self.end


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Train, and return the figures of the steps after the warm-up."""
    torch.set_num_threads(job["threads"])
    texts = Path(job["sample"]).read_text(encoding="utf-8").split("\n")
    body = Transformer(job["base"], max_seq_length=job["max_length"])
    model = SentenceTransformer(modules=[body, Pooling(body.get_embedding_dimension(), job["pooling"])], device="cpu")
    bf16 = job["variant"].endswith("bf16")
    clock = Clock(job["warmup_steps"])
    with tempfile.TemporaryDirectory() as scratch:
        settings = SentenceTransformerTrainingArguments(
            output_dir=scratch,
            max_steps=job["warmup_steps"] + job["steps"],
            per_device_train_batch_size=job["batch_size"],
            bf16=bf16,
            use_cpu=True,
            seed=job["seed"],
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        data = Dataset.from_dict({"anchor": texts, "positive": texts})
        trainer = SentenceTransformerTrainer(
            model, settings, train_dataset=data, loss=MultipleNegativesRankingLoss(model), callbacks=[clock]
        )
        done = trainer.train()
    pairs, seconds = job["steps"] * job["batch_size"], clock.end - clock.begin
    return {
        "variant": job["variant"],
        "precision": "bf16" if bf16 else "fp32",
        "steps": job["steps"],
        "pairs": pairs,
        "loss": done.training_loss,  # of the warm-up too
        "pairs_per_second": pairs / seconds,
        "train_seconds": seconds,
        "peak_memory_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "peak_device_memory_bytes": None,
    }


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
