"""The training loop, top to bottom: (encoder, corpus, recipe) in, a trained encoder and its figures out."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mirrorkit.batching import Ints, RaggedIds, homogeneous_chunks, pad_batch
from mirrorkit.device import pick_device, pick_precision, precision_name
from mirrorkit.environment import peak_memory_bytes
from mirrorkit.errors import ConfigError, TrainingError
from mirrorkit.extras import require
from mirrorkit.layout import Pooling
from mirrorkit.model import SentenceEncoder
from mirrorkit.training.corpus import Corpus
from mirrorkit.training.drophead import drophead
from mirrorkit.training.loss import nt_xent
from mirrorkit.training.recipes import Recipe
from mirrorkit.training.views import mask_spans

require("torch", extra="train")
import torch
from torch import Tensor

# What one more pass through the encoder costs, in tokens: the time the machine takes to start it, measured as the
# number of tokens it could have worked on meanwhile. A GPU is so fast that it prefers few large passes.
_PASS_OVERHEAD = {"cpu": 64, "cuda": 8192, "mps": 2048}


@dataclass(frozen=True)
class Step:
    """What the progress bar shows; the loss is that of the last step."""

    done: int
    total: int
    loss: float
    pairs_per_second: float


@dataclass(frozen=True)
class TrainStats:
    """Figures of one training run."""

    steps: int
    pairs: int  # trained on, over all epochs
    loss: float  # mean over the last tenth of the steps
    tokenise_seconds: float
    train_seconds: float
    device: str
    precision: str
    peak_memory_bytes: int | None  # of this process
    peak_device_memory_bytes: int | None  # of the GPU, where there is one


def train(
    encoder: SentenceEncoder,
    corpus: Corpus,
    recipe: Recipe,
    *,
    seed: int = 42,
    device: str = "auto",
    precision: str = "auto",
    on_step: Callable[[Step], None] | None = None,
) -> TrainStats:
    """Fine-tune `encoder` in place; on a CPU the same seed gives the same bits.

    Dropout is the encoder's own: load it with `dropout=recipe.dropout`. Afterwards the encoder is in evaluation mode,
    on the device it was trained on. Raises TrainingError when the loss is no longer a number, ConfigError for a
    device or precision that is not there.
    """
    target = torch.device(pick_device(device))
    dtype = pick_precision(precision, target.type)
    encoder.to(target).train()
    steps_per_epoch = max(1, round(len(corpus) / recipe.batch_size))
    total = steps_per_epoch * recipe.epochs
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(
        encoder.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=target.type != "mps"
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(step, total, recipe))
    scaler = torch.amp.GradScaler(target.type, enabled=dtype == torch.float16)
    watch = _Watch(total, on_step)
    if target.type == "cuda":
        torch.cuda.reset_peak_memory_stats(target)

    with _seeded(seed, target), drophead(encoder.backbone, recipe.drophead):
        for _ in range(recipe.epochs):
            with watch.tokenising():
                views, labels = tokenise_views(encoder, corpus, recipe, rng)
            for rows in np.array_split(rng.permutation(len(corpus)), steps_per_epoch):
                both = np.concatenate([rows, rows + len(corpus)])
                with torch.autocast(target.type, dtype=dtype, enabled=dtype != torch.float32):
                    vectors = embed(encoder, views, both, recipe.max_length)
                same = torch.from_numpy(labels[both]).to(target) if labels is not None else None
                loss = nt_xent(vectors, recipe.temperature, same)
                optimizer.zero_grad(set_to_none=True)
                scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
                scaler.step(optimizer)
                scaler.update()
                schedule.step()
                watch.step(loss, len(rows))
    encoder.eval()
    stats = watch.stats(target, dtype)
    _check_sound(encoder, corpus.texts[:8])
    return stats


def _check_sound(encoder: SentenceEncoder, texts: list[str]) -> None:
    # The losses are those before each step, so they cannot tell what the last step did to the weights.
    finite = all(bool(torch.isfinite(p).all()) for p in encoder.parameters())
    if not finite or not np.isfinite(encoder.encode(texts)).all():
        raise TrainingError("the last step broke the weights (NaN or infinity); lower --lr or use --precision fp32")


def embed(encoder: SentenceEncoder, ids: RaggedIds, rows: Ints, max_length: int) -> Tensor:
    """Return the vectors of `rows` [len(rows), dim] through a few passes over texts of similar length.

    The same numbers and gradients as one padded pass, without the work on padding.
    """
    lengths = ids.lengths[rows]
    padded = encoder.pooling is Pooling.MEAN_PADDED
    overhead = _PASS_OVERHEAD.get(encoder.device.type, _PASS_OVERHEAD["cuda"])
    chunks = [np.arange(len(rows))] if padded else homogeneous_chunks(lengths, overhead)
    outputs = []
    for chunk in chunks:
        input_ids, mask = pad_batch(ids, rows[chunk], encoder.tokenizer.pad_token_id, max_length if padded else None)
        tensors = (torch.from_numpy(a).to(encoder.device, non_blocking=True) for a in (input_ids, mask))
        outputs.append(encoder(*tensors).sentence_embedding)
    back = np.argsort(np.concatenate(chunks))
    return torch.cat(outputs)[torch.from_numpy(back).to(encoder.device)]


def tokenise_views(
    encoder: SentenceEncoder, corpus: Corpus, recipe: Recipe, rng: np.random.Generator
) -> tuple[RaggedIds, Ints | None]:
    """Return the ids of all first views followed by all second views, and labels [2n] where strings repeat.

    Two views have the same label when their unmasked strings have the same tokens, as an uncased tokenizer makes of
    "May" and "may"; None says that no string occurs twice.
    """
    others = corpus.partners if corpus.partners is not None else corpus.texts
    mask_token = encoder.tokenizer.mask_token
    if recipe.span_mask and mask_token is None:
        raise ConfigError("this tokenizer has no mask token; use --span-mask 0")
    masked = mask_spans(others, width=recipe.span_mask, shortest=recipe.mask_from, mask_token=mask_token, rng=rng)
    first = encoder.tokenize(corpus.texts, recipe.max_length)
    second = encoder.tokenize(masked, recipe.max_length) if masked != corpus.texts else first
    views = RaggedIds(
        np.concatenate([first.flat, second.flat]), np.concatenate([first.starts, second.starts[1:] + first.starts[-1]])
    )
    plain = first if corpus.partners is None else encoder.tokenize(others, recipe.max_length)
    numbers: dict[bytes, int] = {}
    labels = np.array(
        [numbers.setdefault(ids[i].tobytes(), len(numbers)) for ids in (first, plain) for i in range(len(ids))]
    )
    distinct = len(labels) if corpus.partners is not None else len(labels) // 2
    return views, labels if len(numbers) < distinct else None


def rate_factor(step: int, total: int, recipe: Recipe) -> float:
    """Return the share of the peak learning rate at `step`, counted from 0."""
    warm = math.ceil(recipe.warmup * total)
    if step < warm:
        return (step + 1) / (warm + 1)
    return max(0.0, (total - step) / max(1, total - warm)) if recipe.decay else 1.0


@contextlib.contextmanager
def _seeded(seed: int, device: Any) -> Iterator[None]:
    """Seed torch for the block and leave the caller's generators as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


class _Watch:
    """Time, loss and progress; reads the loss rarely, since reading it makes a GPU wait."""

    _EVERY = 0.25  # seconds between two reports

    def __init__(self, total: int, on_step: Callable[[Step], None] | None) -> None:
        self._total = total
        self._on_step = on_step
        self._losses: list[Tensor] = []
        self._pairs = 0
        self._tokenise = 0.0
        self._start = self._reported = time.perf_counter()

    @contextlib.contextmanager
    def tokenising(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._tokenise += time.perf_counter() - start

    def step(self, loss: Tensor, pairs: int) -> None:
        self._losses.append(loss.detach())
        self._pairs += pairs
        now = time.perf_counter()
        if now - self._reported < self._EVERY and len(self._losses) < self._total:
            return
        self._reported = now
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss is {value} at step {len(self._losses)}; lower --lr, raise --temperature or use "
                "--precision fp32"
            )
        if self._on_step:
            self._on_step(Step(len(self._losses), self._total, value, self._pairs / self._training(now)))

    def _training(self, now: float) -> float:
        return max(1e-9, now - self._start - self._tokenise)

    def stats(self, device: Any, dtype: Any) -> TrainStats:
        tail = self._losses[-max(1, len(self._losses) // 10) :]
        loss = float(torch.stack(tail).mean())  # waits for the device, so the clock is read after it
        return TrainStats(
            steps=len(self._losses),
            pairs=self._pairs,
            loss=loss,
            tokenise_seconds=self._tokenise,
            train_seconds=self._training(time.perf_counter()),
            device=str(device),
            precision=precision_name(dtype),
            peak_memory_bytes=peak_memory_bytes(),
            peak_device_memory_bytes=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        )
