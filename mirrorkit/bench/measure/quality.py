"""How good the vectors of the subjects are, and how near they are to the baseline's."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mirrorkit.bench.measure.candidates import Candidate, Model, open_model
from mirrorkit.bench.measure.cuts import cut_scores
from mirrorkit.bench.measure.plan import BenchPlan
from mirrorkit.bench.measure.workload import Workload
from mirrorkit.bench.result import BASELINE, Quality, SetScore
from mirrorkit.correlation import DIGITS, Array, spearman
from mirrorkit.errors import ConfigError, CorpusError, ModelError
from mirrorkit.evaluation.intervals import paired_difference, quantile_interval, resampled_spearman
from mirrorkit.evaluation.pairs import products, unit_rows
from mirrorkit.evaluation.sets import QuerySet
from mirrorkit.formats.golden import Goldens, read_goldens
from mirrorkit.progress import Progress, Silent
from mirrorkit.text.ragged import Floats
from mirrorkit.verification.measure import invariance, neighbour_overlap, steady
from mirrorkit.verification.thresholds import THRESHOLDS

Bools = npt.NDArray[np.bool_]
_Scores = Mapping[str, Mapping[str, Array]]  # by set and subject


@dataclass(frozen=True)
class _Measured:
    """What one subject gave, held until all have."""

    vectors: Floats  # float32 [n, dim] of the workload's texts, as the subject gives them
    steady: Bools  # bool [n]; all True where the precision knows no unsteady texts
    invariance: float
    golden: float | None
    tasks: dict[str, Array]  # set -> main score of each query


@dataclass(frozen=True)
class QualityRun:
    """The quality of every subject, and of how many texts the figures of each are."""

    qualities: dict[str, Quality]
    left_out: dict[str, int]  # texts of one token over and over, in the precisions that are unsteady on them


def measure_quality(
    chosen: Sequence[Candidate], plan: BenchPlan, workload: Workload, longest: int, progress: Progress | None = None
) -> QualityRun:
    """Encode every text once with every candidate and compare; the baseline must be among them.

    Raises ConfigError for a baseline whose vectors cannot be compared or that does not take `longest` tokens, which are
    to be timed.
    """
    progress = progress or Silent()
    texts = workload.texts
    goldens = _goldens(chosen)
    measured: dict[str, _Measured] = {}
    by_graph: dict[tuple[str, ...], _Measured] = {}  # the stand-in for a baseline is a variant too
    for candidate in chosen:
        graph = (candidate.folder, candidate.file, candidate.engine, candidate.precision)
        if graph not in by_graph:
            progress.phase(f"quality: {candidate.name}")
            model = open_model(candidate, plan.threads)
            if model.max_length < longest:
                raise ConfigError(f"lengths {longest}: {candidate.folder} takes at most {model.max_length} tokens")
            by_graph[graph] = _measure(candidate, model, workload, goldens.get(graph[:2]), progress)
        measured[candidate.name] = by_graph[graph]
    progress.phase("comparing the vectors")
    scores = _cosines(measured, workload, texts, {one.name for one in chosen if one.is_another_model})
    draws = _draws(scores, workload, plan)
    vectors = {name: one.vectors for name, one in measured.items()}
    cuts = cut_scores(chosen, vectors, workload, plan.budget.resamples, plan.seed)
    base = measured[BASELINE].tasks
    qualities = {
        name: replace(
            _quality(name, measured, scores, draws, workload, texts),
            tasks=_task_scores(workload.tasks, own.tasks, None if name == BASELINE else base, plan),
            cuts=cuts.get(name, {}),
        )
        for name, own in measured.items()
    }
    left_out = {name: int((~found.steady).sum()) for name, found in measured.items()}
    return QualityRun(qualities, left_out)


def _goldens(chosen: Sequence[Candidate]) -> dict[tuple[str, ...], Goldens]:
    """Return the golden texts of each candidate that has some, by folder and graph."""
    read: dict[tuple[str, str], Goldens] = {}
    found: dict[tuple[str, ...], Goldens] = {}
    for one in chosen:
        if one.bundle is None or one.variant.golden not in one.bundle.files:
            continue
        file = (one.folder, one.variant.golden)
        if file not in read:
            read[file] = read_goldens(one.bundle.path(one.variant.golden), one.bundle.dim_of(one.variant))
        found[one.folder, one.file] = read[file]
    return found


def _measure(
    candidate: Candidate, model: Model, workload: Workload, goldens: Goldens | None, progress: Progress
) -> _Measured:
    texts, done = workload.texts, 0

    def count(texts_done: int) -> None:
        nonlocal done
        done += texts_done
        progress.advance(done, len(texts))

    only_steady = THRESHOLDS[candidate.precision].steady_only
    golden = _golden(goldens, model, only_steady)
    everything: Bools = np.ones(len(texts), dtype=np.bool_)
    judged = steady(model.ids(texts)) if only_steady else everything
    if not judged[: len(workload.graded)].any():
        raise CorpusError("every text of the sets repeats one token, so there is nothing to compare")
    vectors = model.encode(texts, count)
    if not np.isfinite(vectors).all():
        raise ModelError(f"{candidate.folder}: gives vectors that hold NaN or infinity")
    return _Measured(
        vectors=vectors,
        steady=judged,
        golden=golden,
        tasks={one.name: one.main_scores(model, progress) for one in workload.tasks},
        invariance=invariance(model, model.ids(workload.pool), model.pad_id, model.max_length),
    )


def _golden(goldens: Goldens | None, model: Model, only_steady: bool) -> float | None:
    """Return the lowest cosine to the bundle's own reference, through its tokenizer; None for what has no reference."""
    if goldens is None:
        return None
    rows = np.flatnonzero(steady(goldens.ids)) if only_steady else np.arange(len(goldens.texts))
    if not len(rows):
        return None
    vectors = model.encode([goldens.texts[row] for row in rows])
    known = goldens.vectors[rows]
    nothing = ~(vectors.any(axis=1) | known.any(axis=1))  # a text without tokens, which a table gives no direction
    return float((products(vectors, known) + nothing).min())


def _cosines(
    measured: Mapping[str, _Measured], workload: Workload, texts: Sequence[str], others: set[str]
) -> dict[str, dict[str, Array]]:
    """Return the cosines [pairs] by set and subject."""
    place = {text: row for row, text in enumerate(texts)}
    found: dict[str, dict[str, Array]] = {data.name: {} for data in workload.sets}
    base = measured[BASELINE].vectors
    for name, one in measured.items():
        if one.vectors.shape != base.shape and name not in others:
            raise ConfigError(
                f"`baseline` has {base.shape[1]} dimensions, {name} has {one.vectors.shape[1]}: they cannot be compared"
            )
        vectors = unit_rows(one.vectors)
        for data in workload.sets:
            left, right = ([place[text] for text in side] for side in (data.left, data.right))
            cosines = np.einsum("nd,nd->n", vectors[left], vectors[right])
            found[data.name][name] = cosines.round(DIGITS)
    return found


def _draws(scores: _Scores, workload: Workload, plan: BenchPlan) -> _Scores:
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
    scores: _Scores,
    draws: _Scores,
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
    comparable = own.vectors.shape == base.vectors.shape  # those of another model may have another length
    cosines = products(own.vectors[rows], base.vectors[rows]) if comparable else np.full(1, np.nan)
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


def _task_scores(
    sets: list[QuerySet], own: Mapping[str, Array], base: Mapping[str, Array] | None, plan: BenchPlan
) -> dict[str, SetScore]:
    """Return the score of each set by its name, from the scores by query of a subject and of the baseline, [queries].

    `base` is None for the baseline itself. Every subject sees the same resamples of the queries.
    """
    found = {}
    for one in sets:
        scores = 100 * own[one.name]
        difference = None
        if base is not None:
            theirs = 100 * base[one.name]
            difference = paired_difference(scores, theirs, resamples=plan.budget.resamples, seed=plan.seed)
        found[one.name] = SetScore(one.kind, one.measure, len(scores), float(scores.mean()), difference)
    return found


def _neighbours(own: _Measured, base: _Measured, workload: Workload, texts: Sequence[str]) -> float:
    place = {text: row for row, text in enumerate(texts)}
    rows = np.array([row for row in map(place.__getitem__, workload.pool) if own.steady[row]])
    similar, true_similar = (unit_rows(one.vectors[rows]) for one in (own, base))
    return neighbour_overlap(similar @ similar.T, true_similar @ true_similar.T)
