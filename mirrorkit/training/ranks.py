"""Several processes that train one model: each takes a share of every batch, all have the whole batch as negatives.

Each process has the vectors of the others without their graphs, computes the loss of the whole batch, and goes back
through its own vectors alone. So the sum over the processes, and not the mean, is the gradient of the whole batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import numpy as np

from mirrorkit.errors import ConfigError, MirrorkitError, TrainingError, first_line
from mirrorkit.extras import require
from mirrorkit.text.ragged import Ints

require("torch", extra="train")
import torch
import torch.distributed as dist
from torch import Tensor, nn

_PATIENCE = timedelta(minutes=30)  # for a process that is alive and says nothing; a dead one is noticed at once
_BUCKET = 1 << 24  # numbers of gradients that are summed at once


class Ranks:
    """This process among those that train together; alone it has no others to speak to."""

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank = rank
        self.count = count

    @property
    def leads(self) -> bool:
        """Whether this process writes and reports."""
        return self.rank == 0

    def share(self, rows: Ints) -> Ints:
        """Return this process's part of the pairs of a batch; the parts differ by one pair at the most."""
        return np.array_split(rows, self.count)[self.rank]

    def gather(self, own: Tensor, pairs: int, views: int = 2) -> Tensor:
        """Return the vectors of the whole batch [views * pairs, dim], first views first; only one's own have a graph.

        `own` [views * share, dim] are those of the share of this process; what stands behind them has no part in it.
        """
        if self.count == 1:
            return own
        sizes = [len(part) for part in np.array_split(np.arange(pairs), self.count)]
        mine = own[: views * sizes[self.rank]].float().view(views, sizes[self.rank], own.shape[-1])
        padded = mine.new_zeros(views, max(sizes), own.shape[-1])
        padded[:, : sizes[self.rank]] = mine.detach()
        received = [torch.empty_like(padded) for _ in sizes]
        with _together():
            dist.all_gather(received, padded)
        parts = [part[:, :size] for part, size in zip(received, sizes, strict=True)]
        parts[self.rank] = mine
        return torch.cat(parts, dim=1).flatten(0, 1)

    def sum_gradients(self, weights: Iterable[nn.Parameter]) -> None:
        """Give every process the sum of the gradients of all."""
        if self.count == 1:
            return
        bucket: list[Tensor] = []
        for gradient in (weight.grad for weight in weights if weight.grad is not None):
            bucket.append(gradient)
            if sum(map(Tensor.numel, bucket)) >= _BUCKET:
                _sum(bucket)
                bucket = []
        _sum(bucket)

    def same_weights(self, weights: Iterable[Tensor]) -> None:
        """Give every process the weights of the first."""
        if self.count > 1:
            with _together(), torch.no_grad():
                for weight in weights:
                    dist.broadcast(weight, 0)

    def firsts(self, value: float, device: torch.device) -> float:
        """Return the first process's value."""
        if self.count == 1:
            return value
        told = torch.tensor([value], dtype=torch.float64, device=device)
        with _together():
            dist.broadcast(told, 0)
        return float(told)

    def any(self, flag: bool, device: torch.device) -> bool:
        """Tell whether the flag is up in any process."""
        if self.count == 1:
            return flag
        told = torch.tensor([float(flag)], device=device)
        with _together():
            dist.all_reduce(told)
        return bool(told > 0)

    def stack(self, tensor: Tensor, device: torch.device) -> Tensor:
        """Return the tensors of all processes, which have one shape, as one with a new first dimension."""
        if self.count == 1:
            return tensor[None]
        received = [torch.empty_like(tensor, device=device) for _ in range(self.count)]
        with _together():
            dist.all_gather(received, tensor.to(device))
        return torch.stack(received).cpu()


def _sum(bucket: list[Tensor]) -> None:
    if not bucket:
        return
    flat = torch.cat([gradient.flatten() for gradient in bucket])
    with _together():
        dist.all_reduce(flat)
    for gradient, part in zip(bucket, torch.split(flat, [g.numel() for g in bucket]), strict=True):
        gradient.copy_(part.view_as(gradient))


def launched() -> tuple[int, int]:
    """Return the rank of this process and the number of processes, as torchrun and accelerate tell them: 0, 1 for one.

    Raises ConfigError for values that cannot be.
    """
    rank, count = (os.environ.get(name, default) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1")))
    if not (rank.isdigit() and count.isdigit() and int(rank) < int(count)):
        raise ConfigError(f"RANK {rank!r} and WORLD_SIZE {count!r}: must be a process's number and their count")
    return int(rank), int(count)


def processes_here() -> int:
    """Return how many of the processes run on this machine."""
    told = os.environ.get("LOCAL_WORLD_SIZE", "")
    return int(told) if told.isdigit() and int(told) else launched()[1]


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Yield this process among those that were launched together; a group that there is already is used as it is.

    On GPUs the process takes the one of its local number. Raises ConfigError where the others cannot be reached, or
    where there are fewer GPUs than processes.
    """
    if dist.is_available() and dist.is_initialized():
        yield Ranks(dist.get_rank(), dist.get_world_size())
        return
    rank, count = launched()
    if count == 1:
        yield Ranks()
        return
    if device == "cuda":
        local = int(os.environ.get("LOCAL_RANK", rank))
        if local >= torch.cuda.device_count():
            raise ConfigError(f"{processes_here()} processes for {torch.cuda.device_count()} GPUs: start one for each")
        torch.cuda.set_device(local)
    if device == "mps":
        raise ConfigError("device mps: only one process can train on it; use `device=cpu` for several")
    try:
        options: dict[str, Any] = {"rank": rank, "world_size": count, "timeout": _PATIENCE}
        dist.init_process_group("nccl" if device == "cuda" else "gloo", **options)
    except (RuntimeError, ValueError) as err:
        raise ConfigError(f"process {rank} of {count} cannot reach the others ({first_line(err)})") from err
    try:
        yield Ranks(rank, count)
    finally:
        dist.destroy_process_group()


@contextmanager
def told_apart() -> Iterator[None]:
    """Let an error of a process that follows another say which one it is; asked to end, it does so without a word."""
    try:
        yield
    except KeyboardInterrupt as err:
        if launched()[0]:
            raise SystemExit(getattr(err, "exit_code", 130)) from err
        raise
    except MirrorkitError as err:
        rank, count = launched()
        if rank:
            raise type(err)(f"process {rank} of 0 to {count - 1}: {err}") from err
        raise


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError as err:
        raise TrainingError("another of the processes that train together has ended, so this one ends too") from err
