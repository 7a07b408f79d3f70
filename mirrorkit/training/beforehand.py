"""What happens before a fine-tune begins: its call is checked, strings are held out, and people are told."""

from __future__ import annotations

import logging
from pathlib import Path

from mirrorkit.errors import ConfigError
from mirrorkit.formats.pooling import Pooling
from mirrorkit.training.corpus import Corpus
from mirrorkit.training.material import Material
from mirrorkit.training.own import OwnLoss, check_loss
from mirrorkit.training.probe import Probe, hold_out_probe
from mirrorkit.training.ranks import launched
from mirrorkit.training.recipe import Changes, Recipe
from mirrorkit.training.recipes import check
from mirrorkit.training.teacher import Teachers, check_teacher
from mirrorkit.training.tracker import check_tracker

log = logging.getLogger(__name__)


def hold_out(read: Material, seed: int, verdict: bool) -> tuple[Probe | str, Corpus]:
    """Return what the verdict is to be made by, or why there is none, and the strings to train on."""
    if not verdict:
        return "it was not asked for", read.corpus
    probe, rest = hold_out_probe(read.corpus, read.recipe.views, read.recipe.crop_range, seed)
    if isinstance(probe, str):
        log.info("no verdict: %s", probe)
    else:
        log.info("%d strings are held out for the verdict", probe.held_out)
    return probe, rest


def check_call(
    recipe: str | Recipe,
    changes: Changes,
    loss: OwnLoss | None,
    teacher: Teachers,
    tracker: str | None,
    seeds: int,
    average: bool,
    every: int,
    target: Path | None,
    corpus: object,
    *,
    keeps: bool,
    dev: bool,
) -> None:
    """Raise ConfigError for what of a call cannot be, before anything is read."""
    check(recipe, changes)
    check_loss(loss)
    check_teacher(teacher, recipe, changes, loss)
    check_tracker(tracker)
    if seeds < 1:
        raise ConfigError(f"seeds {seeds}: must be at least 1")
    if average and seeds == 1:
        raise ConfigError("`average` is of the weights of several seeds: give `seeds=3`, or two")
    if every < 0:
        raise ConfigError(f"checkpoint_every {every}: must be at least 0 steps, which saves none")
    if keeps and (seeds > 1 or target is None):
        wanted = "an `out`, beside which it is saved" if target is None else "one seed alone, `seeds=1`"
        raise ConfigError(f"`checkpoint_every` and `resume` need {wanted}")
    if keeps and dev:
        raise ConfigError("`dev` keeps its best weights in memory: give it without `checkpoint_every` and `resume`")
    if isinstance(corpus, str) and corpus == "-" and launched()[1] > 1:
        raise ConfigError("several processes cannot share standard input; give the corpus as a file")


def tell(read: Material) -> None:
    """Log what the strings are made into, and warn of what may surprise."""
    settings, strings = read.recipe, len(read.corpus)
    log.info("views %s; training strings are cut to %d tokens", read.views, settings.max_length)
    if strings < settings.batch_size:
        log.warning("%d strings, fewer than one batch of %d: the batch shrinks", strings, settings.batch_size)
    if settings.pooling == Pooling.MEAN_PADDED:
        log.warning(
            "mean-padded pooling averages over padding, as the official code does: slow, and only for reproducing it; "
            "no other library loads it: give `pooling=mean` for a model that others can use"
        )
