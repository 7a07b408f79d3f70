"""The masked-LM loss of a BERT, and the training that turns the body of a sentence encoder into a masked LM again."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy
from torch.optim import AdamW
from transformers import BertForMaskedLM

from benchmarks.base.text import Masked, Pieces, encode, mask, pad, plan_epoch

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Healing:
    """The masked-LM training of an encoder's body."""

    steps: int = 1200
    batch_tokens: int = 2048  # a batch's size with its padding
    max_length: int = 128  # positions, [CLS] and [SEP] included
    lr: float = 5e-4
    warmup: float = 0.04  # share of all steps; then the rate falls linearly to zero
    weight_decay: float = 0.01
    share: float = 0.15  # of the words that are masked
    seed: int = 1


def masked_loss(model: BertForMaskedLM, batch: Masked) -> torch.Tensor:
    """Score the masked positions alone: the decoder costs as much as a layer if run on all."""
    with torch.autocast("cpu", torch.bfloat16):
        states = model.bert(input_ids=batch.ids, attention_mask=batch.attention).last_hidden_state
        logits = model.cls(states.flatten(0, 1)[batch.positions])  # [masked, vocab]
    return cross_entropy(logits.float(), batch.targets)


@torch.no_grad()
def held_out_loss(model: BertForMaskedLM, tokenizer: Tokenizer, texts: list[str], max_length: int = 128) -> float:
    """Average the loss in nats per masked piece over texts, each masked twice, the same way for every model."""
    pieces, lines, rng = Pieces.of(tokenizer), encode(tokenizer, texts, max_length), np.random.default_rng(0)
    model.train(False)
    total, count = 0.0, 0
    for _ in range(2):
        for rows in plan_epoch(lines.lengths, 4096, rng):
            batch = mask(pad(lines, rows, pieces.pad), pieces, 0.15, rng)
            total += float(masked_loss(model, batch)) * len(batch.targets)
            count += len(batch.targets)
    return total / count


def body_of(folder: Path) -> BertForMaskedLM:
    """Return the body of the encoder in `folder` under a fresh masked-LM head, its decoder tied to the embeddings."""
    torch.manual_seed(0)
    was = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()  # that the head is new is meant
    try:
        model: BertForMaskedLM = BertForMaskedLM.from_pretrained(folder, dtype=torch.float32)
    finally:
        transformers.logging.set_verbosity(was)
    return model


def heal(model: BertForMaskedLM, tokenizer: Tokenizer, texts: list[str], how: Healing) -> None:
    """Train `model` in place on whole-word masks of `texts`."""
    pieces, lines = Pieces.of(tokenizer), encode(tokenizer, texts, how.max_length)
    optimizer = AdamW(model.parameters(), lr=how.lr, weight_decay=how.weight_decay, fused=True)
    rng, started = np.random.default_rng(how.seed), time.monotonic()
    torch.manual_seed(how.seed)
    model.train()
    plan: list[np.ndarray[tuple[int, ...], np.dtype[np.int64]]] = []
    for step in range(how.steps):
        plan = plan or plan_epoch(lines.lengths, how.batch_tokens, rng)
        for group in optimizer.param_groups:
            group["lr"] = how.lr * _rate(step, how)
        loss = masked_loss(model, mask(pad(lines, plan.pop(), pieces.pad), pieces, how.share, rng))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % 50 == 0 or step + 1 == how.steps:
            spent = time.monotonic() - started
            log.info("step %d of %d: loss %.3f, %.0f s", step + 1, how.steps, loss.item(), spent)


def _rate(step: int, how: Healing) -> float:
    warm = max(1, int(how.warmup * how.steps))
    return (step + 1) / warm if step < warm else (how.steps - step) / max(1, how.steps - warm)
