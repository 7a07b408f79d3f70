"""Draw what one text or pair costs, and the peak of memory, against what grows: both should be level."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.growth.report import Growth
from benchmarks.growth.series import ROWS, STEPS, TOKENS
from mirrorkit.extras import require

require("matplotlib", extra="demo")
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

# A column each: title, what grows, and the series in it with their colours.
COLUMNS = (
    (
        "encoding, by number of texts",
        "texts",
        {
            "encode-texts": "#c2410c",
            "encode-texts-2": "#fb923c",
            "files-npy": "#0f766e",
            "files-parquet": "#2dd4bf",
            "files-jsonl": "#84cc16",
        },
    ),
    (
        "training, by number of strings",
        "strings, or pairs trained on",
        {"train-strings": "#334155", "train-steps": "#7c3aed", "read-strings": "#94a3b8"},
    ),
    ("by length", TOKENS, {"encode-length": "#c2410c", "train-length": "#334155"}),
    ("by vocabulary", ROWS, {"encode-vocabulary": "#c2410c", "train-vocabulary": "#334155"}),
)

_PLAIN = FuncFormatter(lambda value, _: f"{value:,.10g}")


def draw(found: Sequence[Growth], file: Path) -> None:
    """Write a PNG of two rows of panels, CPU time and memory; a column for each thing that grows."""
    measured = {growth.name: growth for growth in found}
    columns = [column for column in COLUMNS if any(name in measured for name in column[2])]
    if not columns:
        return
    figure = Figure(figsize=(4.6 * len(columns), 7.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, len(columns), squeeze=False)
    for number, (title, axis, colors) in enumerate(columns):
        work, memory = panels[0][number], panels[1][number]
        for name, color in colors.items():
            if growth := measured.get(name):
                _lines(work, memory, growth, color)
        _finish(work, f"CPU µs a {'token' if axis == TOKENS else 'text, string or pair'}", axis)
        _finish(memory, "peak memory, MB", axis)
        work.set_title(title, fontsize=12, loc="left")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)


def _lines(work: Any, memory: Any, growth: Growth, color: str) -> None:
    by_token = growth.series.axis == TOKENS
    sizes = growth.sizes
    seconds = [growth.per_unit(size) / (size if by_token else 1) * 1e6 for size in sizes]
    peaks = [growth.at(size, "peak_memory_bytes") / 1e6 for size in sizes]
    at = [growth.at(size, "units") for size in sizes] if growth.series.axis == STEPS else sizes
    work.plot(at, seconds, "o-", color=color, ms=4, label=f"{growth.name}: {growth.work_verdict}")
    memory.plot(at, peaks, "o-", color=color, ms=4, label=f"{growth.name}: {growth.memory_verdict}")


def _finish(panel: Any, what: str, axis: str) -> None:
    panel.set_xscale("log")
    panel.set_yscale("log")
    if axis in (TOKENS, ROWS):
        panel.set_xticks(sorted({size for line in panel.get_lines() for size in line.get_xdata()}))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.xaxis.set_major_formatter(_PLAIN)
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_major_formatter(_PLAIN)
    panel.yaxis.set_minor_formatter(NullFormatter())
    low, high = panel.get_ylim()
    panel.set_ylim(low / 1.6, high * 4)  # level lines are to look level, below the legend
    panel.legend(fontsize=8, frameon=False, loc="upper left")
    panel.set_xlabel(axis, fontsize=9)
    panel.set_ylabel(what, fontsize=9)
    panel.grid(alpha=0.25)
    panel.tick_params(labelsize=8)
    panel.spines[["top", "right"]].set_visible(False)
