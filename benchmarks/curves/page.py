"""The curves as a page: tables by corpus and measure, what is missing, and a plot."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import HERE, Figures, table, update_section
from mirrorkit.extras import require
from mirrorkit.formats.json_file import read_object

PAGE, SECTION = HERE / "curves.md", "curves"
RECORD, PLOT = "curves.json", "curves.png"
BASES = ("minilm-mlm", "tiny", "all-MiniLM-L6-v2")
CORPORA = ("sentences in domain", "sentences out of domain", "documents")
STEPS = (3, 5, 10, 20, 46, 100, 300)
MEASURES = {"search": "search, MRR@10", "sts": "stsb-dev"}
HALF = "_half"  # behind a measure: that of the mean of start and end
COLORS = {"minilm-mlm": "#c2410c", "tiny": "#0f766e", "all-MiniLM-L6-v2": "#334155"}

Line = dict[int, list[float]]  # steps -> the figure of each seed


def update(file: Path, page: Path, plot: Path) -> None:
    """Make the section of the page and the plot anew from the record."""
    record = read_object(file)
    update_section(page, SECTION, section(record))
    draw(record, plot)


def curves_section(results: Path) -> str:
    """Return the section of the record in a folder."""
    file = results / RECORD
    return section(read_object(file)) if file.is_file() else ""


def lines(record: Figures, corpus: str, measure: str) -> dict[str, Line]:
    """Return by base, and by base with half of its start, the figures of a measure."""
    found: dict[str, Line] = {}
    for cell in record["cells"].values():
        if cell["corpus"] != corpus:
            continue
        name = ", ".join([cell["base"], *cell["set"]])
        for point in cell["points"]:
            for key, told in ((measure, name), (measure + HALF, f"{name}, half of the start")):
                if key in point:
                    found.setdefault(told, {}).setdefault(int(point["step"]), []).append(point[key])
    return found


def section(record: Figures) -> str:
    """Return the tables of a record, one for each corpus and measure, and what is missing."""
    parts = [f"![search and STS by steps](results/{PLOT})", _about(record)]
    for corpus, measure in _shown(record):
        found = lines(record, corpus, measure)
        steps = sorted({step for line in found.values() for step in line})
        rows = [[name, *(_cell(line.get(step, [])) for step in steps)] for name, line in found.items()]
        parts += [f"### {corpus}: {MEASURES[measure]}", table(["base", *map(str, steps)], rows)]
    costs = [_cost(cell) for cell in record["cells"].values()]
    columns = ["corpus", "base", "seed", "batch", "rate", "views", "last steps averaged", "CPU s of 10 steps", "of all"]
    parts += ["### What each run took", table(columns, costs), _missing(record)]
    return "\n\n".join(parts)


def _shown(record: Figures) -> list[tuple[str, str]]:
    corpora = dict.fromkeys(cell["corpus"] for cell in record["cells"].values())
    known = [name for name in reversed(CORPORA) if name in corpora]
    every = [*known, *(name for name in corpora if name not in CORPORA)]
    return [(corpus, measure) for corpus in every for measure in MEASURES if lines(record, corpus, measure)]


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "–"
    mean = f"{statistics.fmean(values):.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean


def _cost(cell: Mapping[str, Any]) -> list[str]:
    recipe, points = cell["recipe"], {point["step"]: point["cpu"] for point in cell["points"]}
    last = max(points)
    return [
        cell["corpus"],
        ", ".join([cell["base"], *cell["set"]]),
        str(cell["seed"]),
        str(recipe["batch_size"]),
        f"{recipe['learning_rate']:g}",
        recipe["views"],
        f"{recipe['average_last']:g}",
        f"{points[10]:.0f}" if 10 in points else "–",
        f"{points[last]:.0f} ({last} steps)",
    ]


def _missing(record: Figures) -> str:
    """Name the cells of the grid that no run has; sentences are not searched for."""
    done = {
        (cell["base"], cell["corpus"], measure, point["step"])
        for cell in record["cells"].values()
        if not cell["set"]
        for point in cell["points"]
        for measure in point
    }
    gaps = []
    for corpus in CORPORA:
        for measure in MEASURES if corpus == CORPORA[-1] else ["sts"]:
            for base in BASES:
                steps = [step for step in STEPS if (base, corpus, measure, step) not in done]
                told = "all" if len(steps) == len(STEPS) else ", ".join(map(str, steps))
                gaps += [f"{corpus}, {MEASURES[measure]}, {base}: {told}"] if steps else []
    return f"Not measured, steps by corpus, measure and base: {'; '.join(gaps)}." if gaps else "The grid is whole."


def _about(record: Figures) -> str:
    cells = [*record["cells"].values()]
    machines = dict.fromkeys(
        f"{cell['hardware']['cpu']}, {cell['threads']} thread a run, {cell['precision']}" for cell in cells
    )
    versions = dict.fromkeys(
        ", ".join(f"{name} {version}" for name, version in cell["versions"].items()) for cell in cells
    )
    dates = sorted({cell["date"] for cell in cells})
    return (
        f"{'; '.join(machines)}; {'; '.join(versions)}; {' to '.join(dates)}. {len(cells)} runs, seeds "
        f"{', '.join(map(str, sorted({cell['seed'] for cell in cells})))}; mean ± deviation where there are several. "
        "MRR@10 × 100 over held-out development documents, Spearman × 100; 0 steps: the base as it is."
    )


def draw(record: Figures, file: Path) -> None:
    """Write a PNG with a panel for each corpus and measure."""
    require("matplotlib", extra="demo")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = _shown(record)
    columns = min(2, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(5.6 * columns, 4.0 * rows), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel, (corpus, measure) in zip(panels, shown, strict=False):
        for name, line in lines(record, corpus, measure).items():
            steps = sorted(line)
            base = name.split(",")[0]
            means = [statistics.fmean(line[step]) for step in steps]
            panel.plot(steps, means, _style(name), color=COLORS.get(base, "#7c3aed"), ms=4, label=name)
        _finish(panel, f"{corpus}: {MEASURES[measure]}")
    for panel in panels[len(shown) :]:
        panel.set_axis_off()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)


def _style(name: str) -> str:
    """Return how a line is drawn: another for half of the start, for each number of settings that are changed too."""
    if name.endswith("half of the start"):
        return "o--"
    return ("o-", "s:", "^-.")[min(name.count("="), 2)]


def _finish(panel: Any, title: str) -> None:
    ticks = (0, *STEPS)
    panel.set_xscale("symlog", linthresh=3)  # so that 0, the base as it is, has a place
    low, high = panel.get_xlim()
    panel.set_xticks([tick for tick in ticks if low <= tick <= high])
    panel.set_xticklabels([str(tick) for tick in ticks if low <= tick <= high])
    panel.minorticks_off()
    panel.set_title(title, fontsize=11, loc="left")
    panel.set_xlabel("steps", fontsize=9)
    panel.grid(alpha=0.25)
    panel.tick_params(labelsize=8)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(fontsize=8, frameon=False, loc="best")
