"""What a cross-encoder in between teaches a bi-encoder on a corpus' own pairs: python -m benchmarks.trans_encoder.

A bi-encoder tuned by `auto` scores pairs of the corpus, half of them near neighbours and half random ones. A
cross-encoder of the same base, which reads both strings at once, learns these scores (binary cross-entropy with soft
labels) and scores the pairs anew; the bi-encoder learns that (squared error of its cosine). One cycle, no label.

Source: Liu et al. 2022 (Trans-Encoder, arXiv:2109.13059), whose published code begins the cross-encoder with the base
too, and trains it on the pairs of the STS sets themselves in both orders, the bi-encoder for ten epochs, in three
cycles; here everything is to take five minutes of two cores.

python -m benchmarks.trans_encoder --seeds 1 2 3   # goes on where it was stopped
python -m benchmarks.trans_encoder --report        # the section of ladder.md from the records alone
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import record as files
from benchmarks.ladder.cells import Rung, base_folder, read_corpus
from benchmarks.ladder.table import PAGE
from benchmarks.ladder.worker import Labels, settle
from benchmarks.trans_encoder_report import PREFIX, SECTION, section
from mirrorkit.correlation import spearman
from mirrorkit.errors import ConfigError, MirrorkitError, TrainingError
from mirrorkit.formats.json_file import read_object
from mirrorkit.machine.torch_device import autocast_name, pick_autocast
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.text.ragged import Floats, Ints, token_budget_batches
from mirrorkit.training.base import load_base
from mirrorkit.training.dropout import cheap_dropout
from mirrorkit.training.loop import train
from mirrorkit.training.recipe import Recipe
from mirrorkit.training.schedule import rate_factor

DTYPE = pick_autocast("auto", "cpu")
_WINDOW = 8  # batches that are sorted by length together
_PLAN = Recipe(warmup=0.1, decay=True)
_LONGEST_STEP = 1.0  # norm of the gradient above which it is shortened
_AT_ONCE = 2_048  # tokens in a pass without a gradient

Loss = Callable[[Ints], Tensor]


@dataclass(frozen=True)
class Settings:
    """What a cell is made of."""

    base: str = "minilm-mlm"
    corpus: str = "sentences"  # of the ladder's corpora
    pairs: int = 3_000  # one for each of so many strings
    near: int = 8  # a near neighbour is drawn from so many
    length: int = 32  # tokens of a string, as in the paper; of a pair twice as many
    cross_rate: float = 2e-4
    cross_batch: int = 32
    cross_epochs: int = 1
    bi_rate: float = 1e-4
    bi_batch: int = 128
    bi_epochs: int = 2


class CrossEncoder(nn.Module):
    """Reads both strings of a pair at once and says how alike they are, by a body and a last layer of its own."""

    def __init__(self, encoder: SentenceEncoder, length: int) -> None:
        super().__init__()
        self.encoder, self._length = encoder, 2 * length
        self.last = nn.Linear(encoder.width, 1)

    def forward(self, left: Sequence[str], right: Sequence[str]) -> Tensor:
        """Return the logit of each pair, [pairs]."""
        given = self.encoder.tokenizer(
            list(left), list(right), padding=True, truncation=True, max_length=self._length, return_tensors="pt"
        )
        states = self.encoder.backbone(**given).last_hidden_state  # [pairs, seq, width]
        logits: Tensor = self.last(states[:, 0]).squeeze(1).float()
        return logits

    def score(self, left: Sequence[str], right: Sequence[str]) -> Floats:
        """Return the logits of many pairs, [pairs], without a gradient and without dropout."""
        self.eval()
        found = np.empty(len(left), dtype=np.float32)
        lengths = np.array([len(a.split()) + len(b.split()) for a, b in zip(left, right, strict=True)])
        with torch.inference_mode(), half():
            for rows in token_budget_batches(lengths, _AT_ONCE):
                found[rows] = self([left[i] for i in rows], [right[i] for i in rows]).numpy()
        return found


def half() -> torch.autocast:
    """Return the precision in which everything is computed, as the product picks it."""
    return torch.autocast("cpu", DTYPE, enabled=torch.float32 != DTYPE)


def draw_pairs(vectors: Floats, near: int, rng: np.random.Generator) -> Ints:
    """Return a partner for each of the unit `vectors` [n, dim], as places [n, 2] in either order.

    Half of the partners are drawn from the `near` nearest others, half from all others.
    """
    count = len(vectors)
    if not 0 < near < count:
        raise ConfigError(f"near {near}: must be at least 1 and below the {count} strings")
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    nearest = np.argpartition(-cosines, near - 1, axis=1)[:, :near]
    own = np.arange(count)
    close = nearest[own, rng.integers(near, size=count)]
    far = (own + rng.integers(1, count, size=count)) % count
    pairs = np.stack([own, np.where(rng.permutation(count) % 2 == 0, close, far)], axis=1)
    turned = rng.random(count) < 0.5
    pairs[turned] = pairs[turned][:, ::-1]
    return pairs


def batches(lengths: Ints, size: int, rng: np.random.Generator) -> Iterator[Ints]:
    """Yield every row once in batches of `size`, each of similar lengths; what is left over is a smaller one."""
    order = rng.permutation(len(lengths))
    found: list[Ints] = []
    for start in range(0, len(order), size * _WINDOW):
        window = order[start : start + size * _WINDOW]
        window = window[np.argsort(lengths[window], kind="stable")]
        found += [window[i : i + size] for i in range(0, len(window), size)]
    yield from (found[i] for i in rng.permutation(len(found)))


def fit(model: nn.Module, loss_of: Loss, steps: Sequence[Ints], rate: float) -> float:
    """Train `model` in place, a step for each of the batches of rows; return the mean loss of the last tenth."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=_PLAN.weight_decay, fused=True)
    losses = []
    for step, rows in enumerate(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * rate_factor(step, len(steps), _PLAN)
        with half():
            loss = loss_of(rows)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), _LONGEST_STEP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
    model.eval()
    if not np.isfinite(losses).all():
        raise TrainingError("the loss is no longer a number; lower the rate")
    return float(np.mean(losses[-max(1, len(losses) // 10) :]))


class Clock:
    """CPU seconds of the stages; scoring is none of them."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.seconds[stage] = time.process_time() - start


def measure(settings: Settings, seed: int) -> dict[str, Any]:
    """Run one cycle and return the scores of the three models, and what each stage took."""
    labels, clock, scores = Labels(Path(), final=False, search=False), Clock(), {}
    corpus = read_corpus(settings.corpus, Path())
    recipe = settle(Rung("auto", settings.corpus, base=settings.base, now=True), corpus)
    rng, folder = np.random.default_rng(seed), base_folder(settings.base)
    torch.manual_seed(seed)
    if not 1 < settings.pairs <= len(corpus):
        raise ConfigError(f"pairs {settings.pairs}: must be from 2 to {len(corpus)}, the strings of the corpus")

    with clock("auto"):
        bi = load_base(folder, recipe, "cpu", False, compare=False)
        train(bi, corpus, recipe, seed=seed, device="cpu")
    scores["auto"] = labels.score(bi)
    texts = [corpus.texts[i] for i in np.sort(rng.choice(len(corpus), settings.pairs, replace=False)).tolist()]
    with clock("pairs"), half():
        vectors = bi.encode(texts)
        pairs = draw_pairs(vectors, settings.near, rng)
        own = np.einsum("nd,nd->n", vectors[pairs[:, 0]], vectors[pairs[:, 1]]).clip(0, 1)
    left, right = ([texts[i] for i in column] for column in pairs.T.tolist())
    ids = bi.tokenize(texts, settings.length)
    lengths = ids.lengths[pairs].sum(axis=1)

    def steps(epochs: int, size: int) -> list[Ints]:
        return [rows for _ in range(epochs) for rows in batches(lengths, size, rng)]

    with clock("cross-encoder"):
        cross = CrossEncoder(load_base(folder, recipe, "cpu", False, compare=False), settings.length)
        soft = torch.from_numpy(own)

        def cross_entropy(rows: Ints) -> Tensor:
            logits = cross([left[i] for i in rows], [right[i] for i in rows])
            return nn.functional.binary_cross_entropy_with_logits(logits, soft[rows])

        with cheap_dropout(cross.encoder):
            fit(cross, cross_entropy, steps(settings.cross_epochs, settings.cross_batch), settings.cross_rate)
    scores["cross-encoder"] = {
        one.name: 100 * spearman(cross.score(one.left, one.right), one.score) for one in labels.pairs
    }
    with clock("its scores"):
        taught = 1 / (1 + np.exp(-cross.score(left, right)))
    with clock("bi-encoder"):
        target = torch.from_numpy(taught)

        def squared_error(rows: Ints) -> Tensor:
            arrays = bi.batch(ids, pairs[rows].T.ravel())
            first, second = bi(*map(torch.from_numpy, arrays)).sentence_embedding.chunk(2)
            return nn.functional.mse_loss(nn.functional.cosine_similarity(first, second), target[rows])

        with cheap_dropout(bi):
            fit(bi, squared_error, steps(settings.bi_epochs, settings.bi_batch), settings.bi_rate)
    scores["bi-encoder"] = labels.score(bi)
    return {
        "settings": asdict(settings),
        "seed": seed,
        "precision": autocast_name(DTYPE),
        "scores": scores,
        "cpu_seconds": clock.seconds,
        "agreement": 100 * spearman(own, taught),  # of the two teachers, on the pairs that were trained on
        "mean_label": {"auto": float(own.mean()), "cross-encoder": float(taught.mean())},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is not in the record yet, then make the section; return the exit code."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.trans_encoder", description=__doc__, formatter_class=plain
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    for name, value in asdict(Settings()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value, help="(%(default)s)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="measure nothing")
    parser.add_argument("--results", type=Path, default=files.RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    args = parser.parse_args(arguments)
    try:
        settings = Settings(**{name: getattr(args, name) for name in asdict(Settings())})
        for seed in [] if args.report else args.seeds:
            _keep(settings, seed, args)
        files.update_section(args.page, SECTION, section(args.results))
    except MirrorkitError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    return 0


def _keep(settings: Settings, seed: int, args: argparse.Namespace) -> None:
    """Measure a cell and write it to this machine's record, unless it is there."""
    torch.set_num_threads(args.threads)
    about = files.machine(None, "torch", "transformers", "tokenizers", "numpy")
    file = args.results / f"{PREFIX}{files.slug(about['hardware']['cpu'])}.json"
    cells = read_object(file)["cells"] if file.is_file() else []
    if any(cell["settings"] == asdict(settings) and cell["seed"] == seed for cell in cells):
        return
    found = measure(settings, seed)
    today = f"{datetime.now(timezone.utc):%Y-%m-%d}"
    files.write_json(file, {**about, "date": today, "threads": args.threads, "cells": [*cells, found]})
    print(seed, json.dumps(found["scores"]), json.dumps(found["cpu_seconds"]), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
