"""How fast the subjects are: rounds of fresh processes in rotation, until the intervals are narrow or time is up."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mirrorkit.bench.measure.candidates import Candidate
from mirrorkit.bench.measure.machine import flops_per_token
from mirrorkit.bench.measure.plan import BenchPlan, Shapes
from mirrorkit.bench.measure.processes import Outcome, rotated
from mirrorkit.bench.measure.stats import inverse, over_rounds, width
from mirrorkit.bench.result import BASELINE, Interval, Speed, Timing
from mirrorkit.errors import ModelError
from mirrorkit.formats.json_file import read_object
from mirrorkit.progress import Progress, Silent

Round = Mapping[str, Any]  # what one process found
RunWorker = Callable[[Mapping[str, Any], str], Outcome]


@dataclass
class SpeedRun:
    """The speed of every subject, and how it was measured."""

    speeds: dict[str, Speed]
    rounds: int
    stopped: str  # what ended it: narrow intervals, the budget of time, or the largest number of rounds
    seconds: float
    gemm_peak: float  # operations a second
    gemm_by: str
    shape_seconds: float  # the time that one shape had in one process
    tokens: int  # of the ragged texts, special ones included, as the bundle's tokenizer cuts them
    short_tokens: int  # of the short one


@dataclass
class _Rounds:
    """What was found so far, a list with one entry a round for each subject."""

    found: dict[str, list[Round]]
    starts: dict[str, list[float]]
    peaks: list[Mapping[str, float]] = field(default_factory=list)  # of the matrix product, by who multiplied

    def times(self, name: str, workload: str) -> list[float]:
        return [statistics.median(found[workload]) for found in self.found[name]]

    def ratio(self, name: str, workload: str) -> Interval | None:
        """Return the time over the baseline's, round by round: what slows a whole round down cancels out."""
        if name == BASELINE:
            return None
        pairs = zip(self.times(name, workload), self.times(BASELINE, workload), strict=True)
        return over_rounds([own / base for own, base in pairs])

    def widest(self) -> float:
        """Return the widest reach, as a share, of the medians and ratios of ragged texts and of one text."""
        both = ("ragged", "single")
        medians = [over_rounds(self.times(name, workload)) for name in self.found for workload in both]
        ratios = [self.ratio(name, workload) for name in self.found for workload in both]
        return max(width(interval) for interval in (*medians, *ratios) if interval is not None)


def measure_speed(
    chosen: Sequence[Candidate],
    plan: BenchPlan,
    shapes: Shapes,
    texts: Sequence[str],
    short: str,
    worker: RunWorker,
    progress: Progress | None = None,
) -> SpeedRun:
    """Measure every candidate, the baseline among them. `worker` runs a job in a fresh process."""
    progress = progress or Silent()
    budget, names = plan.budget, [candidate.name for candidate in chosen]
    rounds = _Rounds({name: [] for name in names}, {name: [] for name in names})
    job = _job(plan, shapes, len(chosen), texts, short)
    for candidate in chosen:  # not timed: it fills the system's file cache for all that follow
        worker({**job, "task": "start", "candidate": candidate.order()}, candidate.name)
    begin = time.monotonic()
    while True:
        number = len(rounds.peaks)
        for candidate in rotated(chosen, number):
            name = candidate.name
            progress.phase(f"speed, round {number + 1}: {name}")
            own = {**job, "candidate": candidate.order()}
            rounds.found[name].append(worker({**own, "task": "speed"}, name).found)
            rounds.starts[name].append(worker({**own, "task": "start"}, name).seconds)
        gemm = {"task": "gemm", "threads": plan.threads, "seconds": budget.gemm_seconds}
        rounds.peaks.append(worker(gemm, "the matrix product").found)
        elapsed = time.monotonic() - begin
        if stopped := _why_stop(rounds, plan, elapsed):
            return _summary(rounds, chosen, stopped, elapsed, job["seconds"])


def _job(plan: BenchPlan, shapes: Shapes, subjects: int, texts: Sequence[str], short: str) -> dict[str, Any]:
    return {
        "threads": plan.threads,
        "texts": list(texts),
        "short": short,
        "shapes": [(batch, length) for length in shapes.lengths for batch in shapes.batches],
        "seconds": shapes.seconds(plan.budget, subjects),
        "calls": plan.budget.calls,
    }


def _why_stop(rounds: _Rounds, plan: BenchPlan, elapsed: float) -> str | None:
    """Return why no further round is run, or None."""
    budget, done = plan.budget, len(rounds.peaks)
    if done < budget.min_rounds:
        return None
    if rounds.widest() <= budget.narrow:
        return "narrow intervals"
    if done >= budget.max_rounds:
        return "largest number of rounds"
    return "budget of time" if elapsed * (done + 1) / done > budget.seconds else None


def _summary(
    rounds: _Rounds, chosen: Sequence[Candidate], stopped: str, seconds: float, shape_seconds: float
) -> SpeedRun:
    by, peak = max(((by, rate) for peaks in rounds.peaks for by, rate in peaks.items()), key=lambda found: found[1])
    own = rounds.found[chosen[-1].name][0]
    return SpeedRun(
        speeds={candidate.name: _speed(candidate, rounds, peak) for candidate in chosen},
        rounds=len(rounds.peaks),
        stopped=stopped,
        seconds=seconds,
        gemm_peak=peak,
        gemm_by=by,
        shape_seconds=shape_seconds,
        tokens=own["tokens"],
        short_tokens=own["short_tokens"],
    )


def _speed(candidate: Candidate, rounds: _Rounds, peak: float) -> Speed:
    name, found = candidate.name, rounds.found[candidate.name]
    texts = found[0]["texts"]
    cells = []
    for place, cell in enumerate(found[0]["grid"]):
        batch, length = cell["batch"], cell["length"]
        cells.append(_timing(batch, length, batch * length, [one["grid"][place]["times"] for one in found]))
    tokenising = zip(rounds.times(name, "tokenise"), rounds.times(name, "ragged"), strict=True)
    return Speed(
        grid=tuple(cells),
        ragged=_timing(texts, None, found[0]["tokens"], [one["ragged"] for one in found]),
        single=_timing(1, None, found[0]["short_tokens"], [one["single"] for one in found]),
        tokenise_share=min(1.0, statistics.median(own / whole for own, whole in tokenising)),
        start=over_rounds(rounds.starts[name]),
        resident_bytes=statistics.median(one["resident"] for one in found),
        peak_bytes=max(one["peak"] for one in found),
        gemm_share=None if candidate.is_another_model else _gemm_share(candidate.folder, cells, peak),
        rounds=len(found),
        ratio=rounds.ratio(name, "ragged"),
        single_ratio=rounds.ratio(name, "single"),
    )


def _timing(batch: int, length: int | None, tokens: int, times: Sequence[Sequence[float]]) -> Timing:
    """Summarise the calls [rounds][calls] with one shape; `tokens` are those of one call."""
    p50, p90, p99 = (over_rounds([float(np.quantile(one, share)) for one in times]) for share in (0.5, 0.9, 0.99))
    rates = inverse(p50, batch), inverse(p50, tokens)
    return Timing(batch, length, p50, p90, p99, *rates, calls=sum(map(len, times)))


def _gemm_share(folder: str, cells: Sequence[Timing], peak: float) -> float | None:
    """Return the share of the peak that the shape with most work a second comes to; above 1 is possible in int8."""
    try:
        config = read_object(Path(folder) / "config.json")
    except ModelError:
        return None
    rates = []
    for cell in cells:
        assert cell.length is not None
        work = flops_per_token(config, cell.length)
        if work is None:
            return None
        rates.append(work * cell.tokens_per_second.value)
    return max(rates) / peak
