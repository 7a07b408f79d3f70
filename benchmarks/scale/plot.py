"""Draw how much of what is paid for is encoding, by the size of a shard and the number of workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.scale.simulate import Outcome
from mirrorkit.extras import require

require("matplotlib", extra="demo")
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

SHADES = ("#fdba74", "#fb923c", "#ea580c", "#7c2d12")


def draw(curves: Mapping[int, Sequence[Outcome]], file: Path) -> None:
    """Write a PNG of a curve for each number of workers to `file`."""
    figure = Figure(figsize=(5.6, 3.4), dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for (workers, outcomes), shade in zip(curves.items(), SHADES, strict=True):
        sizes = [found.shard_texts for found in outcomes]
        efficiency = [100 * found.efficiency for found in outcomes]
        axes.plot(sizes, efficiency, "o-", color=shade, ms=3.5, label=f"{workers:,} workers")
    axes.set_xscale("log")
    axes.set_ylim(0, 100)
    axes.set_xlabel("texts a shard", fontsize=9)
    axes.set_title("100 million texts: encoding, % of the time that is paid for", fontsize=10, loc="left")
    axes.grid(alpha=0.25)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.02)
    axes.legend(fontsize=8, frameon=False, loc="lower left")
    figure.subplots_adjust(left=0.09, right=0.98, top=0.9, bottom=0.15)
    figure.savefig(file)
