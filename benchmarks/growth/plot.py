"""Draw what one text or pair costs, and the peak of memory, against what grows: both should be level."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.growth.report import Growth
from benchmarks.growth.series import ROWS, TEXTS, TOKENS
from mirrorkit.extras import require

require("matplotlib", extra="demo")
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

TITLES = {TEXTS: "number of texts", TOKENS: "tokens a text", ROWS: "rows of the vocabulary"}
COLORS = {
    "encode-texts": "#c2410c",
    "encode-texts-2": "#fb923c",
    "encode-length": "#c2410c",
    "encode-vocabulary": "#c2410c",
    "files-npy": "#0f766e",
    "files-parquet": "#2dd4bf",
    "files-jsonl": "#84cc16",
    "train-strings": "#334155",
    "train-length": "#334155",
    "train-vocabulary": "#334155",
}


def draw(found: Sequence[Growth], file: Path) -> None:
    """Write a PNG of two rows of panels, CPU time and memory; a column for each thing that grows."""
    axes_shown = [axis for axis in TITLES if any(growth.series.axis == axis for growth in found)]
    if not axes_shown:
        return
    figure = Figure(figsize=(4.6 * len(axes_shown), 7.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, len(axes_shown), squeeze=False)
    for column, axis in enumerate(axes_shown):
        shown = [growth for growth in found if growth.series.axis == axis]
        for growth in shown:
            _lines(panels[0][column], panels[1][column], growth)
        _finish(panels[0][column], f"CPU µs a {'token' if axis == TOKENS else 'text or pair'}", axis)
        _finish(panels[1][column], "peak memory, MB", axis)
        panels[0][column].legend(fontsize=8, frameon=False)
        panels[0][column].set_title(f"by {TITLES[axis]}", fontsize=11, loc="left")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)


def _lines(work: Any, memory: Any, growth: Growth) -> None:
    color = COLORS[growth.name]
    by_token = growth.series.axis == TOKENS
    seconds = [growth.per_unit(size) / (size if by_token else 1) * 1e6 for size in growth.sizes]
    peaks = [growth.at(size, "peak_memory_bytes") / 1e6 for size in growth.sizes]
    work.plot(growth.sizes, seconds, "o-", color=color, ms=4, label=f"{growth.name}: {growth.work_verdict}")
    memory.plot(growth.sizes, peaks, "o-", color=color, ms=4)


def _finish(panel: Any, what: str, axis: str) -> None:
    panel.set_xscale("log")
    panel.set_yscale("log")
    low, high = panel.get_ylim()
    panel.set_ylim(low / 1.6, high * 1.6)  # level lines are to look level
    panel.set_xlabel(axis, fontsize=9)
    panel.set_ylabel(what, fontsize=9)
    panel.grid(alpha=0.25)
    panel.tick_params(labelsize=8)
    panel.spines[["top", "right"]].set_visible(False)
