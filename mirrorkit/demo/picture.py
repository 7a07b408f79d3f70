"""Draw where the right text stood before and after the fine-tune: two bars for each range of ranks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mirrorkit.demo.measure import BINS, Search
from mirrorkit.extras import require

require("matplotlib", extra="demo")
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_DOTS_PER_INCH = 130
LIGHT = {"paper": "#ffffff", "ink": "#1b2128", "before": "#a3adb8", "after": "#0b62c1"}
DARK = {"paper": "#14181d", "ink": "#e4e8ec", "before": "#66717d", "after": "#63b3ff"}


def range_of(low: int, high: int | None) -> str:
    """Return a range of ranks in words."""
    if high is None:
        return f"{low} or worse"
    return "first" if low == high == 1 else f"{low} to {high}"


def draw(file: Path, before: Search, after: Search, *, dark: bool = False) -> None:
    """Write a PNG of the ranks to `file`."""
    colours = DARK if dark else LIGHT
    figure = Figure(figsize=(9, 4.8), layout="constrained", facecolor=colours["paper"])
    FigureCanvasAgg(figure)  # without pyplot: no display is needed and no global state is left behind
    panel = figure.subplots()
    panel.set_facecolor(colours["paper"])
    total = len(before.ranks)
    places = np.arange(len(BINS))
    for name, shift, found in (("before", -0.2, before), ("after", 0.2, after)):
        shares = [100 * count / total for count in found.bins()]
        label = f"{name}: MRR@10 {found.mrr_at_10.value:.1f}"
        bars = panel.bar(places + shift, shares, 0.38, color=colours[name], label=label)
        panel.bar_label(bars, [f"{share:.0f} %" for share in shares], color=colours["ink"], padding=2, fontsize=11)
    panel.set_xticks(places, [range_of(low, high) for low, high in BINS], fontsize=12, color=colours["ink"])
    panel.set_yticks([])
    panel.spines[["top", "left", "right"]].set_visible(False)
    panel.spines["bottom"].set_color(colours["ink"])
    panel.tick_params(axis="x", length=0)
    panel.set_title(
        f"Where the right text stands, of {total} searches among {total} texts never trained on",
        fontsize=13,
        loc="left",
        color=colours["ink"],
    )
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=12, labelcolor=colours["ink"])
    figure.savefig(file, dpi=_DOTS_PER_INCH, facecolor=colours["paper"])
