"""The section of docs/finetune.md on teachers and masked-LM steps, from the records of `benchmarks.teacher`."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.record import table

_NAMES = {"search": "search in what is held out, MRR@10"}
_TITLES = {
    "choice": "Weight and temperatures, looked at on development data:",
    "teacher": "With a teacher and without:",
    "crops": "Documents, whose crops have the teacher's vector of the whole:",
    "masked": "Masked-LM steps before the contrastive ones:",
}
_NOTHING = "Nothing is measured yet."
Cell = Mapping[str, Any]


def sections(records: Iterable[Mapping[str, Any]]) -> str:
    """Return the tables of every machine."""
    return "\n\n".join(map(section, records)) or _NOTHING


def section(record: Mapping[str, Any]) -> str:
    """Return the tables of what was measured so far."""
    found: Mapping[str, Cell] = record.get("cells", {})
    lines: list[str] = []
    for part, title in _TITLES.items():
        groups = _groups(cell for cell in found.values() if cell["part"] == part)
        if groups:
            lines += [title, "", _table(groups), ""]
    if not lines:
        return _NOTHING
    versions = ", ".join(f"{name} {value}" for name, value in record["versions"].items())
    threads = f"{record['threads']} thread{'s' if record['threads'] > 1 else ''}"
    seven = any(cell["seven"] for cell in found.values())
    looked = "; the seven sets were looked at once, at the end" if seven else ""
    if note := record.get("note"):
        lines += [note, ""]
    lines.append(
        "Spearman correlation × 100 (search: MRR × 100), mean and deviation over the seeds that are named"
        f"{looked}. CPU seconds are those of the training, on a machine with other work: "
        f"{record['hardware']['cpu']}, {threads}, {record['date']}, {versions}."
    )
    return "\n".join(lines)


def _groups(cells: Iterable[Cell]) -> dict[tuple[str, ...], list[Cell]]:
    """Return the cells that differ in their seed alone, by what they are."""
    groups: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        changes = ", ".join(f"`{name}={value:g}`" for name, value in cell["changes"].items()) or "as `auto` has it"
        key = (cell["base"], cell["corpus"], "all-MiniLM-L6-v2" if cell["taught"] else "none", changes)
        groups.setdefault((*key, str(cell["marks_asked"])), []).append(cell)
    return groups


def _table(groups: Mapping[tuple[str, ...], Sequence[Cell]]) -> str:
    tasks = list(
        dict.fromkeys(task for cells in groups.values() for c in cells for m in c["marks"].values() for task in m)
    )
    columns = ["base", "corpus", "teacher", "changes", "steps", "seeds", *(_NAMES.get(task, task) for task in tasks)]
    rows = []
    for (base, corpus, taught, changes, _), cells in groups.items():
        for mark in cells[0]["marks"]:
            last = mark == list(cells[0]["marks"])[-1]
            scores = [_mean([c["marks"][mark][task] for c in cells if task in c["marks"][mark]]) for task in tasks]
            seven = [statistics.fmean(c["seven"].values()) for c in cells if c["seven"]] if last else []
            spent = f"{statistics.fmean(c['cpu_seconds']['training'] for c in cells):.0f}" if last else ""
            seeds = ", ".join(str(c["seed"]) for c in cells)
            rows.append([base, corpus, taught, changes, mark, seeds, *scores, spent, _mean(seven)])
    if not any(row[-1] for row in rows):
        return table([*columns, "CPU s"], [row[:-1] for row in rows])
    return table([*columns, "CPU s", "seven sets"], rows)


def _mean(values: Sequence[float]) -> str:
    if not values:
        return ""
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.1f}{spread}"
