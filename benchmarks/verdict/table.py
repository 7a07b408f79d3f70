"""The verdict against the labels, as a section of studies.md: rank correlation, confusion, and every cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.record import Figures, read_json, table
from mirrorkit.correlation import spearman
from mirrorkit.formats.training_record import HELPED, HURT, NO_CHANGE

POINT = 1.0  # change of the labels from which on they say that a training helped, or hurt
REACHED = 0.85  # share of right directions from which on a verdict may decide anything

Cell = Mapping[str, Any]


def labelled(cell: Cell) -> float:
    """Return the mean change over the labelled sets of a cell."""
    return float(np.mean([one["change"] for one in cell["labels"].values()]))


def said(change: float) -> str:
    """Return what the labels say."""
    return HELPED if change >= POINT else HURT if change <= -POINT else NO_CHANGE


def is_right(cell: Cell) -> bool:
    """Tell whether the verdict points where the labels do; `no change` is right where they move by less than 1."""
    change = labelled(cell)
    return {HELPED: change > 0, HURT: change < 0, NO_CHANGE: abs(change) < POINT}[cell["outcome"]]


def false_help(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells that were called helped where labels say a point worse, or more."""
    return [cell for cell in cells if cell["outcome"] == HELPED and labelled(cell) <= -POINT]


def may_decide(cells: Sequence[Cell]) -> bool:
    """Tell whether the verdict is good enough to decide what is kept."""
    return sum(map(is_right, cells)) >= REACHED * len(cells) and not false_help(cells)


def correlation(cells: Sequence[Cell]) -> float:
    """Return Spearman's correlation of the change of the reciprocal rank with that of the labels."""
    return spearman([cell["change"]["value"] for cell in cells], [labelled(cell) for cell in cells])


def verdict_section(record: Figures) -> str:
    """Return the tables of one record."""
    cells = [cell for cell in record["cells"].values() if "failed" not in cell]
    broken = len(record["cells"]) - len(cells)
    right, false = sum(map(is_right, cells)), false_help(cells)
    seeds = ", ".join(map(str, sorted({cell["seed"] for cell in cells})))
    hardware, versions = record["hardware"], record["versions"]
    return "\n".join(
        [
            "### Is the verdict without labels to be trusted?",
            "",
            f"{hardware['cpu']}, {hardware['cores']} cores; "
            f"{', '.join(f'{name} {version}' for name, version in versions.items())}; {record['date']}. "
            f"{len(cells)} cells, seed {seeds}"
            + (f"; {broken} more broke the weights and were refused by the training itself." if broken else "."),
            "",
            f"Direction right in **{right} of {len(cells)}** ({right / len(cells):.0%}), called helped where labels "
            f"say -1 or worse in **{len(false)}**, rank correlation of the two changes **{correlation(cells):.2f}**.",
            "",
            confusion(cells),
            "",
            by_kind(cells),
            "",
            every(cells),
        ]
    )


def confusion(cells: Sequence[Cell]) -> str:
    """Return how often each verdict met each answer of the labels."""
    outcomes = (HELPED, NO_CHANGE, HURT)
    counts = Counter((cell["outcome"], said(labelled(cell))) for cell in cells)
    columns = ["verdict", "labels: +1 and more", "between", "-1 and less"]
    return table(columns, [[one, *(str(counts[one, other]) for other in outcomes)] for one in outcomes])


def by_kind(cells: Sequence[Cell]) -> str:
    """Return the figures for each corpus, and for each recipe."""
    rows = []
    for key in ("corpus", "recipe"):
        for name in dict.fromkeys(cell[key] for cell in cells):
            some = [cell for cell in cells if cell[key] == name]
            rho = f"{correlation(some):.2f}" if len(some) > 2 else "–"
            rows.append([name, str(len(some)), f"{sum(map(is_right, some))}", str(len(false_help(some))), rho])
    return table(["cells of", "cells", "right", "helped at -1 or worse", "rank correlation"], rows)


def every(cells: Sequence[Cell]) -> str:
    """Return a row for each cell."""
    rows = [
        [
            cell["base"],
            cell["corpus"],
            f"{cell['recipe']}, {cell['steps']} steps",
            f"{cell['looks']['before']['mrr']:.1f} → {cell['looks']['after']['mrr']:.1f} "
            f"({cell['change']['low']:+.1f} to {cell['change']['high']:+.1f})",
            cell["outcome"],
            ", ".join(f"{name} {one['change']:+.1f}" for name, one in cell["labels"].items()),
            f"{labelled(cell):+.1f}",
            "" if is_right(cell) else "✗",
        ]
        for cell in cells
    ]
    return table(["base", "corpus", "recipe", "MRR", "verdict", "labels", "mean", ""], rows)


def verdicts_section(results: Any) -> str:
    """Return the section of all records in a folder."""
    return "\n\n".join(map(verdict_section, read_json(results, "verdict")))
