"""Draw the race: a row for every contestant, with its throughput, its latency and what it costs in STS points."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.report import BASELINE, latencies, speeds
from benchmarks.record import Figures
from mirrorkit.extras import require

require("matplotlib", extra="demo")
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

OURS, OTHERS, SPREAD = "#c2410c", "#64748b", "#0f172a"
_DOTS_PER_INCH = 120
_ROW = 0.29  # inches
_FINE = 0.1  # points of STS around the baseline where the scale is linear; beyond it is logarithmic


@dataclass(frozen=True)
class Row:
    """What was measured of one contestant, a figure a round; `score` is in STS points above the baseline."""

    name: str
    speeds: list[float]  # sentences per second
    latencies: list[float]  # milliseconds
    score: float

    @property
    def ours(self) -> bool:
        return self.name.startswith("mirrorkit")


def rows(record: Figures) -> list[Row]:
    """Return every contestant that was timed and scored, the fastest first by the median of its rounds."""
    scores = {name: found["average"] for name, found in record["scores"].items()}
    zero = scores.get(BASELINE, max(scores.values(), default=0.0))
    found = [
        Row(name, speeds(record, name), latencies(record, name), round(scores[name] - zero, 2))
        for name in record["runs"]
        if name in scores
    ]
    return sorted(found, key=lambda row: -statistics.median(row.speeds))


def draw(record: Figures, file: Path) -> None:
    """Write a PNG to `file`; nothing where no contestant was both timed and scored."""
    found = rows(record)
    if not found:
        return
    height = 1.6 + _ROW * len(found)
    figure = Figure(figsize=(13.5, height), dpi=_DOTS_PER_INCH)
    FigureCanvasAgg(figure)  # without pyplot: no display is needed and no global state is left behind
    hardware = record["hardware"]
    figure.suptitle(
        f"{record['model']} on {hardware['cpu']}, {record['threads']} threads, {record['date']}", fontsize=13
    )
    fast, quick, score = figure.subplots(1, 3, sharey=True, width_ratios=(5, 5, 3))
    figure.subplots_adjust(left=0.25, right=0.985, top=1 - 0.5 / height, bottom=0.75 / height, wspace=0.04)
    _bars(fast, [row.speeds for row in found], found, "sentences per second; more is better")
    _bars(quick, [row.latencies for row in found], found, "one short text, median [ms]; less is better")
    _scores(score, found)
    fast.set_yticks(range(len(found)), [row.name for row in found], fontsize=9)
    for tick, row in zip(fast.get_yticklabels(), found, strict=True):
        tick.set_color(OURS if row.ours else SPREAD)
    fast.invert_yaxis()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)


def _bars(panel: Any, values: Sequence[Sequence[float]], found: Sequence[Row], label: str) -> None:
    """A bar for the median of each, a line from the lowest to the highest round, and the median in figures."""
    medians = [statistics.median(each) for each in values]
    left = min(min(each) for each in values) / 2
    right = max(max(each) for each in values)
    panel.set_xscale("log")
    panel.set_xlim(left, right * (right / left) ** 0.2)
    panel.barh(range(len(found)), medians, color=[OURS if row.ours else OTHERS for row in found], height=0.66)
    for place, (each, median) in enumerate(zip(values, medians, strict=True)):
        panel.plot([min(each), max(each)], [place, place], color=SPREAD, linewidth=1.4)
        panel.annotate(
            f"{median:,.0f}" if median >= 10 else f"{median:.2f}", (max(each), place), xytext=(4, 0),
            textcoords="offset points", va="center", fontsize=8,
        )  # fmt: skip
    across = [m * 10**e for e in range(-3, 7) for m in (1, 3) if left <= m * 10**e <= right]
    panel.set_xticks(across, [f"{tick:,g}" for tick in across], fontsize=8)
    _frame(panel, label)


def _scores(panel: Any, found: Sequence[Row]) -> None:
    values = [row.score for row in found]
    panel.axvline(0, color=OTHERS, linewidth=0.8)
    panel.scatter(values, range(len(found)), color=[OURS if row.ours else OTHERS for row in found], s=26, zorder=3)
    panel.set_xscale("symlog", linthresh=_FINE, linscale=0.6)
    low, high = min(*values, -_FINE) * 3, max(*values, _FINE) * 3
    panel.set_xlim(low, high)
    across = [tick for tick in (-10, -1, -0.1, 0, 0.1, 1) if low <= tick <= high]
    panel.set_xticks(across, [f"{tick:+g}" if tick else "0" for tick in across], fontsize=8)
    _frame(panel, f"STS points beside\n{BASELINE}")


def _frame(panel: Any, label: str) -> None:
    panel.minorticks_off()
    panel.set_xlabel(label, fontsize=10)
    panel.grid(axis="x", alpha=0.25)
    panel.set_axisbelow(True)
    panel.tick_params(axis="y", length=0)
    panel.margins(y=0.01)
