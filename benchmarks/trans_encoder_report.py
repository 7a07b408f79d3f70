"""The section of ladder.md on a cross-encoder in between, from the records of `benchmarks.trans_encoder`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import Figures, read_json, table

PREFIX, SECTION = "trans_encoder_", "trans_encoder"
_AUTO = "auto"
_MODELS = {
    _AUTO: "bi-encoder by `auto`",
    "cross-encoder": "cross-encoder, taught by it",
    "bi-encoder": "bi-encoder, taught by that",
}
_SPENT = {"auto": ("auto",), "cross-encoder": ("pairs", "cross-encoder"), "bi-encoder": ("its scores", "bi-encoder")}
Cell = Mapping[str, Any]


def section(results: Path) -> str:
    """Return a table for each machine and each set of settings, with the seeds' mean and deviation."""
    parts = [_part(record) for record in read_json(results, PREFIX)]
    return "\n\n".join(parts) or "Nothing is measured yet."


def _part(record: Figures) -> str:
    groups: dict[str, list[Cell]] = {}
    for cell in record["cells"]:
        groups.setdefault(_about(cell["settings"]), []).append(cell)
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    where = (
        f"{record['hardware']['cpu']}, {record['threads']} thread, shared with other work, "
        f"{record['cells'][0]['precision']}; {versions}; {record['date']}. Spearman × 100 on development data; below "
        "the first line the difference to it. CPU seconds are of training, drawing and scoring the pairs alone."
    )
    return "\n\n".join([where, *(f"{about}\n\n{_table(cells)}" for about, cells in groups.items())])


def _about(settings: Mapping[str, Any]) -> str:
    said = {name: f"{value:g}" if isinstance(value, float) else f"{value}" for name, value in settings.items()}
    return (
        f"{said['base']} on `{said['corpus']}`, {said['pairs']} pairs of {said['length']} tokens a string, near ones "
        f"of the {said['near']} nearest; cross-encoder: epochs {said['cross_epochs']}, batch {said['cross_batch']}, "
        f"rate {said['cross_rate']}; bi-encoder: epochs {said['bi_epochs']}, batch {said['bi_batch']}, rate "
        f"{said['bi_rate']}."
    )


def _table(cells: Sequence[Cell]) -> str:
    tasks = list(cells[0]["scores"][_AUTO])
    rows = []
    for model, name in _MODELS.items():
        scores = []
        for task in tasks:
            values = [cell["scores"][model][task] for cell in cells]
            starts = [cell["scores"][_AUTO][task] for cell in cells]
            gains = [value - start for value, start in zip(values, starts, strict=True)]
            scores.append(_spread(values, "") if model == _AUTO else _spread(gains, "+"))
        spent = statistics.fmean(sum(cell["cpu_seconds"][stage] for stage in _SPENT[model]) for cell in cells)
        rows.append([name, ", ".join(str(cell["seed"]) for cell in cells), *scores, f"{spent:.0f}"])
    whole = statistics.fmean(sum(cell["cpu_seconds"].values()) for cell in cells)
    rows.append(["all of it", "", *("" for _ in tasks), f"{whole:.0f}"])
    return table(["model", "seeds", *tasks, "CPU s"], rows)


def _spread(values: Sequence[float], sign: str) -> str:
    mean = f"{statistics.fmean(values):{sign}.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean
