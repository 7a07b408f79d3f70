"""Does a published figure lie within the noise of the seeds around ours? Exactly what that is stands in RULE."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.reproduce.arms import BASE
from benchmarks.reproduce.models import PAIRS, Released
from mirrorkit.evaluation.pairs import GradedPairs
from mirrorkit.formats.json_file import read_object
from mirrorkit.formats.layout_reader import read_layout

DEVIATIONS, MARGIN = 2.0, 0.3
FEWEST = 3  # seeds from which on a deviation is taken for one
BATCH = 200  # of the published scripts
RULE = (
    f"`match` says that the published figure lies within the mean over the seeds ± ({DEVIATIONS:g} × their standard "
    f"deviation (n - 1) + {MARGIN}); {MARGIN} points are for what differs between machines, libraries and precisions."
)
MATCH, NO_MATCH = "match", "no match"


def is_match(published: float, scores: Sequence[float]) -> bool:
    """Hold a published figure against those of two seeds or more, by RULE."""
    width = DEVIATIONS * statistics.stdev(scores) + MARGIN
    return abs(published - statistics.fmean(scores)) <= width + 1e-9


def obstacles(model: Released, folder: Path, settings: Mapping[str, Any], sts: Sequence[GradedPairs]) -> list[str]:
    """Return why a run says nothing of the published figures: another base, less of a corpus, other values or sets.

    A base is told by its configuration alone: other weights of the same shape are taken for the paper's.
    """
    found = []
    config = read_object(read_layout(folder).weights / "config.json")
    for name in ("model_type", "vocab_size", "hidden_size", "num_hidden_layers"):
        if config.get(name) != (wanted := getattr(model.shape, name)):
            found.append(f"the base is not {model.base} ({name} {config.get(name)}, not {wanted})")
            break
    if settings["limit"]:
        found.append(f"only {settings['limit']:,} lines are trained on")
    if settings["steps"]:
        found.append(f"{settings['steps']} steps are asked for")
    if settings["batch_size"] != BATCH:
        found.append(f"batches are of {settings['batch_size']}, not {BATCH}")
    if settings["sha256"] != model.lines_sha256:
        found.append(f"{settings['corpus']} is not the authors' file of 10,000 lines")
    if sts and (other := [one.name for one in sts if len(one) != PAIRS[one.name]]):
        found.append(f"{other[0]} has not its {PAIRS[other[0]]:,} pairs")
    return found


def verdict(model: Released, row: str, scores: Sequence[float], hindered: Sequence[str], arm: str) -> str:
    """Return `match` or `no match`, or why there is neither."""
    if arm == BASE:
        return "–"
    if row not in model.published:
        return "no published figure"
    if hindered:
        return f"no verdict: {hindered[0]}"
    if len(scores) < FEWEST:
        return f"no verdict: {len(scores)} of {FEWEST} seeds"
    return MATCH if is_match(model.published[row], scores) else NO_MATCH
