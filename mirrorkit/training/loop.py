"""The training loop, top to bottom: (encoder, corpus, recipe) in, a trained encoder and its figures out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mirrorkit.errors import TrainingError
from mirrorkit.extras import require
from mirrorkit.machine.torch_device import pick_autocast, pick_device
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.progress import Progress, Silent
from mirrorkit.text.ragged import Ints, RaggedIds
from mirrorkit.training.average import LastMean
from mirrorkit.training.checkpoint import Checkpoint, State
from mirrorkit.training.corpus import Corpus
from mirrorkit.training.drophead import drophead
from mirrorkit.training.dropout import cheap_dropout
from mirrorkit.training.duplicates import overlaps
from mirrorkit.training.masked import warm_up
from mirrorkit.training.objective import Batch, Objective
from mirrorkit.training.order import Order
from mirrorkit.training.own import MakeViews, OwnLoss
from mirrorkit.training.pairs import PairMaker
from mirrorkit.training.passes import Budget, gradients, plan_memory
from mirrorkit.training.ranks import Ranks, processes_here
from mirrorkit.training.recipe import Recipe
from mirrorkit.training.recompute import recomputing
from mirrorkit.training.schedule import Schedule
from mirrorkit.training.teacher import Taught
from mirrorkit.training.teacher_vectors import Teacher
from mirrorkit.training.view_ids import tokenise_views
from mirrorkit.training.watch import StepLog, TrainStats, Watch

require("torch", extra="train")
import torch

_SOUND = 1_000  # characters of a text that are encoded to see whether the weights are sound
_APART = 0x9E3779B1  # between the seeds of two processes


def train(
    encoder: SentenceEncoder,
    corpus: Corpus,
    recipe: Recipe,
    *,
    seed: int = 42,
    device: str = "auto",
    autocast: str = "auto",
    progress: Progress | None = None,
    memory: int | None = None,
    ranks: Ranks | None = None,
    checkpoint: Checkpoint | None = None,
    step_log: StepLog | None = None,
    after_step: Callable[[int, int], None] | None = None,
    make_views: MakeViews | None = None,
    loss: OwnLoss | None = None,
    teacher: Teacher | None = None,
    gradient_checkpointing: bool = False,
) -> TrainStats:
    """Fine-tune `encoder` in place; on a CPU the same seed gives the same bits.

    Dropout is the encoder's own: load it with `dropout=recipe.dropout`. Afterwards the encoder is in evaluation mode,
    on the device it was trained on. `memory` is how many bytes the process, or the GPU, may take; None is what is
    free. Of several `ranks` each takes its share of every batch, and all end with the same weights. Where a
    `checkpoint` was read, the training goes on from it. `after_step` is called with the steps that are done and those
    of the whole run, and may look at the encoder. `make_views` makes the views where those of the recipe are `own`,
    and `loss` takes the place of NT-Xent; what a `teacher` knows is added to that. Raises TrainingError when the loss
    is no longer a number, ConfigError for a device or an autocast type that this machine lacks and for a memory that is
    too small.
    """
    target = torch.device(pick_device(device))
    dtype = pick_autocast(autocast, target.type)
    ranks, checkpoint, step_log = ranks or Ranks(), checkpoint or Checkpoint(), step_log or StepLog()
    encoder.to(target).train()
    ranks.same_weights(encoder.parameters())
    warm_up(encoder, corpus, recipe, seed=seed, dtype=dtype, ranks=ranks, resumed=checkpoint.step > 0)
    objective = Objective(encoder, recipe, ranks, loss, Taught.of(teacher, corpus, recipe))
    state = _begin(encoder, recipe, Order(len(corpus), recipe.batch_size, seed), seed, dtype, ranks, progress)
    schedule, watch, rng = state.schedule, state.watch, state.rng
    with watch.tokenising():
        pairs = PairMaker(corpus, recipe, make_views)
    _reset_peak(target)
    budget: Budget | None = None
    checkpoint.go_back(state)
    with (
        _seeded(seed + _APART * ranks.rank, target),
        cheap_dropout(encoder),
        drophead(encoder.backbone, recipe.drophead),
        recomputing(encoder, on=gradient_checkpointing),
        checkpoint.guarded(),
    ):
        for steps in schedule.draws():
            state.begin_draw()
            with watch.tokenising():
                draw = _draw(encoder, pairs, recipe, schedule.order.draw(schedule.done, steps, rng), steps, rng)
            if budget is None:
                lengths = [draw.views.lengths[draw.both(ranks.share(rows))] for rows in draw.batches]
                budget = plan_memory(
                    encoder,
                    dtype,
                    lengths,
                    recipe.max_length,
                    steps=schedule.total,
                    limit=memory,
                    room=state.room,
                    share=processes_here(),
                    recomputed=gradient_checkpointing,
                )
                state.room = budget.room
            checkpoint.take_up(state, ranks)
            for rows in draw.batches[state.batch :]:
                if schedule.over():
                    break
                rate = _set_rate(state.optimizer, recipe.learning_rate * schedule.rate())
                state.optimizer.zero_grad(set_to_none=True)
                batch = draw.batch(rows, target)
                own = draw.both(ranks.share(rows))
                passes = budget.passes_over(encoder, draw.views.lengths[own], recipe.max_length)
                value = gradients(
                    encoder, draw.views, own, passes, objective.of(batch), dtype=dtype, scale=state.scaler.scale
                )
                ranks.sum_gradients(encoder.parameters())
                if step_log:
                    step_log.write(
                        watch.done + 1, value, rate, objective.vectors, _norm(encoder) / state.scaler.get_scale()
                    )
                state.scaler.step(state.optimizer)
                state.scaler.update()
                schedule.step()
                watch.step(value, len(rows), rate)
                state.last.after_step(schedule.done, schedule.total)
                checkpoint.after_step(state, ranks)
                watch.show(after_step, state.last)
    state.last.take()
    state.optimizer.zero_grad(set_to_none=True)
    encoder.eval()
    assert budget is not None  # a run has a step
    stats = watch.stats(target, dtype, budget, ranks.count)
    _check_sound(encoder, [text[:_SOUND] for text in corpus.texts[:8]])
    return stats


@dataclass(frozen=True)
class _Draw:
    """Strings for a number of steps."""

    views: RaggedIds  # all first views, then all second views, then perhaps a negative of each pair
    labels: Ints | None  # of the views, where strings repeat
    batches: list[Ints]  # pairs of each step
    texts: Ints  # places in the corpus of the pairs' texts
    each: int = 2  # views of a pair
    first: Sequence[str] = ()  # the pairs' first texts, where their overlap is asked for
    overlap: float = 0.0  # above which two are not negatives of each other

    def both(self, pairs: Ints) -> Ints:
        """Return the rows of these pairs' views; for none the first row, since a pass cannot be empty."""
        count = len(self.views) // self.each
        places = [pairs + count * i for i in range(self.each)]
        return np.concatenate(places) if len(pairs) else np.zeros(1, dtype=np.int64)

    def batch(self, pairs: Ints, device: torch.device) -> Batch:
        """Return what the loss is to know of these pairs."""
        labels = None if self.labels is None else torch.from_numpy(self.labels[self.both(pairs)]).to(device)
        near = None
        if self.overlap:
            near = torch.from_numpy(overlaps([self.first[i] for i in pairs.tolist()]) > self.overlap).to(device)
        return Batch(self.texts[pairs], labels, self.each, near)


def _begin(
    encoder: SentenceEncoder,
    recipe: Recipe,
    order: Order,
    seed: int,
    dtype: torch.dtype,
    ranks: Ranks,
    progress: Progress | None,
) -> State:
    """Return what a run has before its first step."""
    device = encoder.device
    weights = [weight for weight in encoder.parameters() if weight.requires_grad]
    fused = device.type != "mps"
    schedule = Schedule(recipe, order, lambda seconds: ranks.firsts(seconds, device))
    return State(
        encoder,
        torch.optim.AdamW(weights, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=fused),
        torch.amp.GradScaler(device.type, enabled=dtype == torch.float16),
        schedule,
        Watch(schedule, progress or Silent()),
        np.random.default_rng(seed),
        {},
        LastMean(encoder, recipe.average_last),
    )


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> float:
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate


def _norm(encoder: SentenceEncoder) -> float:
    return float(torch.nn.utils.get_total_norm([p.grad for p in encoder.parameters() if p.grad is not None]))


def _draw(
    encoder: SentenceEncoder, pairs: PairMaker, recipe: Recipe, used: Ints, steps: int, rng: np.random.Generator
) -> _Draw:
    drawn = pairs.draw(used, rng)
    views, labels = tokenise_views(encoder, drawn, recipe, rng)
    each = 2 if drawn.negatives is None else 3
    batches = np.array_split(rng.permutation(len(used)), steps)
    first = drawn.first if recipe.duplicate_overlap else ()
    return _Draw(views, labels, batches, used, each, first, recipe.duplicate_overlap)


def _check_sound(encoder: SentenceEncoder, texts: list[str]) -> None:
    # The losses are those before each step, so they cannot tell what the last step did to the weights.
    finite = all(bool(torch.isfinite(p).all()) for p in encoder.parameters())
    if not finite or not np.isfinite(encoder.encode(texts)).all():
        raise TrainingError(
            "the last step broke the weights (NaN or infinity); lower `learning_rate` or use `autocast=fp32`"
        )


@contextlib.contextmanager
def _seeded(seed: int, device: Any) -> Iterator[None]:
    """Seed torch for the block and leave the caller's generators as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
