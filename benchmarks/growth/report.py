"""The page: what was measured, whether it grows as it should, and what it comes to for a billion texts."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import record as files
from benchmarks.growth.fit import MEMORY_WITHIN, WORK_WITHIN, Slope, each, fit
from benchmarks.growth.making import SHAPE, work_of
from benchmarks.growth.series import ENCODE, FILES, READ, ROWS, SERIES, STEPS, TEXTS, TOKENS, WORK_TOKENS, Series
from mirrorkit.formats.json_file import read_object

PAGE = files.HERE / "growth.md"
MANY = 10**9


@dataclass(frozen=True)
class Growth:
    """What the points of one series say."""

    name: str
    series: Series
    sizes: list[int]
    runs: list[dict[str, Any]]
    work: Slope | None  # of seconds over texts, of seconds a unit over the arithmetic of one, or over rows
    memory: Slope | None
    bytes_each: float | None  # by which the peak grows for one unit of the axis more

    @property
    def work_verdict(self) -> str:
        """Say whether work grows with what there is to do, and with nothing else."""
        if self.work is None:
            return "too few points"
        if self.series.axis == ROWS:
            return self.work.verdict(0, WORK_WITHIN, "flat")
        return self.work.verdict(1, WORK_WITHIN, "linear")

    @property
    def memory_verdict(self) -> str:
        """Say whether the peak stays where it is."""
        return "too few points" if self.memory is None else self.memory.verdict(0, MEMORY_WITHIN, "flat")

    def at(self, size: int, figure: str) -> float:
        """Return the median of a figure at a size."""
        return float(statistics.median(run[figure] for run in self.runs if run["size"] == size))

    def per_unit(self, size: int) -> float:
        """Return the CPU seconds of one unit of work at a size, median."""
        return statistics.median(_per_unit(run) for run in self.runs if run["size"] == size)


def _per_unit(run: dict[str, Any]) -> float:
    return float(run["cpu_seconds"] / run["units"])


def growth_of(name: str, record: files.Figures) -> Growth | None:
    """Return what a series says, or None where nothing of it is measured."""
    series = SERIES[name]
    runs = [run for run in record["runs"] if run["series"] == name]
    if not runs:
        return None
    sizes = sorted({run["size"] for run in runs})
    config = record["config"] if series.task == ENCODE else SHAPE
    if series.axis in (TEXTS, STEPS):
        work = fit([run["size"] for run in runs], [run["cpu_seconds"] for run in runs])
    elif series.axis == TOKENS:
        work = fit([work_of(config, run["size"]) for run in runs], [_per_unit(run) for run in runs])
    else:
        work = fit([run["size"] for run in runs], [_per_unit(run) for run in runs])
    full = [run for run in runs if run["size"] >= series.flat_from]
    at, peaks = [run["size"] for run in full], [run["peak_memory_bytes"] for run in full]
    grows = each(at, peaks) if len(set(at)) > 1 else None
    return Growth(name, series, sizes, runs, work, fit(at, peaks), grows)


def growths(record: files.Figures) -> list[Growth]:
    """Return what every measured series says."""
    return [found for name in SERIES if (found := growth_of(name, record)) is not None]


def write(file: Path, *, price: float | None = None, cores: int | None = None, page: Path = PAGE) -> None:
    """Write the figure beside a record, and the tables into the page."""
    record = read_object(file)
    found = growths(record)
    from benchmarks.growth.plot import draw

    draw(found, file.with_name("growth.png"))
    parts = [_about(record), verdicts(found), *map(_points, found), extrapolated(record, found, price, cores)]
    if record["left_out"]:
        parts.append("Not run: " + "; ".join(f"{point} ({why})" for point, why in record["left_out"].items()) + ".")
    files.update_section(page, "growth", "\n\n".join(part for part in parts if part))


def _about(record: files.Figures) -> str:
    hardware = record["hardware"]
    told = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    loads = [run["load_average"] for run in record["runs"] if run["load_average"] is not None]
    variants = {run["variant"] for run in record["runs"] if run["series"].startswith("encode-texts")}
    load = f"load average {min(loads):.1f} to {max(loads):.1f}" if loads else "load average unknown"
    return (
        f"{record['bundle']} ({', '.join(sorted(variants)) or 'not measured'}); {hardware['cpu']}, {hardware['cores']} "
        f"cores, {load}; {told}; {record['date']}. {len(record['runs'])} processes, "
        "one thread where nothing else is said."
    )


def verdicts(found: Sequence[Growth]) -> str:
    """Return the table of exponents and what they say."""
    rows = [
        [
            f"{growth.name}: {growth.series.about}",
            f"{growth.sizes[0]:,} to {growth.sizes[-1]:,} {growth.series.axis}",
            str(growth.work or "–"),
            f"**{growth.work_verdict}**",
            str(growth.memory or "–"),
            f"**{growth.memory_verdict}**",
            "–" if growth.bytes_each is None else f"{growth.bytes_each:,.1f}",
        ]
        for growth in found
    ]
    head = ["what", "sizes", "exponent of CPU seconds", "work", "exponent of peak memory", "memory"]
    return files.table([*head, "bytes for one more"], rows)


def _points(growth: Growth) -> str:
    scale, unit = (1e6, "µs") if growth.series.task in (FILES, READ) else (1e3, "ms")
    rows = []
    for size in growth.sizes:
        runs = [run for run in growth.runs if run["size"] == size]
        lows, highs = min(map(_per_unit, runs)) * scale, max(map(_per_unit, runs)) * scale
        rows.append(
            [
                f"{size:,}",
                f"{len(runs)}",
                f"{growth.per_unit(size) * scale:.3f} ({lows:.3f}–{highs:.3f})",
                f"{growth.at(size, 'cpu_seconds'):.2f}",
                f"{growth.at(size, 'peak_memory_bytes') / 1e6:,.0f}",
            ]
        )
    head = [growth.series.axis, "runs", f"CPU {unit} a {growth.series.per} (lowest–highest)", "CPU seconds"]
    return f"### {growth.name}\n\n" + files.table([*head, "peak memory, MB"], rows)


def extrapolated(record: files.Figures, found: Sequence[Growth], price: float | None, cores: int | None) -> str:
    """Return the table of what a billion texts come to on paper, by the series of lengths, and its price if told.

    What grows with the number of texts beyond the linear is taken from the interval of `encode-texts`' exponent.
    """
    by_name = {growth.name: growth for growth in found}
    lengths, texts = by_name.get("encode-length"), by_name.get("encode-texts")
    if lengths is None or texts is None or texts.work is None:
        return ""
    cores = cores or record["hardware"]["cores"]
    decades = math.log10(MANY / texts.sizes[-1])
    least, most = 10 ** (decades * min(0.0, texts.work.low - 1)), 10 ** (decades * max(0.0, texts.work.high - 1))
    rows = []
    for size in lengths.sizes:
        each_one = lengths.per_unit(size)
        hours = each_one * MANY / 3600
        row = [f"{size}", f"{each_one * 1e3:.3f}", f"{hours:,.0f}", f"{hours * least:,.0f}–{hours * most:,.0f}"]
        row.append(f"{hours / cores:,.0f}")
        rows.append([*row, f"{hours / cores * price:,.2f}"] if price is not None else row)
    head = ["tokens a text", "CPU ms a text", "core-hours, linear", "by the interval of the exponent"]
    head.append(f"hours of {cores} cores")
    priced = [f"at {price:g} an hour"] if price is not None else []
    drawn = (
        f"Drawn from encode-length, one thread's CPU seconds for {WORK_TOKENS:,} tokens at each length, times 10^9. "
        f"The interval is that of the exponent of encode-texts, {texts.work.low:.3f} to {texts.work.high:.3f}, carried "
        f"on over the {decades:.1f} decades beyond its {texts.sizes[-1]:,} texts. {_of_threads(by_name)} A job of that "
        "size is one of shards, and what those cost beside encoding is simulated in [scale.md](scale.md). "
    )
    if price is None:
        drawn += "`--price` of a machine's hour adds a column."
    else:
        drawn += f"The price, {price:g} for an hour of {cores} cores, is an assumption: `--price` takes your own."
    told = [files.table([*head, *priced], rows), drawn, _strings_held(by_name)]
    return "### A billion texts, on paper\n\n" + "\n\n".join(part for part in told if part)


def _of_threads(by_name: Mapping[str, Growth]) -> str:
    """Say what a text costs by two threads, of the processor and by the clock, beside one."""
    one, two = by_name["encode-texts"], by_name.get("encode-texts-2")
    common = sorted(set(one.sizes) & set(two.sizes)) if two else []
    if two is None or not common:
        return "Hours of several cores are as if a second thread cost nothing, which is not measured here."
    ratio = two.per_unit(common[-1]) / one.per_unit(common[-1])
    return (
        f"Hours of several cores are as if each more cost nothing: by two threads {common[-1]:,} texts took "
        f"{ratio:.2f} times the CPU seconds of one."
    )


def _strings_held(by_name: Mapping[str, Growth]) -> str:
    """Say what a corpus of as many strings would hold of the memory, where that is measured."""
    found = by_name.get("read-strings")
    if found is None or found.bytes_each is None:
        return ""
    return (
        f"A corpus to fine-tune on holds {found.bytes_each:.0f} bytes of memory a string while it is read "
        f"(read-strings, a line through {found.series.flat_from:,} to {found.sizes[-1]:,} strings): a billion take "
        f"{found.bytes_each * MANY / 1e9:,.0f} GB, and `--limit` draws a sample of them in memory that does not grow."
    )
