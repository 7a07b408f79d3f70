"""How good vectors are that are cut to the lengths which the bundle names."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import numpy as np

from mirrorkit.bench.measure.candidates import Candidate
from mirrorkit.bench.measure.workload import Workload
from mirrorkit.bench.result import BASELINE, CutScore
from mirrorkit.correlation import DIGITS, Array, spearman
from mirrorkit.evaluation.intervals import quantile_interval, resampled_spearman
from mirrorkit.evaluation.pairs import unit_rows
from mirrorkit.text.ragged import Floats

_WHOLE = "whole"


def cut_scores(
    chosen: Sequence[Candidate], vectors: Mapping[str, Floats], workload: Workload, resamples: int, seed: int
) -> dict[str, dict[str, CutScore]]:
    """Return the scores by subject and length of vectors; none where the bundle names no lengths.

    `vectors` are those of the workload's texts by subject. A subject that is another model has none, and every length
    sees the same resamples of the pairs as the whole vectors.
    """
    bundle = next((one.bundle for one in chosen if one.name != BASELINE and one.bundle is not None), None)
    if bundle is None or not bundle.truncate_dims:
        return {}
    comparable = [one for one in chosen if not one.is_another_model and vectors[one.name].shape[1] == bundle.dim]
    return {one.name: _scores(vectors[one.name], bundle.truncate_dims, workload, resamples, seed) for one in comparable}


def _scores(vectors: Floats, dims: Sequence[int], workload: Workload, resamples: int, seed: int) -> dict[str, CutScore]:
    place = {text: row for row, text in enumerate(workload.texts)}
    sts: dict[str, dict[str, float]] = {str(dim): {} for dim in dims}
    changes: dict[str, list[Array]] = {str(dim): [] for dim in dims}
    losses: dict[str, list[float]] = {str(dim): [] for dim in dims}
    units = {_WHOLE: unit_rows(vectors), **{str(dim): unit_rows(vectors[:, :dim]) for dim in dims}}
    for number, data in enumerate(workload.sets):
        left, right = ([place[text] for text in side] for side in (data.left, data.right))
        cosines = {
            length: np.einsum("nd,nd->n", rows[left], rows[right]).round(DIGITS) for length, rows in units.items()
        }
        drawn = resampled_spearman(data.score, cosines, resamples, seed + number)
        whole = 100 * spearman(data.score, cosines[_WHOLE])
        for length, found in sts.items():
            found[data.name] = 100 * spearman(data.score, cosines[length])
            losses[length].append(found[data.name] - whole)
            changes[length].append(100 * (drawn[length] - drawn[_WHOLE]))
    return {
        length: CutScore(
            found,
            statistics.fmean(found.values()),
            quantile_interval(statistics.fmean(losses[length]), np.mean(changes[length], axis=0)),
        )
        for length, found in sts.items()
    }
