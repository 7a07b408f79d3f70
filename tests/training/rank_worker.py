"""One of several processes that train together: gradients of some batches, then a short training.

Run with the folder of a model, a folder to meet in, the number of this process, and the sizes of the groups, one after
the other.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor

from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.text.ragged import Ints
from mirrorkit.training import loop
from mirrorkit.training.corpus import load_corpus
from mirrorkit.training.loop import train
from mirrorkit.training.objective import Batch, Objective
from mirrorkit.training.own import OwnLoss
from mirrorkit.training.passes import gradients, plan_passes
from mirrorkit.training.ranks import Ranks, joined
from mirrorkit.training.recipe import Recipe

TEXTS = [f"{'a ' * (i % 7)}sentence about the number {i}{' and more of it' * (i % 5)}" for i in range(22)]
BATCHES = [12, 7, 4, 2]  # pairs: even, uneven, and fewer than processes


def alignment(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Return a loss of a user's own, over the whole batch."""
    apart = (first[:, None] - second[None]).square().sum(dim=-1)
    return apart.diagonal().mean() + torch.logsumexp(-apart.flatten() / temperature, dim=0)


PARTS: dict[str, Any] = {"hard_negatives": 0.5, "decoupled": True}
LOSSES: dict[str, tuple[OwnLoss | None, int, dict[str, Any]]] = {
    "batch": (None, 2, {}),
    "own": (alignment, 2, {}),
    "negatives": (None, 3, {}),
    "parts": (None, 2, PARTS),
    "cuts": (None, 2, {"matryoshka": "5,16"}),
}


def batch_gradients(
    encoder: SentenceEncoder,
    ranks: Ranks,
    pairs: int,
    loss_of: OwnLoss | None = None,
    each: int = 2,
    parts: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Tensor]:
    """Return the loss and the gradients of a batch in which one string occurs twice, of `each` views a pair."""
    views = encoder.tokenize([text for i in range(each) for text in TEXTS[3 * i : pairs + 3 * i]])
    rows: Ints = np.arange(pairs)
    labels = torch.arange(pairs).repeat(each)
    if pairs > 2:
        labels[[pairs - 1, 2 * pairs - 1]] = 0
    draw = loop._Draw(views, None, [rows], rows, each)
    own = draw.both(ranks.share(rows))
    passes = plan_passes(encoder, draw.views.lengths[own], encoder.max_length)
    encoder.zero_grad()
    objective = Objective(encoder, Recipe(temperature=0.2, **parts), ranks, loss_of)
    loss = gradients(encoder, draw.views, own, passes, objective.of(Batch(rows, labels, each)))
    found = {name: p.grad for name, p in encoder.named_parameters() if p.grad is not None}
    ranks.sum_gradients(encoder.parameters())
    return {"loss": loss, **{name: gradient.clone() for name, gradient in found.items()}}


def short_training(model: Path, ranks: Ranks) -> dict[str, Tensor]:
    """Return a digest of the weights after a training with dropout, and the seed of the dropout in this process."""
    seeds: list[int] = []
    encoder = SentenceEncoder.load(model, dropout=0.1)
    encoder.register_forward_pre_hook(lambda module, given: seeds.append(torch.initial_seed()))
    recipe = Recipe(batch_size=8, steps=3, max_length=24)
    stats = train(encoder, load_corpus(TEXTS), recipe, device="cpu", autocast="fp32", ranks=ranks)
    assert stats.processes == ranks.count
    digest = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in encoder.parameters())).digest()
    return {
        "weights": torch.frombuffer(bytearray(digest), dtype=torch.uint8),
        "seed": torch.tensor(seeds[0]),
        "pairs": torch.tensor(stats.pairs),
    }


def main(model: Path, meeting: Path, rank: int, sizes: list[int]) -> None:
    """Take part in the groups that are large enough to have this process in them."""
    torch.set_num_threads(1)
    for size in sizes:
        if rank >= size:
            continue
        dist.init_process_group("gloo", init_method=f"file://{meeting}/group-{size}", rank=rank, world_size=size)
        encoder = SentenceEncoder.load(model, dropout=0.0).train()
        with joined("cpu") as ranks:
            for pairs in BATCHES:
                for name, (own, each, parts) in LOSSES.items():
                    found = batch_gradients(encoder, ranks, pairs, own, each, parts)
                    save_file(found, meeting / f"{size}-{rank}-{name}-{pairs}")
            save_file(short_training(model, ranks), meeting / f"{size}-{rank}-training")
        dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), [int(size) for size in sys.argv[4:]])
