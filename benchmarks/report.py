"""Keep what was measured: one JSON file a measurement, and the tables in README.md made from these files.

python -m benchmarks.report     # make the tables anew
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import README, RESULTS, Figures, read_json, slug, table, update_section, write_json
from mirrorkit.errors import MirrorkitError


def summarise(runs: Mapping[str, Sequence[Figures]], speed: str) -> dict[str, dict[str, float]]:
    """Return median and best of every variant, and how many times faster than `official` it was, round by round.

    `speed` names the figure that compares: pairs_per_second, or command_seconds, of which less is better.
    """
    seconds = speed == "command_seconds"
    summary = {}
    for variant, figures in runs.items():
        values = [run[speed] for run in figures]
        row = {"median": statistics.median(values), "best": min(values) if seconds else max(values)}
        for memory in ("peak_memory_bytes", "peak_device_memory_bytes"):
            known = [run[memory] for run in figures if run[memory] is not None]
            if known:
                row[memory] = max(known)
        if variant != "official" and "official" in runs:
            pairs = zip(values, (run[speed] for run in runs["official"]), strict=True)
            ratios = [theirs / ours if seconds else ours / theirs for ours, theirs in pairs]
            row |= {"ratio": statistics.median(ratios), "ratio_low": min(ratios), "ratio_high": max(ratios)}
        summary[variant] = row
    return summary


def write_record(record: Figures, folder: Path) -> Path:
    """Write train_*.json, named after what was measured on what kind of machine; the same again replaces it."""
    hardware = record["hardware"]
    device = hardware["gpu"] or f"{hardware['cpu']} {record['threads']} threads"
    kind = "whole-run" if record["whole_run"] else "steps"
    file = folder / f"train_{slug(record['base'])}_{record['pooling']}_{kind}_{slug(device)}.json"
    write_json(file, record)
    return file


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Return the measurements in `folder`, in the order of their file names."""
    return read_json(folder, "train_")


def training_section(records: Iterable[Figures]) -> str:
    """Return the tables of all measurements as Markdown."""
    parts = [_steps_table(record) if not record["whole_run"] else _whole_table(record) for record in records]
    return "\n\n".join(parts) or "Nothing has been measured yet."


def _heading(record: Figures, what: str) -> str:
    hardware, corpus = record["hardware"], record["corpus"]
    device = hardware["gpu"] or f"{hardware['cpu']}, {hardware['cores']} cores, {record['threads']} threads"
    packages = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    if hardware["load_average"] is not None:
        device += f", load average {hardware['load_average']:.2f} before"
    return (
        f"### {record['base']}: {what}\n\n{device}; {packages}; {record['date']}. "
        f"{corpus['name']}, {corpus['strings']:,} distinct strings, batch {record['batch_size']}, "
        f"pooling {record['pooling']}; {record['rounds']} rounds, each variant in a process of its own, order rotated."
    )


def _steps_table(record: Figures) -> str:
    steps = f"{record['steps']} steps after {record['warmup_steps']} of warm-up"
    rows = [
        [
            variant,
            record["runs"][variant][0]["precision"],
            f"{row['median']:.1f}",
            f"{row['best']:.1f}",
            _ratio(row),
            *_memory(row),
        ]
        for variant, row in record["summary"].items()
    ]
    columns = ["variant", "precision", "pairs/s, median", "best", "times official (lowest–highest)"]
    return f"{_heading(record, f'pairs per second over {steps}')}\n\n{table([*columns, *_MEMORY], rows)}"


def _whole_table(record: Figures) -> str:
    rows = []
    for variant, row in record["summary"].items():
        runs = record["runs"][variant]
        phases = [statistics.median(run["seconds"][p] for run in runs) for p in ("load", "tokenise", "train", "save")]
        figures = [f"{seconds:.1f}" for seconds in (row["median"], row["best"], *phases)]
        figures.append(f"{statistics.median(run['pairs_per_second'] for run in runs):.1f}")
        rows.append([variant, runs[0]["precision"], f"{runs[0]['pairs']:,}", *figures, _ratio(row), *_memory(row)])
    columns = ["variant", "precision", "pairs", "command [s], median", "best", "load", "tokenise", "train", "save"]
    columns += ["pairs/s", "times official (lowest–highest)", *_MEMORY]
    return f"{_heading(record, 'the whole command, start of Python to saved model')}\n\n{table(columns, rows)}"


_MEMORY = ["peak memory [MB]", "of the GPU [MB]"]


def _memory(row: Figures) -> list[str]:
    return [
        f"{row[key] / 1e6:,.0f}" if key in row else "–" for key in ("peak_memory_bytes", "peak_device_memory_bytes")
    ]


def _ratio(row: Figures) -> str:
    return f"**{row['ratio']:.2f}** ({row['ratio_low']:.2f}–{row['ratio_high']:.2f})" if "ratio" in row else "–"


if __name__ == "__main__":
    try:
        update_section(README, "train", training_section(read_records(RESULTS)))
    except MirrorkitError as err:
        print(f"error: {err}", file=sys.stderr)
        sys.exit(2)
