"""Keep what was measured: one JSON file a measurement, and the tables in README.md made from these files.

python -m benchmarks.report     # make the tables anew
"""

from __future__ import annotations

import json
import os
import re
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mirrorkit.environment import cpu_name, usable_cores, versions
from mirrorkit.errors import MirrorkitError, OutputError

HERE = Path(__file__).resolve().parent
RESULTS, README = HERE / "results", HERE / "README.md"

Figures = Mapping[str, Any]


def machine(gpu: str | None) -> dict[str, Any]:
    """Return the hardware and versions that a measurement is worthless without; no name of the host."""
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "hardware": {"cpu": cpu_name(), "cores": usable_cores(), "gpu": gpu, "load_average": busy},
        "versions": versions("mirrorkit", "torch", "transformers", "tokenizers", "numpy"),
    }


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


def slug(text: str) -> str:
    """Return `text` as a part of a file name."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")


def write_record(record: Figures, folder: Path) -> Path:
    """Write train_*.json, named after what was measured on what kind of machine; the same again replaces it."""
    hardware = record["hardware"]
    device = hardware["gpu"] or f"{hardware['cpu']} {record['threads']} threads"
    kind = "whole-run" if record["whole_run"] else "steps"
    file = folder / f"train_{slug(record['base'])}_{record['pooling']}_{kind}_{slug(device)}.json"
    _write(file, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return file


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Return the measurements in `folder`, in the order of their file names."""
    return [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("train_*.json"))]


def training_section(records: Iterable[Figures]) -> str:
    """Return the tables of all measurements as Markdown."""
    parts = [_steps_table(record) if not record["whole_run"] else _whole_table(record) for record in records]
    return "\n\n".join(parts) or "Nothing has been measured yet."


def update_section(readme: Path, name: str, content: str) -> None:
    """Replace what stands between the markers of `name`; a file without them is an error, not a place to append."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    try:
        text = readme.read_text(encoding="utf-8")
    except OSError as err:
        raise OutputError(f"{readme}: cannot be read ({err.strerror})") from err
    before, found, rest = text.partition(f"{begin}\n")
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise OutputError(f"{readme}: must have a line {begin} and after it a line {end}")
    _write(readme, f"{before}{begin}\n{content}\n{end}{after}")


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}.partial")
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
    except OSError as err:
        raise OutputError(f"{file}: cannot be written ({err.strerror})") from err


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
    return f"{_heading(record, f'pairs per second over {steps}')}\n\n{_table([*columns, *_MEMORY], rows)}"


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
    return f"{_heading(record, 'the whole command, start of Python to saved model')}\n\n{_table(columns, rows)}"


_MEMORY = ["peak memory [MB]", "of the GPU [MB]"]


def _memory(row: Figures) -> list[str]:
    return [
        f"{row[key] / 1e6:,.0f}" if key in row else "–" for key in ("peak_memory_bytes", "peak_device_memory_bytes")
    ]


def _ratio(row: Figures) -> str:
    return f"**{row['ratio']:.2f}** ({row['ratio_low']:.2f}–{row['ratio_high']:.2f})" if "ratio" in row else "–"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    try:
        update_section(README, "train", training_section(read_records(RESULTS)))
    except MirrorkitError as err:
        print(f"error: {err}", file=sys.stderr)
        sys.exit(2)
