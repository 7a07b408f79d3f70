"""Draw the studies of one machine: where the time goes, how cost grows, what the scores are."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import Figures
from benchmarks.training.report import PHASES, phases
from benchmarks.training.study_report import cells, cpu_of_step, layers_name, sts_by_variant
from mirrorkit.extras import require

require("matplotlib", extra="demo")
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLORS = {"before": "#94a3b8", "official": "#334155", "ours-fp32": "#f59e0b", "ours": "#c2410c", "ours-auto": "#7c3aed"}
_PHASE_COLORS = ("#cbd5e1", "#94a3b8", "#0d9488", "#c2410c", "#334155")


def draw(records: Sequence[Figures], file: Path) -> None:
    """Write a PNG with a panel for each study of which something is measured."""
    shown = [record for record in records if record["runs"]]
    if not shown:
        return
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(5.2 * columns, 4.3 * rows), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)  # without pyplot: no display is needed and no global state is left behind
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel, record in zip(panels, shown, strict=False):
        PANELS[record["study"]](panel, record)
    for panel in panels[len(shown) :]:
        panel.set_axis_off()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)


def _phases(panel: Any, record: Figures) -> None:
    found = {variant: phases(runs) for (_, variant), runs in cells(record).items()}
    left = [0.0] * len(found)
    for number, (phase, color) in enumerate(zip(PHASES, _PHASE_COLORS, strict=True)):
        widths = [seconds[number] for seconds in found.values()]
        panel.barh([*found], widths, left=left, color=color, label=phase)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    for place, total in enumerate(left):
        panel.text(total, place, f" {total:.1f} s", va="center", fontsize=10)
    panel.set_xlim(0, max(left) * 1.18)
    panel.invert_yaxis()
    panel.set_xlabel("seconds, from the start of Python to the saved model")
    panel.legend(fontsize=9, loc="lower right")
    panel.set_title(f"{record['base']}, {record['corpus']['strings']:,} strings: phases", fontsize=11)


def _lines(panel: Any, record: Figures, figure: str, title: str) -> None:
    found = cells(record)
    values = sorted({int(point) for point, _ in found})
    for variant in dict.fromkeys(variant for _, variant in found):
        line = sorted(
            (int(p), statistics.median(r[figure] for r in runs)) for (p, v), runs in found.items() if v == variant
        )
        panel.plot(*zip(*line, strict=True), marker="o", color=COLORS[variant], label=variant)
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.minorticks_off()
    panel.set_xticks(values, [f"{value:,}" for value in values])
    every = [statistics.median(run[figure] for run in runs) for runs in found.values()]
    low, high = min(every) / 1.3, max(every) * 1.3
    ticks = [m * 10**e for e in range(-2, 6) for m in (1, 2, 5) if low <= m * 10**e <= high]
    panel.set_ylim(low, high)
    panel.set_yticks(ticks, [f"{tick:,g}" for tick in ticks])
    panel.set_xlabel(record["what"])
    panel.grid(alpha=0.25)
    panel.legend(fontsize=9)
    panel.set_title(f"{record['base']}: {title}", fontsize=11)


def _size(panel: Any, record: Figures) -> None:
    _lines(panel, record, "command_seconds", "seconds of the whole command")


def _speed(panel: Any, record: Figures) -> None:
    _lines(panel, record, "pairs_per_second", "pairs per second")


def _models(panel: Any, record: Figures) -> None:
    found = cells(record)
    models = [*dict.fromkeys(point for point, _ in found)]
    variants = [*dict.fromkeys(variant for _, variant in found)]
    width = 0.8 / len(variants)
    for number, variant in enumerate(variants):
        there = [(i, found[model, variant]) for i, model in enumerate(models) if (model, variant) in found]
        places = [i + (number - (len(variants) - 1) / 2) * width for i, _ in there]
        speeds = [statistics.median(run["pairs_per_second"] for run in runs) for _, runs in there]
        bars = panel.bar(places, speeds, width * 0.92, color=COLORS[variant], label=variant)
        panel.bar_label(bars, fmt="{:,.1f}", fontsize=9)
    panel.set_yscale("log")
    every = [statistics.median(run["pairs_per_second"] for run in runs) for runs in found.values()]
    panel.set_ylim(min(every) / 3, max(every) * 2)
    panel.set_yticks([])  # the bars say it
    panel.minorticks_off()
    panel.set_xticks(range(len(models)), models)
    panel.legend(fontsize=9)
    panel.set_title(f"pairs per second, batch {record['settings']['batch_size']}", fontsize=11)


def _layers(panel: Any, record: Figures) -> None:
    found = cells(record)
    variants = [*dict.fromkeys(variant for _, variant in found)]
    names = [*dict.fromkeys(layers_name(point) for point, _ in found)]
    width = 0.8 / len(variants)
    for number, variant in enumerate(variants):
        costs = {layers_name(p): cpu_of_step(record, runs) for (p, v), runs in found.items() if v == variant}
        places = [names.index(name) + (number - (len(variants) - 1) / 2) * width for name in costs]
        bars = panel.bar(places, [*costs.values()], width * 0.92, color=COLORS[variant], label=variant)
        panel.bar_label(bars, fmt="{:,.1f}", fontsize=9)
    panel.set_xticks(range(len(names)), names)
    panel.legend(fontsize=9)
    panel.set_title("bert-base: CPU seconds of a step by the layers trained", fontsize=11)


def _seeds(panel: Any, record: Figures) -> None:
    found = sts_by_variant(record)
    for place, (variant, scores) in enumerate(found.items()):
        values = [*scores.values()]
        mean = statistics.fmean(values)
        panel.scatter([place] * len(values), values, color=COLORS[variant], s=45, zorder=3)
        panel.plot([place - 0.25, place + 0.25], [mean, mean], color=COLORS[variant], linewidth=2)
        panel.text(place + 0.12, mean, f"{mean:.1f}", fontsize=10, va="bottom")
    panel.set_xlim(-0.5, len(found) - 0.3)
    panel.margins(y=0.12)
    panel.set_xticks(range(len(found)), [*found])
    panel.grid(axis="y", alpha=0.25)
    panel.set_title(f"{record['base']}, {record['corpus']['strings']:,} strings: STS average by seed", fontsize=11)


PANELS: dict[str, Callable[[Any, Figures], None]] = {
    "phases": _phases,
    "size": _size,
    "batch": _speed,
    "length": _speed,
    "model": _models,
    "layers": _layers,
    "seeds": _seeds,
}
