"""How good the vectors of the subjects are, and how near they are to the baseline's."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from mirrorkit.bench.plan import Plan
from mirrorkit.bench.result import BASELINE, Quality
from mirrorkit.bench.speed import OnPhase
from mirrorkit.bench.stats import Array, quantile_interval, resampled_spearman, spearman
from mirrorkit.bench.subjects import Model, Source, open_model
from mirrorkit.bench.workload import Workload
from mirrorkit.bundle import GOLDEN, Precision, read_bundle
from mirrorkit.errors import ConfigError, CorpusError, ModelError
from mirrorkit.evaluation.pairs import DIGITS, unit_rows
from mirrorkit.verification.golden import read_goldens
from mirrorkit.verification.measure import Floats, neighbour_overlap, steady
from mirrorkit.verification.probe import Probe
from mirrorkit.verification.thresholds import THRESHOLDS
from mirrorkit.verification.verify import invariance

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Measured:
    """What one subject gave, held until all have."""

    vectors: Floats  # float32 [n, dim] of the workload's texts, as the subject gives them
    steady: Bools  # bool [n]; all True where the precision knows no unsteady texts
    invariance: float
    golden: float | None


@dataclass(frozen=True)
class QualityRun:
    """The quality of every subject, and of how many texts the figures of each are."""

    qualities: dict[str, Quality]
    left_out: dict[str, int]  # texts of one token over and over, in the precisions that are unsteady on them


def measure_quality(
    subjects: Sequence[Source], plan: Plan, workload: Workload, on_phase: OnPhase | None = None
) -> QualityRun:
    """Encode every text once with every subject and compare; the baseline must be among them.

    Raises ConfigError for a baseline whose vectors cannot be compared or that takes shorter texts than are to be timed.
    """
    texts = workload.texts
    measured: dict[str, _Measured] = {}
    by_graph: dict[tuple[str, str], _Measured] = {}  # the stand-in for a baseline is a variant too
    for source in subjects:
        graph = (source.folder, source.file)
        if graph not in by_graph:
            by_graph[graph] = _measure(source, plan, workload, texts, on_phase)
        measured[source.name] = by_graph[graph]
    if on_phase:
        on_phase.phase("comparing the vectors")
    scores = _scores(measured, workload, texts)
    draws = _draws(scores, workload, plan)
    qualities = {name: _quality(name, measured, scores, draws, workload, texts) for name in measured}
    left_out = {name: int((~found.steady).sum()) for name, found in measured.items()}
    return QualityRun(qualities, left_out)


def _measure(
    source: Source, plan: Plan, workload: Workload, texts: Sequence[str], on_phase: OnPhase | None
) -> _Measured:
    done = 0

    def count(texts_done: int) -> None:
        nonlocal done
        done += texts_done
        if on_phase:
            on_phase.texts(done, len(texts))

    if on_phase:
        on_phase.phase(f"quality: {source.name}")
    model = open_model(source, plan.threads)
    if model.max_length < max(plan.lengths):
        raise ConfigError(f"lengths {max(plan.lengths)}: {source.folder} takes at most {model.max_length} tokens")
    only_steady = THRESHOLDS[Precision(source.precision)].steady_only
    everything: Bools = np.ones(len(texts), dtype=np.bool_)
    judged = steady(model.ids(texts)) if only_steady else everything
    if not judged[: len(workload.graded)].any():
        raise CorpusError("the sets hold nothing but texts that say one token over and over: nothing to compare on")
    vectors = model.encode(texts, count)
    if not np.isfinite(vectors).all():
        raise ModelError(f"{source.folder}: gives vectors with values that are no numbers")
    return _Measured(
        vectors=vectors,
        steady=judged,
        invariance=invariance(cast("Probe", model), model.ids(workload.pool), model.max_length),
        golden=_golden(source, model, only_steady),
    )


def _golden(source: Source, model: Model, only_steady: bool) -> float | None:
    """Return the lowest cosine to the bundle's own reference, through its tokenizer; None for what has no reference."""
    if not source.file:
        return None
    bundle = read_bundle(Path(source.folder))
    if GOLDEN not in bundle.files:
        return None
    goldens = read_goldens(bundle.path(GOLDEN), bundle.dim)
    rows = np.flatnonzero(steady(goldens.ids)) if only_steady else np.arange(len(goldens.texts))
    if not len(rows):
        return None
    vectors = model.encode([goldens.texts[row] for row in rows])
    return float(_products(vectors, goldens.vectors[rows]).min())


def _products(vectors: Floats, reference: Floats) -> Array:
    """Return the product of each vector, as it is, with the reference at length 1.

    That is the cosine of a vector of length 1, which is what everybody takes a bundle's vectors for; where the graph
    does not normalise it is not, and shows.
    """
    return np.asarray(np.einsum("nd,nd->n", vectors.astype(np.float64), unit_rows(reference)))


def _scores(measured: Mapping[str, _Measured], workload: Workload, texts: Sequence[str]) -> dict[str, dict[str, Array]]:
    """Return the cosines [pairs] by set and subject."""
    place = {text: row for row, text in enumerate(texts)}
    found: dict[str, dict[str, Array]] = {data.name: {} for data in workload.sets}
    base = measured[BASELINE].vectors
    for name, one in measured.items():
        if one.vectors.shape != base.shape:
            raise ConfigError(
                f"baseline of {base.shape[1]} dimensions, {name} of {one.vectors.shape[1]}: no vectors to compare"
            )
        vectors = unit_rows(one.vectors)
        for data in workload.sets:
            left, right = ([place[text] for text in side] for side in (data.left, data.right))
            cosines = np.einsum("nd,nd->n", vectors[left], vectors[right])
            found[data.name][name] = cosines.round(DIGITS)
    return found


def _draws(scores: Mapping[str, Mapping[str, Array]], workload: Workload, plan: Plan) -> dict[str, dict[str, Array]]:
    """Return 100 times the correlations [resamples] by set and subject, the same pairs drawn for all subjects."""
    found = {}
    for number, data in enumerate(workload.sets):
        seed = plan.seed + number
        drawn = resampled_spearman(data.score, scores[data.name], plan.budget.resamples, seed)
        found[data.name] = {name: 100 * values for name, values in drawn.items()}
    return found


def _quality(
    name: str,
    measured: Mapping[str, _Measured],
    scores: Mapping[str, Mapping[str, Array]],
    draws: Mapping[str, Mapping[str, Array]],
    workload: Workload,
    texts: Sequence[str],
) -> Quality:
    own, base = measured[name], measured[BASELINE]
    sts = {data.name: 100 * spearman(data.score, scores[data.name][name]) for data in workload.sets}
    reference = {data.name: 100 * spearman(data.score, scores[data.name][BASELINE]) for data in workload.sets}
    differences = {
        data: quantile_interval(sts[data] - reference[data], drawn[name] - drawn[BASELINE])
        for data, drawn in draws.items()
    }
    average = statistics.fmean(sts.values())
    points = np.mean([drawn[name] - drawn[BASELINE] for drawn in draws.values()], axis=0)
    rows = np.flatnonzero(own.steady[: len(workload.graded)])  # the texts of the sets come first
    cosines = _products(own.vectors[rows], base.vectors[rows])
    gain = average - statistics.fmean(reference.values())
    compared = name != BASELINE
    return Quality(
        sts=sts,
        sts_average=average,
        cosine_mean=float(cosines.mean()),
        cosine_p1=float(np.quantile(cosines, 0.01)),
        cosine_min=float(cosines.min()),
        neighbours=_neighbours(own, base, workload, texts),
        invariance=own.invariance,
        golden_cosine_min=own.golden,
        set_differences=differences if compared else {},
        average_difference=quantile_interval(gain, points) if compared else None,
    )


def _neighbours(own: _Measured, base: _Measured, workload: Workload, texts: Sequence[str]) -> float:
    place = {text: row for row, text in enumerate(texts)}
    rows = np.array([row for row in map(place.__getitem__, workload.pool) if own.steady[row]])
    similar, true_similar = (unit_rows(one.vectors[rows]) for one in (own, base))
    return neighbour_overlap(similar @ similar.T, true_similar @ true_similar.T)
