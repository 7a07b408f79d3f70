"""The single figures of a subject by their path in the JSON document, with what is needed to compare two of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from mirrorkit.bench.result import Interval, Quality, Speed, Subject, Timing


@dataclass(frozen=True)
class Figure:
    """One figure, and what kind it is."""

    value: float
    lower_is_better: bool | None  # None: neither is better
    interval: Interval | None = None  # of a figure that varies from run to run, or of its difference to the baseline
    chance: bool = True  # whether it varies from run to run; False: the same texts always give the same figure
    relative_to_baseline: bool = False
    resolution: float = 0.0  # values no further apart are the same
    unit: str = ""
    scale: float = 1.0  # from the figure to the unit
    as_share: bool = False  # whether a change is best told as a share


_SCORE = Figure(0, lower_is_better=False, chance=False, resolution=0.005)
_COSINE = Figure(0, lower_is_better=False, chance=False, resolution=1e-6, relative_to_baseline=True)
_TIME = Figure(0, lower_is_better=True, unit="ms", scale=1e3, as_share=True)
_RATE = Figure(0, lower_is_better=False, unit="/s", as_share=True)
_BYTES = Figure(0, lower_is_better=True, unit="MB", scale=1e-6, as_share=True)
_RATIO = Figure(0, lower_is_better=True, relative_to_baseline=True)
_SHARE = Figure(0, lower_is_better=None)


_Found = tuple[str, float | Interval | None, Figure]


def figures(subject: Subject) -> dict[str, Figure]:
    """Return the figures that were measured, by path, e.g. `speed.grid.8x32.p50`; NaN counts as not measured."""
    found: list[_Found] = [("file_bytes", subject.file_bytes, replace(_BYTES, chance=False))]
    if subject.quality:
        found += [(f"quality.{path}", value, kind) for path, value, kind in _quality(subject.quality)]
    if subject.speed:
        found += [(f"speed.{path}", value, kind) for path, value, kind in _speed(subject.speed)]
    made = {path: _figure(value, kind) for path, value, kind in found}
    return {path: figure for path, figure in made.items() if figure is not None}


def _quality(quality: Quality) -> Iterator[_Found]:
    yield "sts_average", quality.sts_average, replace(_SCORE, interval=quality.average_difference)
    for name, score in quality.sts.items():
        yield f"sts.{name}", score, replace(_SCORE, interval=quality.set_differences.get(name))
    for name, one in quality.tasks.items():
        yield f"tasks.{name}", one.score, replace(_SCORE, interval=one.difference)
    yield "cosine_mean", quality.cosine_mean, _COSINE
    yield "cosine_p1", quality.cosine_p1, _COSINE
    yield "cosine_min", quality.cosine_min, _COSINE
    yield "golden_cosine_min", quality.golden_cosine_min, replace(_COSINE, relative_to_baseline=False)
    yield "neighbours", quality.neighbours, replace(_COSINE, resolution=1e-4)
    yield "invariance", quality.invariance, replace(_SCORE, lower_is_better=True, resolution=1e-5)


def _speed(speed: Speed) -> Iterator[_Found]:
    yield from _timing("ragged", speed.ragged)
    yield from _timing("single", speed.single)
    for timing in speed.grid:
        yield from _timing(f"grid.{timing.batch}x{timing.length}", timing)
    yield "ratio", speed.ratio, _RATIO
    yield "single_ratio", speed.single_ratio, _RATIO
    yield "start", speed.start, _TIME
    yield "resident_bytes", speed.resident_bytes, _BYTES
    yield "peak_bytes", speed.peak_bytes, _BYTES
    yield "tokenise_share", speed.tokenise_share, _SHARE
    yield "gemm_share", speed.gemm_share, _SHARE


def _timing(path: str, timing: Timing) -> Iterator[_Found]:
    for name in ("p50", "p90", "p99"):
        yield f"{path}.{name}", getattr(timing, name), _TIME
    for name in ("sentences_per_second", "tokens_per_second"):
        yield f"{path}.{name}", getattr(timing, name), _RATE


def _figure(value: float | Interval | None, kind: Figure) -> Figure | None:
    interval = value if isinstance(value, Interval) else kind.interval
    plain = value.value if isinstance(value, Interval) else value
    bounds = (plain,) if interval is None else (plain, interval.value, interval.low, interval.high)
    if plain is None or not math.isfinite(plain):
        return None
    whole = all(bound is not None and math.isfinite(bound) for bound in bounds)
    return replace(kind, value=plain, interval=interval if whole else None)
