"""The tables of `benchmarks.encode`: throughput, latency, likeness; start-up and memory."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import Figures, read_json, table

BASELINE = "sentence-transformers torch"


def read_encode_records(folder: Path) -> list[dict[str, Any]]:
    """Return the measurements in `folder`."""
    return read_json(folder, "encode_")


def encode_section(records: Iterable[Figures]) -> str:
    """Return the tables of all measurements as Markdown."""
    parts = [f"{_heading(r)}\n\n{_speed(r)}\n\n{_starts(r)}" for r in records]
    return "\n\n".join(parts) or "Nothing has been measured yet."


def ratios(runs: Mapping[str, Sequence[Figures]], name: str, baseline: str, figure: str) -> list[float]:
    """Return, round by round, the figure of `name` over that of `baseline`."""
    return [_value(a, figure) / _value(b, figure) for a, b in zip(runs[name], runs[baseline], strict=True)]


def _value(run: Figures, figure: str) -> float:
    value = run[figure]
    return max(value) if isinstance(value, list) else float(value)


def _heading(record: Figures) -> str:
    hardware, texts = record["hardware"], record["texts"]
    packages = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    load = f", load average {hardware['load_average']:.2f} before" if hardware["load_average"] is not None else ""
    return (
        f"### {record['model']}\n\n{hardware['cpu']}, {hardware['cores']} cores, {record['threads']} threads{load}; "
        f"{packages}; {record['date']}. {texts['count']} {texts['source']} a pass, {record['passes']} passes and "
        f"{record['calls']} single calls a process, {record['rounds']} rounds, order rotated. Tokenising is included. "
        f"The single text: “{texts['short']}”"
    )


def _speed(record: Figures) -> str:
    runs = {name: values for name, values in record["runs"].items() if "gflops" not in values[0]}
    peak = max((run["gflops"] for run in record["runs"].get("GEMM peak", [])), default=None)
    per_text = record["texts"]["gflop"] / record["texts"]["count"]
    rows = []
    for name, values in runs.items():
        speeds = [_value(run, "sentences_per_second") for run in values]
        p50 = [run["p50_ms"] for run in values]
        alike = record["likeness"].get(name)
        row = [name, f"{statistics.median(speeds):.0f}", f"{max(speeds):.0f}"]
        row += [_against(runs, name, "sentences_per_second")]
        row += [f"{100 * max(speeds) * per_text / peak:.0f} %" if peak else "–"]
        row += [f"{statistics.median(p50):.2f}", f"{min(p50):.2f}", _against(runs, name, "p50_ms")]
        row += [f"{alike['cosine_mean']:.5f} / {alike['cosine_min']:.5f}" if alike else "–"]
        rows.append(row)
    columns = ["", "sentences/s, median", "best", "× torch (lowest–highest)", "of the GEMM peak"]
    columns += ["one short text, p50 [ms], median", "best", "× torch (lowest–highest)"]
    columns += ["cosine to torch, mean / lowest"]
    note = (
        f"\n\nThe GEMM peak is the best fp32 matrix product of torch on the same threads, {peak:.0f} GFLOP/s. "
        "ONNX Runtime's own kernels pass it on some processors, and int8 does. The share counts the work of the best "
        "pass without padding."
    )
    return table(columns, rows) + (note if peak else "")


def _against(runs: Mapping[str, Sequence[Figures]], name: str, figure: str) -> str:
    if BASELINE not in runs or name == BASELINE:
        return "–"
    values = ratios(runs, name, BASELINE, figure)
    return f"**{statistics.median(values):.2f}** ({min(values):.2f}–{max(values):.2f})"


def _starts(record: Figures) -> str:
    rows = []
    for name, values in record["starts"].items():
        seconds = [run["start_seconds"] for run in values]
        memory = statistics.median(run["start_memory_bytes"] for run in values)
        rows.append([name, f"{statistics.median(seconds):.2f}", f"{min(seconds):.2f}", f"{memory / 1e6:.0f}"])
    columns = ["process start to first vector", "seconds, median", "best", "peak resident memory [MB]"]
    return table(columns, rows)
