"""What a training run tells: time, loss, speed, how far it is, a line of figures a step, and its memory."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from mirrorkit.errors import OutputError, TrainingError
from mirrorkit.extras import require
from mirrorkit.formats.training_record import MemoryRecord
from mirrorkit.machine.facts import cpu_name, peak_memory_bytes, usable_cores
from mirrorkit.machine.torch_device import autocast_name
from mirrorkit.progress import Progress
from mirrorkit.training.average import LastMean
from mirrorkit.training.passes import Budget
from mirrorkit.training.schedule import Schedule
from mirrorkit.training.tracker import Tracker, open_tracker

require("torch", extra="train")
import torch
from torch import Tensor

log = logging.getLogger(__name__)

_FIRST = 1_024  # losses that there is room for at first


@dataclass(frozen=True)
class TrainStats:
    """Figures of one training run."""

    steps: int
    pairs: int  # trained on, over all epochs
    loss: float  # mean over the last tenth of the steps
    tokenise_seconds: float
    train_seconds: float
    device: str
    hardware: str  # the device's own name
    precision: str  # of autocast
    peak_memory_bytes: int | None  # of this process
    peak_device_memory_bytes: int | None  # of the GPU, where there is one
    memory: MemoryRecord
    processes: int = 1  # that shared the batches


class Watch:
    """Time, loss and progress; reads the loss rarely, since reading it makes a GPU wait."""

    _EVERY = 0.25  # seconds between two reports
    _LINE_EVERY = 2.0  # seconds between two lines of the log

    def __init__(self, schedule: Schedule, progress: Progress) -> None:
        self._schedule = schedule
        self._progress = progress
        self.done = 0  # steps
        self._losses = torch.empty(0)
        self.pairs = 0
        self._tokenise = 0.0
        self._start = self._reported = time.perf_counter()
        self._line = 0.0

    @contextlib.contextmanager
    def tokenising(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._tokenise += time.perf_counter() - start

    def show(self, after_step: Callable[[int, int], None] | None, last: LastMean) -> None:
        """Call `after_step` with the steps that are done and those of the run; its time is none of the training's."""
        if after_step:
            start = time.perf_counter()
            with last.shown():
                after_step(self.done, self._schedule.total)
            self._start += time.perf_counter() - start

    def resume(self, losses: Tensor, pairs: int, seconds: float) -> None:
        """Go on counting where an earlier process stopped."""
        self._losses, self.done, self.pairs = losses, len(losses), pairs
        self._start -= seconds

    @property
    def losses(self) -> Tensor:
        """The loss of each step, [done]."""
        return self._losses[: self.done]

    def _note(self, loss: Tensor) -> None:
        """Copy the loss: a tensor kept for each step would lie among what the steps after it take and give back."""
        if self.done == len(self._losses):
            more = loss.new_empty(max(_FIRST, 2 * self.done))
            more[: self.done] = self._losses
            self._losses = more
        self._losses[self.done] = loss
        self.done += 1

    def step(self, loss: Tensor, pairs: int, rate: float) -> None:
        self._note(loss)
        self.pairs += pairs
        now = time.perf_counter()
        over = self._schedule.over()
        if now - self._reported < self._EVERY and not over:
            return
        self._reported = now
        value = float(loss)
        done, total = self.done, self._schedule.total
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss is {value} at step {done}; lower `learning_rate`, raise `temperature` or use `autocast=fp32`"
            )
        seconds = self.training_seconds(now)
        speed = self.pairs / seconds
        self._progress.advance(done, total, f"loss {value:.3f} · {speed:.0f} pairs/s")
        if over or now - self._line >= self._LINE_EVERY:
            self._line = now
            left = seconds / done * (total - done)
            log.info(
                "step %d of %d, loss %.4f, rate %.2g, %.0f pairs/s, %.0f s left", done, total, value, rate, speed, left
            )

    def training_seconds(self, now: float | None = None) -> float:
        """Return how long the training has taken so far, without the tokenising."""
        return max(1e-9, (now or time.perf_counter()) - self._start - self._tokenise)

    def stats(self, device: torch.device, dtype: torch.dtype, budget: Budget, processes: int) -> TrainStats:
        tail = self.losses[-max(1, self.done // 10) :].clone()
        loss = float(tail.mean())  # waits for the device, so the clock is read after it
        on_gpu = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
        resident = peak_memory_bytes()
        measured = resident if on_gpu is None else on_gpu
        return TrainStats(
            steps=self.done,
            pairs=self.pairs,
            loss=loss,
            tokenise_seconds=self._tokenise,
            train_seconds=self.training_seconds(),
            device=str(device),
            hardware=_hardware(device),
            precision=autocast_name(dtype),
            peak_memory_bytes=resident,
            peak_device_memory_bytes=on_gpu,
            memory=MemoryRecord(budget.memory.limit, budget.predicted, measured, budget.passes, budget.twice),
            processes=processes,
        )


class StepLog:
    """A line of JSON for each step, in a file that can be read while the training runs, and to a tracker."""

    def __init__(self, file: TextIO | None = None, tracker: Tracker | None = None) -> None:
        self._file, self._tracker = file, tracker

    def __bool__(self) -> bool:
        return self._file is not None or self._tracker is not None

    def begin(self, step: int, settings: Mapping[str, Any]) -> None:
        """Drop what a run that was stopped has written after the `step` that is gone on from; begin at the tracker."""
        if self._tracker is not None:
            self._tracker.begin(settings)
        if self._file is None or not self._file.readable():
            return
        self._file.seek(0)
        kept = [line for line in self._file if line.endswith("\n") and json.loads(line)["step"] <= step]
        self._file.truncate(0)
        self._file.writelines(kept)

    def write(self, step: int, loss: Tensor, rate: float, vectors: Tensor, gradient: float) -> None:
        """Add a step; `vectors` [2 * batch, dim] have unit length, first views before second views."""
        figures = {"loss": float(loss), "rate": rate, **geometry(vectors), "gradient_norm": gradient}
        if self._tracker is not None:
            self._tracker.log({name: value for name, value in figures.items() if math.isfinite(value)}, step)
        if self._file is not None:
            finite = {name: value if math.isfinite(value) else None for name, value in figures.items()}
            self._file.write(json.dumps({"step": step, **finite}) + "\n")
            self._file.flush()


@contextlib.contextmanager
def open_step_log(
    path: Path | None, *, overwrite: bool, resume: bool, tracker: str | None = None, run: str = "mirrorkit"
) -> Iterator[StepLog]:
    """Open the log, and a `tracker` for the run of that name; to `resume` leaves what the file holds.

    Raises OutputError where it cannot be written, MissingExtraError without the tracker's library.
    """
    with open_tracker(tracker, run) as tracked, _open(path, overwrite=overwrite, resume=resume) as file:
        yield StepLog(file, tracked)


@contextlib.contextmanager
def _open(path: Path | None, *, overwrite: bool, resume: bool) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    try:
        file = path.open("a+" if resume else "w" if overwrite else "x", encoding="utf-8")
    except FileExistsError as err:
        raise OutputError(f"{path}: exists; give another file or `overwrite=True`") from err
    except (OSError, ValueError) as err:
        raise OutputError(f"{path}: cannot be written ({getattr(err, 'strerror', None) or err})") from err
    with file:
        yield file


def geometry(vectors: Tensor) -> dict[str, float]:
    """Return alignment and uniformity (Wang & Isola 2020) and the effective rank (Roy & Vetterli 2007) of a batch."""
    if not bool(torch.isfinite(vectors).all()):  # which no spectrum can be had of
        return dict.fromkeys(("alignment", "uniformity", "rank"), math.nan)
    first, second = vectors.float().chunk(2)
    squared = torch.nn.functional.pdist(first).square()
    spectrum = torch.linalg.svdvals(vectors.float())
    shares = spectrum / spectrum.sum()
    return {
        "alignment": float((first - second).square().sum(dim=1).mean()),
        "uniformity": float(squared.mul(-2).exp().mean().log()),
        "rank": float(torch.special.entr(shares).sum().exp()),
    }


def _hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{cpu_name()}, {usable_cores()} cores, {torch.get_num_threads()} threads"
