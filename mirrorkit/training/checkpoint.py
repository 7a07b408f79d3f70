"""The state of a training in a hidden folder beside its target, so that a run that was stopped can be taken up again.

One safetensors file, replaced whole: weights, the means of AdamW, random states; where the run was, as JSON, in its
header. Loading it runs no code.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mirrorkit.errors import OutputError
from mirrorkit.extras import require
from mirrorkit.foreign import foreign
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.publish import write_whole
from mirrorkit.publish.targets import real, told
from mirrorkit.publish.workshop import locked, release, remove, workshop_of
from mirrorkit.training.average import LastMean
from mirrorkit.training.passes import random_state, set_random_state
from mirrorkit.training.ranks import Ranks
from mirrorkit.training.schedule import Schedule
from mirrorkit.training.stopping import Stopping
from mirrorkit.training.watch import Watch

require("torch", extra="train")
import torch

require("safetensors", extra="train")
from safetensors import safe_open
from safetensors.torch import load_file, save_file

log = logging.getLogger(__name__)

_FILE = "state.safetensors"
_MEAN = "average."  # begins the names of the tensors of the mean of the last steps
_ANEW = "start again with `overwrite=True` in place of `resume=True`"


@dataclass
class State:
    """All that a training changes, beside torch's own generators."""

    encoder: SentenceEncoder
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    schedule: Schedule
    watch: Watch
    rng: np.random.Generator
    draw: Mapping[str, Any]  # where `rng` was before the strings of now were drawn
    last: LastMean
    batch: int = 0  # steps made with these strings
    room: float | None = None  # bytes for the graphs of a batch; None: not settled yet

    def begin_draw(self) -> None:
        """Note where the generator is; what it draws from here on can be drawn again."""
        self.draw = dict(self.rng.bit_generator.state)


@dataclass(frozen=True)
class _Place:
    """Where a run was, between two steps."""

    step: int  # steps done
    batch: int
    draw: dict[str, Any]
    room: float | None  # None: any number of bytes
    elapsed: float  # seconds by the schedule's clock
    seconds: float  # trained
    pairs: int
    scaler: dict[str, Any]
    averaged: int = 0  # steps in the mean of the last ones


class Checkpoint:
    """The checkpoint of one training; made with `open_checkpoint`. Without a file it does nothing."""

    def __init__(self, file: Path | None = None, *, every: int = 0, resume: bool = False) -> None:
        self._file = file
        self._every = every
        self._resume = resume
        self._job: Mapping[str, Any] = {}
        self._stopping = Stopping()
        self._place: _Place | None = None
        self.under_way = False  # whether the training has begun

    @property
    def step(self) -> int:
        """Steps that were done when it was read."""
        return self._place.step if self._place else 0

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Let a first signal that asks to end wait in the block until the step is done and saved."""
        with self._stopping.guarded() if self._file else nullcontext():
            yield

    def begin(self, job: Mapping[str, Any]) -> None:
        """Read what there is to resume; raises OutputError for what is damaged or was not made with this `job`."""
        self._job = job
        if not self._resume or self._file is None:
            return
        if not self._file.is_file():
            log.warning("there is no checkpoint to resume from; starting at the first step")
            return
        with foreign(OutputError, f"{self._file}: damaged; {_ANEW}"), safe_open(self._file, "pt") as file:
            about = json.loads(file.metadata()["training"])
            made_with, place, every = about["job"], _Place(**about["place"]), int(about["every"])
        if differing := [name for name, value in job.items() if made_with.get(name) != value]:
            raise OutputError(f"the checkpoint was made with another {differing[0]}; {_ANEW}")
        self._place, self._every = place, self._every or every

    def go_back(self, state: State) -> None:
        """Put the generator to where the strings that were being trained on were drawn."""
        self.under_way = True
        if place := self._place:
            state.schedule.resume(place.step - place.batch)
            state.rng.bit_generator.state = place.draw
            state.room = math.inf if place.room is None else place.room

    def take_up(self, state: State, ranks: Ranks) -> None:
        """Put everything to where it was, once these strings have been drawn again; for the first draw alone."""
        place, self._place = self._place, None
        state.batch = 0
        if place is None:
            return
        device = state.encoder.device
        with foreign(OutputError, f"{self._file}: does not fit the model; {_ANEW}"), torch.no_grad():
            tensors = load_file(str(self._file))
            for name, weight in state.encoder.named_parameters():
                weight.copy_(tensors[f"model.{name}"])
                start = f"optimizer.{name}."
                means = {key[len(start) :]: value for key, value in tensors.items() if key.startswith(start)}
                if means:
                    state.optimizer.state[weight] = {k: v.to(device, copy=True) for k, v in means.items()}
            state.scaler.load_state_dict(place.scaler)
            mean = {name[len(_MEAN) :]: value for name, value in tensors.items() if name.startswith(_MEAN)}
            state.last.resume(place.averaged, {name: value.to(device, copy=True) for name, value in mean.items()})
            state.watch.resume(tensors["losses"].to(device, copy=True), place.pairs, place.seconds)
            number = sum(name.startswith("random.") for name in tensors)
            # Copies: torch reads a generator's state from the beginning of its memory, whatever the view.
            set_random_state([tensors[f"random.{i}"][ranks.rank].clone() for i in range(number)], device)
        state.schedule.resume(place.step, place.elapsed)
        state.batch = place.batch
        log.info("resumed after step %d", place.step)

    def after_step(self, state: State, ranks: Ranks) -> None:
        """Count the step; save where it is time, or where a signal asks to end, which then ends the training."""
        state.batch += 1
        if self._file is None:
            return
        step = state.watch.done
        stop = ranks.any(bool(self._stopping), state.encoder.device)
        if stop or (self._every and step % self._every == 0):
            self._save(state, ranks, self._file)
        if stop:
            self._stopping.end()

    def _save(self, state: State, ranks: Ranks, file: Path) -> None:
        device = state.encoder.device
        random = [ranks.stack(tensor, device) for tensor in random_state(device)]
        if not ranks.leads:
            return
        tensors = {f"random.{i}": tensor for i, tensor in enumerate(random)}
        tensors["losses"] = state.watch.losses.float().clone()
        for name, weight in state.encoder.named_parameters():
            tensors[f"model.{name}"] = weight.detach().contiguous()
            means = state.optimizer.state.get(weight, {})
            tensors |= {f"optimizer.{name}.{key}": value.contiguous() for key, value in means.items()}
        tensors |= {f"{_MEAN}{name}": value for name, value in state.last.mean.items()}
        place = _Place(
            step=state.watch.done,
            batch=state.batch,
            draw=dict(state.draw),
            room=None if state.room is None or math.isinf(state.room) else state.room,
            elapsed=state.schedule.elapsed,
            seconds=state.watch.training_seconds(),
            pairs=state.watch.pairs,
            scaler=state.scaler.state_dict(),
            averaged=state.last.count,
        )
        about = json.dumps({"job": self._job, "place": vars(place), "every": self._every})
        with told(file), write_whole(file) as out, foreign(OutputError, f"{file}: cannot be written"):
            save_file(tensors, out.name, metadata={"training": about})
        log.info("checkpoint at step %d", place.step)


@contextmanager
def open_checkpoint(
    target: Path | None, *, every: int, resume: bool, overwrite: bool, leads: bool = True
) -> Iterator[Checkpoint]:
    """Yield the checkpoint of `target`, made `every` so many steps; it is gone once the block has ended well.

    Of several processes only the one that `leads` writes. Raises OutputError where an earlier run was stopped half-way
    and it is not said what is to become of it.
    """
    folder = workshop_of(real(target)).with_suffix(".training") if target else None
    if target is None or folder is None or not (every or resume or folder.exists()):
        yield Checkpoint()
        return
    file = folder / _FILE
    if file.exists() and not resume and not overwrite:
        raise OutputError(
            f"{target}: an earlier training was stopped half-way; continue with `resume=True` or start again with "
            "`overwrite=True`"
        )
    checkpoint = Checkpoint(file if every or resume else None, every=every, resume=resume)
    if not leads:
        yield checkpoint
        return
    with told(target):
        lock = locked(folder, target)
    keep = True
    try:
        if not resume:
            remove(file)
        yield checkpoint
        keep = False
    except BaseException:
        keep = file.is_file()
        if keep and checkpoint.under_way:
            log.warning("%s: the training so far is kept; continue with `resume=True`", target)
        raise
    finally:
        if not keep:
            for leftover in (file, file.with_name(f".{_FILE}.partial")):
                with suppress(OSError):
                    remove(leftover)
        release(folder, lock, keep=keep)
