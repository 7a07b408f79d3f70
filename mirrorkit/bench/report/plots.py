"""The plots of the HTML report, as SVG to stand inside it: its colours are the page's own, so dark mode is one rule."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

from mirrorkit.bench.result import Interval
from mirrorkit.extras import require

require("matplotlib", extra="demo")
import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

WIDTH, HEIGHT = 4.6, 3.5  # inches of 72 units; as narrow as a phone, so that the text is legible there too
COLOURS = 7  # that the page defines, as --c0 and so on
MARKERS = "osD^vPX"
LONGEST_NAME = 14  # characters
# matplotlib knows no `currentColor`; these stand for the page's colours until the SVG is written.
INK, _FAINT = "#010203", "#010204"
_SERIES = tuple(f"#0102{number:02x}" for number in range(0x10, 0x10 + COLOURS))
_STYLE = {
    "svg.fonttype": "none",  # text stays text: it can be read out, searched, and has the page's font
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.axisbelow": True,
    "text.color": INK,
    "text.parse_math": False,  # a name with dollars in it is a name
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": _FAINT,
    "legend.frameon": False,
    "legend.fontsize": 10,
}


@dataclass(frozen=True)
class Plot:
    """An SVG with what it shows in words: `title` above it, `note` below, `description` for who cannot see it."""

    title: str
    note: str
    description: str
    svg: str


def as_interval(value: float | Interval | None) -> Interval | None:
    """Return an interval of no width for a plain figure."""
    if value is None or isinstance(value, Interval):
        return value
    return Interval(value, value, value)


def reach(interval: Interval, scale: float = 1.0) -> tuple[float, float]:
    """Return how far the interval goes down and up from its value, as an error bar has it."""
    return max(0.0, interval.value - interval.low) * scale, max(0.0, interval.high - interval.value) * scale


def short(name: str) -> str:
    """Return the name, cut where it would not fit beside others."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def look(number: int) -> dict[str, Any]:
    """Return colour and marker of the subject of that number."""
    return {"color": _SERIES[number % COLOURS], "marker": MARKERS[number % len(MARKERS)]}


def panel(height: float = HEIGHT) -> tuple[Figure, Any]:
    """Return a figure with axes in the style of the page; call within `styled`."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots()
    axes.patch.set_alpha(0)
    axes.grid(visible=True, alpha=0.25, linewidth=0.8)
    return figure, axes


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the page's style within the block, and leave matplotlib's settings as they were."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # names are set by the browser, in its own fonts
        yield


def plain_numbers(axis: Any) -> None:
    """Have a logarithmic axis show 0.5, 20 and 300 where it would show powers."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())


def legend(figure: Figure, axes: Any) -> None:
    """Put the names above the plot, where they hide no point."""
    handles, names = axes.get_legend_handles_labels()
    if names:
        figure.legend(handles, names, loc="outside upper left", ncols=3, handletextpad=0.4, columnspacing=1.0)


def finished(figure: Figure, name: str, title: str, description: str, note: str) -> Plot:
    """Return the figure as a plot whose ids begin with `name`, so that many can stand in one page."""
    FigureCanvasSVG(figure)
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.id": None}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return Plot(title, note, description, _embedded(file.getvalue(), name, description))


def _embedded(svg: str, name: str, description: str) -> str:
    """Return the SVG element alone, with the page's colours and font, ids of its own, and a label."""
    start = svg.index("<svg")
    box = re.search(r'viewBox="([^"]*)"', svg)
    assert box is not None
    body = svg[svg.index(">", start) + 1 :].strip()
    body = re.sub(r"<(metadata|style)\b.*?</\1>", "", body, flags=re.DOTALL)  # a style in it would hold for the page
    body = re.sub(r'\b(id="|url\(#|href="#)', rf"\g<1>{name}-", body)
    body = body.replace(INK, "currentColor").replace(_FAINT, "currentColor")
    for number, colour in enumerate(_SERIES):
        body = body.replace(colour, f"var(--c{number})")
    body = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", re.sub(r"font-family: [^;\"]*;? ?", "", body))
    return f'<svg viewBox="{box[1]}" role="img" aria-label="{escape(description)}">{body}'
