"""Draw the gain over the number of strings, and identity views against crops by domain."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.expect.page import MEASURES, Group, before, groups
from benchmarks.record import Figures
from mirrorkit.extras import require

require("matplotlib", extra="demo")
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLORS = ("#c2410c", "#0d9488", "#7c3aed", "#334155", "#f59e0b", "#64748b", "#be185d", "#15803d")
MARKERS = ("o", "s", "^")
IDENTITY, CROP = "#94a3b8", "#c2410c"
SIZE = {"figsize": (7.3, 4.6), "dpi": 110, "layout": "constrained"}  # about 800 pixels wide, as a page shows it


def draw_strings(record: Figures, file: Path) -> None:
    """Write a PNG of the gain by the measure of each corpus' own kind over the strings trained on."""
    known = before(record)
    lines: dict[tuple[str, str], list[Group]] = {}
    for group in groups(record):
        if group.recipe == "auto":
            lines.setdefault((group.corpus, group.base), []).append(group)
    lines = {key: some for key, some in lines.items() if len(some) > 1}
    figure, panel = _figure()
    corpora, bases = sorted({corpus for corpus, _ in lines}), list(known)
    for (corpus, base), some in sorted(lines.items()):
        own = some[0].own()
        gains = [group.gains(known[base])[own] for group in some]
        panel.errorbar(
            [group.strings for group in some],
            [statistics.fmean(each) for each in gains],
            [statistics.stdev(each) if len(each) > 1 else 0.0 for each in gains],
            marker=MARKERS[bases.index(base) % len(MARKERS)],
            color=COLORS[corpora.index(corpus) % len(COLORS)],
            capsize=4,
            label=f"{base}, {corpus}: {MEASURES[own]}",
        )
    places = sorted({group.strings for some in lines.values() for group in some})
    panel.set_xscale("log")
    panel.minorticks_off()
    ticks = [500, 2_000, 10_000, 30_000]
    shown = [tick for tick in ticks if places and tick <= 1.1 * places[-1]]
    panel.set_xticks(shown, [f"{tick:,}" for tick in shown])
    panel.axhline(0, color="#334155", linewidth=1)
    panel.set_xlabel("strings that the corpus gives (log scale)", fontsize=11)
    panel.set_ylabel("gain over the base, points", fontsize=11)
    panel.set_title("recipe auto: what more strings give", fontsize=12, loc="left")
    panel.grid(alpha=0.25)
    if lines:
        panel.legend(fontsize=10)
    else:
        _say_empty(panel)
    _save(figure, file)


def draw_views(record: Figures, file: Path) -> None:
    """Write a PNG with a pair of bars for each base and domain of which both views were measured."""
    known = before(record)
    by_views: dict[tuple[str, str, int, str], dict[str, Group]] = {}
    for group in groups(record):
        views, short = group.runs[0]["views"], ", 8 steps" if group.recipe.endswith("8 steps") else ""
        if group.recipe.removesuffix(short) in ("auto", "identity", "crop") and views in ("identity", "crop"):
            by_views.setdefault((group.base, group.corpus, group.size, short), {})[views] = group
    both = [(key, found) for key, found in by_views.items() if len(found) == 2]
    shown = {
        measure: [(key, found) for key, found in both if measure in found["crop"].gains(known[key[0]])]
        for measure in ("search", "stsb-dev")
    }
    counts = [max(3, len(found)) for found in shown.values()]  # of pairs of bars, each of the same height
    figure, panels = _figure(counts)
    for panel, (measure, rows) in zip(panels, shown.items(), strict=True):
        for views, color, shift in (("identity", IDENTITY, -0.2), ("crop", CROP, 0.2)):
            gains = [statistics.fmean(found[views].gains(known[key[0]])[measure]) for key, found in rows]
            places = [place + shift for place in range(len(rows))]
            bars = panel.barh(places, gains, 0.38, color=color, label=f"{views} views")
            panel.bar_label(bars, [f"{gain:+.1f}" for gain in gains], fontsize=9, padding=3)
        names = [f"{base}, {corpus}{short}" for (base, corpus, _, short), _ in rows]
        panel.set_yticks(range(len(names)), names, fontsize=10)
        panel.invert_yaxis()
        panel.axvline(0, color="#334155", linewidth=1)
        panel.margins(x=0.14)
        panel.set_title(MEASURES[measure], fontsize=12, loc="left")
        if not rows:
            _say_empty(panel)
    panels[-1].set_xlabel("gain over the base, points", fontsize=11)
    if both:
        next(panel for panel in panels if panel.patches).legend(fontsize=10)
    _save(figure, file)


def _figure(heights: Sequence[int] = ()) -> tuple[Figure, Any]:
    """Return a figure with one panel, or with one below the other, each for so many pairs of bars."""
    size = SIZE | ({"figsize": (7.3, 0.45 * sum(heights) + 1.6)} if heights else {})
    figure = Figure(**size)  # type: ignore[arg-type]
    FigureCanvasAgg(figure)  # without pyplot: no display is needed and no global state is left behind
    panels: Any = figure.subplots(len(heights) or 1, 1, height_ratios=heights or None)
    for panel in panels if heights else [panels]:
        panel.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _say_empty(panel: Any) -> None:
    panel.text(0.5, 0.5, "not measured yet", ha="center", va="center", fontsize=12, transform=panel.transAxes)
    panel.set_xticks([])
    panel.set_yticks([])


def _save(figure: Figure, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)
