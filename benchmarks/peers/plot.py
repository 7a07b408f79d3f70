"""Draw what the peers give for what they cost: STS quality against throughput and against latency."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.report import BASELINE, latencies, speeds
from benchmarks.record import Figures
from mirrorkit.extras import require

require("matplotlib", extra="demo")
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

OURS, OTHERS, FRONT = "#c2410c", "#334155", "#94a3b8"
_DOTS_PER_INCH = 120
_ROOM_LEFT, _ROOM_RIGHT = 0.1, 0.25  # of the range of the points, beside them, so that their names have a place
_SLANT, _APART = 60, 21  # degrees; pixels between the names of a row
_FINE = 0.1  # points of STS around the baseline where the scale is linear; beyond it is logarithmic


@dataclass(frozen=True)
class Point:
    name: str
    cost: float  # sentences per second, or milliseconds
    score: float  # STS points above the baseline


def points(record: Figures, cost: Callable[[Figures, str], list[float]]) -> list[Point]:
    """Return a point for every contestant that was timed and scored, with its median cost."""
    scores = {name: found["average"] for name, found in record["scores"].items()}
    zero = scores.get(BASELINE, max(scores.values(), default=0.0))
    return [
        Point(name, statistics.median(cost(record, name)), round(scores[name] - zero, 2))
        for name in record["runs"]
        if name in scores
    ]


def front(found: Sequence[Point], *, more_is_better: bool) -> list[Point]:
    """Return the points that no other beats in both, from the best score down."""
    kept: list[Point] = []
    for point in sorted(found, key=lambda p: (-p.score, -p.cost if more_is_better else p.cost)):
        if not kept or (point.cost > kept[-1].cost if more_is_better else point.cost < kept[-1].cost):
            kept.append(point)
    return kept


def draw(record: Figures, file: Path) -> None:
    """Write a PNG of both plots to `file`; nothing where no contestant was both timed and scored."""
    if not points(record, speeds):
        return
    figure = Figure(figsize=(13.5, 6.8), dpi=_DOTS_PER_INCH)
    FigureCanvasAgg(figure)  # without pyplot: no display is needed and no global state is left behind
    hardware = record["hardware"]
    figure.suptitle(
        f"{record['model']}: {hardware['cpu']}, {record['threads']} threads, {record['date']}. "
        "Up and along the arrow is better; the grey line is the Pareto front.",
        fontsize=13,
    )
    left, right = figure.subplots(1, 2, sharey=True)
    figure.subplots_adjust(left=0.065, right=0.99, top=0.92, bottom=0.085, wspace=0.03)
    _panel(left, points(record, speeds), "sentences per second, tokenising included  →", more_is_better=True)
    _panel(right, points(record, latencies), "←  one short text, p50 [ms]", more_is_better=False)
    left.set_ylabel(
        "STS average, points above or below sentences-transformers torch".replace("sentences-", "sentence-")
    )
    for panel in (left, right):
        place_labels(figure, panel)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)


def _panel(panel: Any, found: Sequence[Point], label: str, *, more_is_better: bool) -> None:
    best = front(found, more_is_better=more_is_better)
    panel.plot([p.cost for p in best], [p.score for p in best], color=FRONT, linewidth=2, zorder=1)
    for point in found:
        shade = OURS if point.name.startswith("mirrorkit") else OTHERS
        panel.scatter([point.cost], [point.score], s=60, color=shade, zorder=3, label=point.name)
    panel.set_xscale("log")
    panel.set_yscale("symlog", linthresh=_FINE, linscale=0.6)
    costs, scores = [p.cost for p in found], [p.score for p in found]
    span = max(max(costs) / min(costs), 4.0)
    low_cost, high_cost = min(costs) / span**_ROOM_LEFT, max(costs) * span**_ROOM_RIGHT
    panel.set_xlim(low_cost, high_cost)
    panel.set_ylim(min(*scores, -1.0) * 1.8, max(*scores, 0.05) + 1.0)
    wanted = [-10, -3, -1, -0.3, -0.1, 0, 0.1, 0.3, 1]
    low, high = panel.get_ylim()
    ticks = [tick for tick in wanted if low <= tick <= high]
    panel.set_yticks(ticks, [f"{tick:+g}" if tick else "0" for tick in ticks])
    panel.minorticks_off()
    across = [m * 10**e for e in range(-3, 7) for m in (1, 2, 5) if low_cost <= m * 10**e <= high_cost]
    panel.set_xticks(across, [f"{tick:,g}" for tick in across])
    panel.set_xlabel(label, fontsize=11)
    panel.grid(alpha=0.25)


Box = tuple[float, float, float, float]  # left, low, right, high, in pixels
Dot = tuple[str, Any, float, float]  # name, colour, x and y in pixels


def place_labels(figure: Figure, panel: Any) -> None:
    """Write the name beside every point; where many stand in a row, slanted above it in their order."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    dots: list[Dot] = [
        (s.get_label(), s.get_facecolor()[0], *panel.transData.transform(s.get_offsets()[0])) for s in panel.collections
    ]
    taken: list[Box] = [(x - 6, y - 6, x + 6, y + 6) for *_, x, y in dots]
    rows = in_rows(dots)
    for row in (row for row in rows if len(row) > 2):
        taken += _slanted(panel, row, renderer)
    for name, color, x, y in (dot for row in rows if len(row) <= 2 for dot in row):
        width, height = _extent(panel, name, renderer)
        where = _free_place(x, y, width + 4, height + 2, taken, panel.get_window_extent(renderer))
        taken.append(where)
        _label(panel, name, color, (x, y), (where[0] + 2, where[1] + 2))


def in_rows(dots: Sequence[Dot]) -> list[list[Dot]]:
    """Return the points in groups of about the same height, each from left to right."""
    rows: list[list[Dot]] = []
    for dot in sorted(dots, key=lambda d: d[3]):
        if rows and dot[3] - rows[-1][0][3] < 12:
            rows[-1].append(dot)
        else:
            rows.append([dot])
    return [sorted(row, key=lambda d: d[2]) for row in rows]


def _slanted(panel: Any, row: Sequence[Dot], renderer: Any) -> list[Box]:
    """Write the names of a row above it and return the boxes that they cover."""
    places: list[float] = []
    for *_, x, _ in row:
        places.append(max(x, places[-1] + _APART) if places else x)
    # Pushed to the right alone they would stand apart from their points.
    shift = sum(place - x for place, (*_, x, _) in zip(places, row, strict=True)) / len(row)
    cosine, sine = math.cos(math.radians(_SLANT)), math.sin(math.radians(_SLANT))
    covered: list[Box] = []
    for place, (name, color, x, y) in zip(places, row, strict=True):
        base = (place - shift, max(d[3] for d in row) + 26)
        _label(panel, name, color, (x, y), base, rotation=_SLANT, rotation_mode="anchor")
        length = _extent(panel, name, renderer)[0]
        steps = ((base[0] + t * cosine, base[1] + t * sine) for t in range(0, int(length), 10))
        covered += [(left - 8, low - 8, left + 8, low + 8) for left, low in steps]
    return covered


def _extent(panel: Any, name: str, renderer: Any) -> tuple[float, float]:
    text = panel.text(0, 0, name, fontsize=9)
    size = text.get_window_extent(renderer)
    text.remove()
    return size.width, size.height


def _label(panel: Any, name: str, color: Any, point: tuple[float, float], at: tuple[float, float], **more: Any) -> None:
    line = {"arrowstyle": "-", "color": FRONT, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 3, "relpos": (0, 0)}
    where = {"xycoords": "figure pixels", "textcoords": "figure pixels"}
    panel.annotate(name, point, xytext=at, fontsize=9, color=color, arrowprops=line, **where, **more)


def _free_place(x: float, y: float, width: float, height: float, taken: Sequence[Box], edge: Any) -> Box:
    """Return the nearest box (left, low, right, high) in `edge` that meets none of `taken`."""
    steps = [(abs(i) + abs(j), i, j) for i in range(-8, 9) for j in range(-16, 17)]
    for _, i, j in sorted(steps):
        left = x + 9 + i * 22 if i >= 0 else x - 9 - width + (i + 1) * 22
        low = y - height / 2 + j * 11
        box = (left, low, left + width, low + height)
        inside = edge.x0 <= box[0] and box[2] <= edge.x1 and edge.y0 <= box[1] and box[3] <= edge.y1
        if inside and not any(_meet(box, other) for other in taken):
            return box
    return (x + 9, y - height / 2, x + 9 + width, y + height / 2)  # a crowd: better covered than missing


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
