"""The tables of `benchmarks.peers`: throughput and latency; quality and cost; and who could not run."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import Figures, read_json, slug, table

BASELINE = "sentence-transformers torch"
NOTHING = "–"
NOT_ASKED_FOR = "not asked for"  # why a contestant that could have run is absent


def record_stem(record: Figures) -> str:
    """Return the name of the record's files, without an ending: what was measured, on what kind of machine."""
    hardware = record["hardware"]
    machine = " ".join(filter(None, (hardware["cpu"], f"{record['threads']} threads", hardware["gpu"])))
    return f"peers_{slug(record['model'])}_{slug(machine)}"


def read_peer_records(folder: Path) -> list[dict[str, Any]]:
    """Return the measurements in `folder`."""
    return read_json(folder, "peers_")


def peers_section(records: Iterable[Figures]) -> str:
    """Return the tables of all measurements as Markdown."""
    parts = [part for record in records for part in _parts(record)]
    return "\n\n".join(filter(None, parts)) or "Nothing has been measured yet."


def _parts(record: Figures) -> tuple[str, ...]:
    return _heading(record), _plot(record), _speed(record), _shapes(record), _cost(record)


def _shapes(record: Figures) -> str:
    """Return milliseconds a text by kind of text and size of call, medians over the rounds; empty in older records."""
    kinds = record.get("shapes", [])
    if not kinds:
        return ""
    sizes = ["bulk", *map(str, record["batches"])]
    rows = []
    for name, runs in record["runs"].items():
        cells = [
            [statistics.median(run["shapes"][kind][f"{size}_ms"] for run in runs) for size in sizes] for kind in kinds
        ]
        rows.append([name, *(" · ".join(f"{value:.2f}" for value in cell) for cell in cells)])
        rows[-1].append(f"{statistics.median(run['cpu_ms_per_text'] for run in runs):.2f}")
    columns = ["", *kinds, "STS sentences, processor time"]
    return f"Milliseconds a text: {' · '.join(sizes)} texts a call.\n\n{table(columns, rows)}"


def ratios(runs: Mapping[str, Sequence[Figures]], name: str, baseline: str, figure: str) -> list[float]:
    """Return, round by round, the figure of `name` over that of `baseline`."""
    return [_value(a, figure) / _value(b, figure) for a, b in zip(runs[name], runs[baseline], strict=True)]


def speeds(record: Figures, name: str) -> list[float]:
    """Return the sentences per second of a contestant, the best pass of each round."""
    return [_value(run, "sentences_per_second") for run in record["runs"][name]]


def latencies(record: Figures, name: str) -> list[float]:
    """Return the milliseconds of one short text, the median of each round."""
    return [run["p50_ms"] for run in record["runs"][name]]


def best_peak(record: Figures) -> tuple[float, str]:
    """Return the best measured fp32 GFLOP/s and where it was found; 0.0 where nothing was measured."""
    found = ((rate, lib, size) for lib, sizes in record["peak"].items() for size, rate in sizes.items())
    rate, library, size = max(found, default=(0.0, "", ""))
    return rate, f"{library}, {size} × {size}"


def _value(run: Figures, figure: str) -> float:
    value = run[figure]
    return max(value) if isinstance(value, list) else float(value)


def _packages(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))


def _heading(record: Figures) -> str:
    hardware, texts = record["hardware"], record["texts"]
    load = f", load average {hardware['load_average']:.2f} before" if hardware["load_average"] is not None else ""
    gpu = f", {hardware['gpu']}" if hardware["gpu"] else ""
    own = "".join(f" In .venv-{venv}: {_packages(found)}." for venv, found in record["environments"].items())
    return (
        f"### {record['model']}\n\n{hardware['cpu']}, {hardware['cores']} cores, {record['threads']} threads{gpu}"
        f"{load}; "
        f"{_packages(record['versions'])}; {record['date']}.{own} {texts['count']} STS sentences a pass, "
        f"{record['passes']} passes and {record['calls']} single calls a process, {record['rounds']} rounds, order "
        f"rotated. Tokenising is included. The single text: “{texts['short']}”"
    )


def _plot(record: Figures) -> str:
    what = "Throughput, latency and STS points of every contestant"
    return f"![{what}](results/{record_stem(record)}.png)" if record["scores"] else ""


def _speed(record: Figures) -> str:
    runs, (peak, where) = record["runs"], best_peak(record)
    per_text = record["texts"]["gflop"] / record["texts"]["count"]
    rows = []
    for name in runs:
        rate, p50 = speeds(record, name), latencies(record, name)
        # Static vectors do not do the work that the share counts, and a GPU is not held to the processor's peak.
        counted = peak and not name.endswith("static") and "GPU" not in name and "CUDA" not in name
        row = [name, f"{statistics.median(rate):.0f}", f"{max(rate):.0f}", _against(runs, name, "sentences_per_second")]
        row += [f"{100 * max(rate) * per_text / peak:.0f} %" if counted else NOTHING]
        row += [f"{statistics.median(p50):.2f}", f"{min(p50):.2f}", _against(runs, name, "p50_ms")]
        rows.append(row)
    absent = record["absent"].items()
    rows += [[name, reason, *[NOTHING] * 6] for name, reason in absent if reason != NOT_ASKED_FOR]
    left = sum(reason == NOT_ASKED_FOR for _, reason in absent)
    columns = ["", "sentences/s, median", "best", "× torch (lowest–highest)", "of the GEMM peak"]
    columns += ["one short text, p50 [ms], median", "best", "× torch (lowest–highest)"]
    note = (
        f"\n\nThe GEMM peak is the best fp32 matrix product on the same threads, {peak:.0f} GFLOP/s ({where}; asked: "
        f"{', '.join(record['peak'])}). int8 can pass it. The share counts the work of the best pass without padding."
    )
    fewer = f"\n\nOf all contestants {left} were not asked for here." if left else ""
    return table(columns, rows) + fewer + (note if peak else "")


def _against(runs: Mapping[str, Sequence[Figures]], name: str, figure: str) -> str:
    if BASELINE not in runs or name == BASELINE:
        return NOTHING
    values = ratios(runs, name, BASELINE, figure)
    return f"**{_factor(statistics.median(values))}** ({_factor(min(values))}–{_factor(max(values))})"


def _factor(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.4f}"


def _cost(record: Figures) -> str:
    names = dict.fromkeys((*record["runs"], *record["starts"]))
    rows = [[name, *_quality(record, name), *_start(record, name)] for name in names]
    columns = ["", "STS average", "to torch", "cosine to torch, mean / lowest", "Spearman", "weights [MB]"]
    columns += [
        "process start to first vector [s], median",
        "best",
        "its peak memory [MB]",
        "peak memory of a pass [MB]",
    ]
    sets = record["sts_sets"]
    pairs = ", ".join(f"{name} {count:,}" for name, count in sets.items())
    note = f"\n\nSTS average: Spearman × 100, mean over {len(sets)} sets; pairs: {pairs}." if sets else ""
    return table(columns, rows) + note


def _quality(record: Figures, name: str) -> list[str]:
    scores, alike = record["scores"], record["likeness"].get(name)
    score = scores[name]["average"] if name in scores else None
    return [
        NOTHING if score is None else f"{score:.2f}",
        NOTHING if score is None or BASELINE not in scores else f"{score - scores[BASELINE]['average']:+.2f}",
        f"{alike['cosine_mean']:.5f} / {alike['cosine_min']:.5f}" if alike and "cosine_mean" in alike else NOTHING,
        f"{alike['spearman']:.5f}" if alike and "spearman" in alike else NOTHING,
        f"{record['bytes'][name] / 1e6:.1f}" if name in record["bytes"] else NOTHING,
    ]


def _start(record: Figures, name: str) -> list[str]:
    starts = record["starts"].get(name, [])
    seconds = [run["command_seconds"] for run in starts]
    passes = [run["peak_memory_bytes"] for run in record["runs"].get(name, [])]
    return [
        f"{statistics.median(seconds):.2f}" if seconds else NOTHING,
        f"{min(seconds):.2f}" if seconds else NOTHING,
        _megabytes([run["start_memory_bytes"] for run in starts]),
        _megabytes(passes),
    ]


def _megabytes(values: Sequence[int | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.median(known) / 1e6:.0f}" if known else NOTHING
