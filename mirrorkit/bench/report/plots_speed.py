"""Plots of cost: latency over length and over batch, memory and file size."""

from __future__ import annotations

from mirrorkit.bench.report.plots import (
    Plot,
    as_interval,
    finished,
    legend,
    look,
    panel,
    plain_numbers,
    reach,
    short,
    styled,
)
from mirrorkit.bench.report.words import sound
from mirrorkit.bench.result import BenchResult, Interval, Subject

_BAR = 0.26  # of the distance between two subjects
_BARS = "Bars: 95 % intervals over the rounds. Both axes are logarithmic."
Line = tuple[int, str, list[tuple[int, Interval]]]  # number and name of a subject, (x, seconds)


def over_length(result: BenchResult) -> Plot | None:
    """Draw the median time of the smallest batch over the length of its texts."""
    batch = min(_of_grid(result, "batch"), default=0)
    lines: list[Line] = [
        (n, s.name, [(t.length, t.p50) for t in s.speed.grid if t.length and t.batch == batch and sound(t.p50)])
        for n, s in enumerate(result.subjects)
        if s.speed
    ]
    return _over("length", f"Latency over length, batch of {batch}", "tokens", "p50, ms", lines)


def over_batch(result: BenchResult) -> Plot | None:
    """Draw the median time for one text of a batch over the size of the batch, at the length in the middle."""
    lengths = _of_grid(result, "length")
    length = lengths[len(lengths) // 2] if lengths else 0
    lines: list[Line] = [
        (n, s.name, [(t.batch, _share(t.p50, t.batch)) for t in s.speed.grid if t.length == length and sound(t.p50)])
        for n, s in enumerate(result.subjects)
        if s.speed
    ]
    return _over("batch", f"Latency over batch, {length} tokens", "texts in a batch", "p50 ÷ batch, ms", lines)


def _of_grid(result: BenchResult, what: str) -> list[int]:
    return sorted({getattr(t, what) for s in result.subjects if s.speed for t in s.speed.grid if getattr(t, what)})


def _share(interval: Interval, count: int) -> Interval:
    return Interval(interval.value / count, interval.low / count, interval.high / count)


def _over(name: str, title: str, across: str, up: str, lines: list[Line]) -> Plot | None:
    lines = [(n, s, sorted(points, key=lambda p: p[0])) for n, s, points in lines if points]
    places = sorted({x for _, _, points in lines for x, _ in points})
    if len(places) < 2:  # a line through one point shows nothing that the table does not
        return None
    with styled():
        figure, axes = panel()
        for number, subject, points in lines:
            y = [1000 * p.value for _, p in points]
            error = list(zip(*(reach(p, 1000) for _, p in points), strict=True))
            axes.errorbar([x for x, _ in points], y, yerr=error, label=short(subject), ms=5, **look(number))
        axes.set(xscale="log", yscale="log", xlabel=across, ylabel=up)
        axes.set_xticks(places, [str(x) for x in places])
        axes.set_xticks([], minor=True)
        plain_numbers(axes.yaxis)
        legend(figure, axes)
        told = "; ".join(f"{s}: " + ", ".join(f"{x}: {1000 * p.value:.3g}" for x, p in pts) for _, s, pts in lines)
        return finished(figure, name, title, f"{up} over {across}, {told}.", _BARS)


def memory(result: BenchResult) -> Plot | None:
    """Draw the size of the file, and the resident memory after the work and at its peak."""
    kinds = ("file", "resident", "peak")
    subjects = list(result.subjects)
    if not subjects:
        return None
    with styled():
        figure, axes = panel(1.5 + 0.42 * len(subjects))
        for place, kind in enumerate(kinds):
            sizes = [_megabytes(subject).get(kind, 0.0) for subject in subjects]
            rows = [row + _BAR * (place - 1) for row in range(len(subjects))]
            axes.barh(rows, sizes, height=_BAR * 0.9, label=kind, color=look(place)["color"])
        axes.set_yticks(range(len(subjects)), [short(subject.name) for subject in subjects])
        axes.set_ylim(len(subjects) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("MB")
        legend(figure, axes)
        told = (f"{s.name}: " + ", ".join(f"{k} {v:.1f}" for k, v in _megabytes(s).items()) for s in subjects)
        return finished(figure, "memory", "Memory and file size", f"Megabytes, {'; '.join(told)}.", "")


def _megabytes(subject: Subject) -> dict[str, float]:
    speed = subject.speed
    sizes = {
        "file": subject.file_bytes,
        "resident": speed.resident_bytes if speed else None,
        "peak": speed.peak_bytes if speed else None,
    }
    found = {kind: as_interval(size) for kind, size in sizes.items()}
    return {kind: size.value / 1e6 for kind, size in found.items() if sound(size)}
