"""One training from the base: train, keep the best checkpoint, pull the weights back towards the base's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mirrorkit.errors import TrainingError
from mirrorkit.evaluation.own import OwnSet
from mirrorkit.extras import require
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.progress import Progress
from mirrorkit.training.best import Best, DevReport
from mirrorkit.training.blend import BlendReport, blend, hold_out, weights_of
from mirrorkit.training.corpus import Corpus
from mirrorkit.training.layers import last_layers
from mirrorkit.training.lora import adapted
from mirrorkit.training.recipe import Recipe
from mirrorkit.training.watch import TrainStats

require("torch", extra="train")
import torch

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempt:
    seed: int
    stats: TrainStats
    blend: BlendReport | None
    dev: DevReport | None


def attempt(
    fit: Callable[..., TrainStats],
    encoder: SentenceEncoder,
    data: Corpus,
    settings: Recipe,
    seed: int,
    progress: Progress,
    *,
    leads: bool,
    dev: Sequence[OwnSet],
) -> Attempt:
    """Train `encoder` in place, with `fit`, and where the recipe says so blend it with what it was."""
    start = weights_of(encoder) if settings.blend_share != 0 else {}
    held, rest = hold_out(data, settings.crop_range, seed) if settings.blend_share is None else (None, data)
    try:
        with last_layers(encoder, settings.train_layers), adapted(encoder, settings.lora, seed):
            best = Best(encoder, dev) if dev else None
            stats = fit(encoder, rest, settings, after_step=best.after_step if best else None)
            kept = best.keep() if best else None
        if not start or not leads:
            return Attempt(seed, stats, None, kept)
        progress.phase("blending")
        report = blend(encoder, start, settings.blend_share, held, settings.max_length)
        log.info("blend: %s", report.why)
        return Attempt(seed, stats, report, kept)
    except torch.OutOfMemoryError as err:
        raise TrainingError("out of GPU memory; give less `memory`, or lower `batch_size` or `max_length`") from err
