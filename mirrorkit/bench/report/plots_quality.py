"""Plots of quality: against latency with the Pareto front, and set by set before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mirrorkit.bench.report.plots import INK, Plot, as_interval, finished, legend, look, panel, reach, short, styled
from mirrorkit.bench.report.words import sound
from mirrorkit.bench.result import BASELINE, BenchResult, Interval, Quality, Speed, Subject

_APART = 0.72  # of the distance between two sets, shared by the subjects' markers
_PAIRED = "Bars: 95 % intervals of the difference to the baseline, paired bootstrap over pairs or queries."
_PARETO = "Dashed: the Pareto front; no subject above or left of it. Bars: 95 % intervals, of the score those of the "
_PARETO += "difference to the baseline. The axis of the score does not begin at 0."
_Row = tuple[int, str, Mapping[str, "Interval | None"]]  # number and name of a subject, set -> figure


@dataclass(frozen=True)
class Point:
    """A subject's quality and the milliseconds it takes, with the reach of their intervals to both sides."""

    name: str
    number: int
    milliseconds: float
    error: tuple[float, float]
    score: float
    score_error: tuple[float, float]  # of the difference to the baseline


def pareto_batches(result: BenchResult) -> Plot | None:
    """Draw the STS average against the time a sentence takes in batches."""
    points = [_point(n, s, _inverse(speed.ragged.sentences_per_second)) for n, s, speed in _timed(result)]
    return _pareto("pareto", "Quality against latency: real texts in batches", "ms a sentence", points)


def pareto_single(result: BenchResult) -> Plot | None:
    """Draw the STS average against the time of one short text."""
    points = [_point(n, s, speed.single.p50) for n, s, speed in _timed(result)]
    return _pareto("pareto-single", "Quality against latency: one short text", "ms a text", points)


def _timed(result: BenchResult) -> list[tuple[int, Subject, Speed]]:
    return [(n, s, s.speed) for n, s in enumerate(result.subjects) if s.speed]


def _scored(result: BenchResult) -> list[tuple[int, Subject, Quality]]:
    return [(n, s, s.quality) for n, s in enumerate(result.subjects) if s.quality]


def _inverse(rate: Interval) -> Interval | None:
    return Interval(1 / rate.value, 1 / rate.high, 1 / rate.low) if sound(rate) and rate.low > 0 else None


def _point(number: int, subject: Subject, seconds: Interval | None) -> Point | None:
    score = as_interval(subject.quality.sts_average if subject.quality else None)
    if not sound(score) or not sound(seconds):
        return None
    paired = subject.quality.average_difference if subject.quality else None
    score_error = reach(paired) if sound(paired) else (0.0, 0.0)
    return Point(subject.name, number, 1000 * seconds.value, reach(seconds, 1000), score.value, score_error)


def front(points: list[Point]) -> list[Point]:
    """Return the points that no other beats in both quality and time, fastest first."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda p: (p.milliseconds, -p.score)):
        if not kept or point.score > kept[-1].score:
            kept.append(point)
    return kept


def _pareto(name: str, title: str, unit: str, found: list[Point | None]) -> Plot | None:
    points = [point for point in found if point is not None]
    if not points:
        return None
    best = front(points)
    with styled():
        figure, axes = panel()
        steps = [p.milliseconds for p in best], [p.score for p in best]
        axes.step(*steps, where="post", color=INK, linewidth=1, linestyle="--")
        for p in points:
            bars = {"xerr": [[end] for end in p.error], "yerr": [[end] for end in p.score_error]}
            axes.errorbar([p.milliseconds], [p.score], **bars, label=short(p.name), ls="", ms=8, **look(p.number))
        axes.set(xlabel=unit, ylabel="STS average")
        axes.set_xlim(left=0)
        axes.margins(0.12)
        axes.ticklabel_format(useOffset=False)
        legend(figure, axes)
        told = "; ".join(f"{p.name} {p.score:.2f} at {p.milliseconds:.2f} ms" for p in points)
        names = ", ".join(p.name for p in best)
        description = f"STS average against {unit}: {told}. On the Pareto front: {names}."
        return finished(figure, name, title, description, _PARETO)


def sets_scores(result: BenchResult) -> Plot | None:
    """Draw the scores of every set, the baseline's (before) and the variants' (after)."""
    rows = [(n, s.name, {k: as_interval(v) for k, v in q.sts.items()}) for n, s, q in _scored(result)]
    return _by_set("sets", "STS by set, before (baseline) and after", "Spearman × 100", rows, zero=False)


def sets_differences(result: BenchResult) -> Plot | None:
    """Draw how far every variant is from the baseline on every set, with the interval."""
    rows = [(n, s.name, q.set_differences) for n, s, q in _scored(result) if s.name != BASELINE]
    title = "STS by set, difference to the baseline"
    return _by_set("differences", title, "points above the baseline", rows, zero=True)


def task_differences(result: BenchResult) -> Plot | None:
    """Draw the same for retrieval, search and labels."""
    scored = [(n, s.name, q) for n, s, q in _scored(result) if s.name != BASELINE]
    rows = [(n, name, {task: one.difference for task, one in q.tasks.items()}) for n, name, q in scored]
    title = "Search and labels, difference to the baseline"
    return _by_set("tasks", title, "points above the baseline", rows, zero=True)


def _by_set(name: str, title: str, unit: str, rows: Sequence[_Row], *, zero: bool) -> Plot | None:
    sets = list(dict.fromkeys(task for _, _, values in rows for task, value in values.items() if sound(value)))
    if not sets:
        return None
    with styled():
        figure, axes = panel(1.8 + 0.32 * len(sets))
        if zero:
            axes.axvline(0, color=INK, linewidth=1)
        for place, (number, subject, values) in enumerate(rows):
            shift = _APART * ((place + 0.5) / len(rows) - 0.5)
            _dots(axes, number, subject, [(sets.index(k) + shift, v) for k, v in values.items() if sound(v)])
        axes.set_yticks(range(len(sets)), [short(task) for task in sets])
        axes.set_ylim(len(sets) - 0.5, -0.5)  # the first set on top
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(unit)
        legend(figure, axes)
        told = (
            f"{subject}: " + ", ".join(f"{k} {v.value:{'+' if zero else ''}.2f}" for k, v in values.items() if sound(v))
            for _, subject, values in rows
        )
        return finished(figure, name, title, f"{unit}, {'; '.join(told)}.", _PAIRED if zero else "")


def _dots(axes: Any, number: int, subject: str, dots: list[tuple[float, Interval]]) -> None:
    if not dots:
        return
    error = list(zip(*(reach(v) for _, v in dots), strict=True))
    places = [y for y, _ in dots]
    axes.errorbar([v.value for _, v in dots], places, xerr=error, label=short(subject), ls="", ms=5, **look(number))
