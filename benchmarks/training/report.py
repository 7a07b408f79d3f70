"""The tables of `benchmarks.train`: a few steps, and the whole command."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import Figures, read_json, slug, table, write_json

# Whom every variant is held against, and under which name that ratio is kept.
RIVALS = {
    "official": "ratio",
    "sentence-transformers-bf16": "ratio_peer",
    "sentence-transformers-fp32": "ratio_peer_fp32",
}
PEER_COLUMNS = {
    "ratio_peer": "times sentence-transformers in bf16",
    "ratio_peer_fp32": "times sentence-transformers in fp32",
}


def summarise(runs: Mapping[str, Sequence[Figures]], speed: str) -> dict[str, dict[str, float]]:
    """Return median and best of every variant, and how many times faster than each of RIVALS it was, round by round.

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
        for rival, name in RIVALS.items():
            if variant != rival and rival in runs:
                pairs = zip(values, (run[speed] for run in runs[rival]), strict=True)
                ratios = [theirs / ours if seconds else ours / theirs for ours, theirs in pairs]
                row |= {name: statistics.median(ratios), f"{name}_low": min(ratios), f"{name}_high": max(ratios)}
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
    peers = [name for name in PEER_COLUMNS if any(name in row for row in record["summary"].values())]
    steps = f"{record['steps']} steps after {record['warmup_steps']} of warm-up"
    rows = [
        [
            variant,
            record["runs"][variant][0]["precision"],
            f"{row['median']:.1f}",
            f"{row['best']:.1f}",
            _ratio(row),
            *(_ratio(row, name) for name in peers),
            *_memory(row),
        ]
        for variant, row in record["summary"].items()
    ]
    columns = ["variant", "precision", "pairs/s, median", "best", "times official (lowest–highest)"]
    columns += [PEER_COLUMNS[name] for name in peers]
    return f"{_heading(record, f'pairs per second over {steps}')}\n\n{table([*columns, *_MEMORY], rows)}"


def _whole_table(record: Figures) -> str:
    rows = []
    for variant, row in record["summary"].items():
        runs = record["runs"][variant]
        figures = [f"{seconds:.1f}" for seconds in (row["median"], row["best"], *phases(runs))]
        figures.append(f"{statistics.median(run['pairs_per_second'] for run in runs):.1f}")
        rows.append([variant, runs[0]["precision"], f"{runs[0]['pairs']:,}", *figures, _ratio(row), *_memory(row)])
    columns = ["variant", "precision", "pairs", "command [s], median", "best", *PHASES]
    columns += ["pairs/s", "times official (lowest–highest)", *_MEMORY]
    return f"{_heading(record, 'the whole command, start of Python to saved model')}\n\n{table(columns, rows)}"


PHASES = ("start of Python", "load", "tokenise", "train", "save")


def phases(runs: Sequence[Figures]) -> list[float]:
    """Return the median seconds of every phase of the command, in the order of PHASES."""
    start = statistics.median(run["command_seconds"] - run["seconds"]["total"] for run in runs)
    return [start, *(statistics.median(run["seconds"][phase] for run in runs) for phase in PHASES[1:])]


_MEMORY = ["peak memory [MB]", "of the GPU [MB]"]


def _memory(row: Figures) -> list[str]:
    return [
        f"{row[key] / 1e6:,.0f}" if key in row else "–" for key in ("peak_memory_bytes", "peak_device_memory_bytes")
    ]


def _ratio(row: Figures, name: str = "ratio") -> str:
    if name not in row:
        return "–"
    return f"**{row[name]:.2f}** ({row[f'{name}_low']:.2f}–{row[f'{name}_high']:.2f})"
