"""A record as Markdown: the table, what was published and what was not, and the verdicts."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.record import Figures, table
from benchmarks.reproduce.arms import BASE, arms_text
from benchmarks.reproduce.faults import NAMES, Faults
from benchmarks.reproduce.match import RULE, verdict
from benchmarks.reproduce.models import SOURCE, Released


def by_arm(record: Figures) -> dict[str, list[Figures]]:
    """Return the runs of each arm, by seed."""
    found: dict[str, list[Figures]] = {}
    for run in sorted(record["runs"].values(), key=lambda run: run["seed"]):
        found.setdefault(run["arm"], []).append(run)
    return {arm: found[arm] for arm in record["settings"]["arms"] if arm in found}


def page(record: Figures, model: Released) -> str:
    """Return the whole page of one record."""
    runs = by_arm(record)
    rows = list(dict.fromkeys(row for some in runs.values() for run in some for row in run["scores"]))
    settings, hardware = record["settings"], record["hardware"]
    device = hardware["gpu"] or f"{hardware['cpu']}, {hardware['cores']} cores, {record['threads']} threads"
    cut = f", {settings['limit']:,} lines of it" if settings["limit"] else ""
    steps = f", {settings['steps']} steps" if settings["steps"] else ""
    return "\n\n".join(
        [
            f"### {model.name} from {record['base']}",
            f"{device}; {', '.join(f'{name} {version}' for name, version in record['versions'].items())}; "
            f"{record['date']}. {settings['corpus']}{cut}{steps}, seeds {', '.join(map(str, settings['seeds']))}.",
            f"Arms: {arms_text(list(runs), model)}. Faults: {_faults()}.",
            table(["", "published", *runs], [_row(model, row, runs) for row in rows]),
            f"Mean ± standard deviation over the seeds; Spearman × 100 where no measure is named. {RULE}",
            verdicts(record, model, rows),
            _published(model, rows),
            _cost(runs),
        ]
    )


def verdicts(record: Figures, model: Released, rows: Sequence[str]) -> str:
    """Return a line for each published figure and each arm that was trained."""
    lines = []
    for row in rows:
        for arm, some in by_arm(record).items():
            scores = [run["scores"][row] for run in some]
            if row in model.published and arm != BASE:
                said = verdict(model, row, scores, record["hindered"], arm)
                lines.append(f"- {row}, `{arm}`: {shown(scores)} against {model.published[row]:.2f}: **{said}**")
    return "\n".join(lines) or "None of the rows has a published figure."


def shown(scores: Sequence[float]) -> str:
    """Return mean and deviation, or the one score that there is."""
    mean = f"{statistics.fmean(scores):.2f}"
    return f"{mean} ± {statistics.stdev(scores):.2f}" if len(scores) > 1 else mean


def _row(model: Released, row: str, runs: dict[str, list[Figures]]) -> list[str]:
    published = f"{model.published[row]:.2f}" if row in model.published else "–"
    return [row, published, *(shown([run["scores"][row] for run in some]) for some in runs.values())]


def _published(model: Released, rows: Sequence[str]) -> str:
    without = [row for row in rows if row not in model.published]
    unscored = [row for row in model.published if row not in rows]
    said = f"Published: {SOURCE}."
    if without:
        said += f" No published figure of this model is known for {', '.join(without)}."
    if unscored:
        said += f" Published and not scored here: {', '.join(unscored)}."
    return said


def _faults() -> str:
    fields = {field.name: field.metadata["about"] for field in Faults.__dataclass_fields__.values()}
    return "; ".join(f"`{name}`, {fields[name]}" for name in NAMES)


def _cost(runs: dict[str, list[Figures]]) -> str:
    columns = ["arm", "seeds", "steps", "pairs", "precision", "train [s]", "train, CPU [s]", "peak memory [MB]"]
    rows = []
    for arm, some in runs.items():
        if arm == BASE:
            continue
        mean = {name: statistics.fmean(run["seconds"][name] for run in some) for name in ("train", "train_cpu")}
        memory = max((run["peak_memory_bytes"] or 0) / 1e6 for run in some)
        cells = [str(len(some)), f"{some[0]['steps']}", f"{some[0]['pairs']:,}", some[0]["precision"]]
        rows.append([arm, *cells, f"{mean['train']:.1f}", f"{mean['train_cpu']:.1f}", f"{memory:,.0f}"])
    return table(columns, rows) if rows else "Nothing is trained yet."
