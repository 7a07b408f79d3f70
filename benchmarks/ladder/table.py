"""The ladder as tables of ladder.md: each rung against the baseline with the same seeds, mean and deviation."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import HERE, Figures, read_json, table, update_section

PAGE = HERE / "ladder.md"
SECTION = "ladder"
DEVELOPMENT = ("stsb-dev", "sts16", "graded", "search")

Points = dict[int, dict[str, float]]  # seed -> scores


def update(results: Path, page: Path) -> None:
    """Make the section of the page anew from the records in a folder, one a machine; without one nothing is done."""
    if text := ladder_section(results):
        update_section(page, SECTION, text)


def ladder_section(results: Path) -> str:
    """Return the section of the records in a folder."""
    return "\n\n".join(map(section, read_json(results, SECTION)))


def section(record: Figures) -> str:
    """Return the tables of a record: one for each base in development, then the last one."""
    parts = [_about(record)]
    cells = record.get("cells", {})  # a record may hold the last table alone
    for base in dict.fromkeys(cell["rung"]["base"] for cell in cells.values()):
        parts += [f"### {base}, development data", _development(cells, base)]
    if final := record.get("final"):
        parts += ["### The seven sets and the test documents, once", _final(final)]
    return "\n\n".join(parts)


def rungs_of(cells: Mapping[str, Any], base: str) -> dict[str, Points]:
    """Return the scores by seed of every rung, and of every point on its way as a rung of its own."""
    found: dict[str, Points] = {}
    for cell in cells.values():
        rung = cell["rung"]
        if rung["base"] != base or "failed" in cell:
            continue
        last = list(cell["points"])[-1]
        for step, scores in cell["points"].items():
            name = rung["name"] if step == last else f"{rung['name']}, {_point(step)}"
            found.setdefault(name, {})[cell["seed"]] = scores
    return found


def _point(step: str) -> str:
    return f"after {step} steps" if step.isdigit() else step


def difference(own: Points, baseline: Points, name: str) -> list[float]:
    """Return the differences to the baseline of the seeds that both have."""
    seeds = [seed for seed in sorted(own) if seed in baseline and name in own[seed] and name in baseline[seed]]
    return [own[seed][name] - baseline[seed][name] for seed in seeds]


def _development(cells: Mapping[str, Any], base: str) -> str:
    found = rungs_of(cells, base)
    firsts: dict[bool, Points] = {}  # the first one with a search and the first without: what others are held against
    rows = []
    for name, own in found.items():
        against = firsts.setdefault("search" in next(iter(own.values())), own)
        is_baseline = own is against
        cpu = statistics.fmean(scores["cpu"] for scores in own.values())
        costs = difference(own, against, "cpu")
        usual = [against[seed]["cpu"] for seed in own if seed in against]
        ratio = f"{1 + sum(costs) / sum(usual):.2f}" if usual else "–"
        rows.append(
            [
                f"**{name}**" if is_baseline else name,
                str(len(own)),
                *(_cell(own, against, key, absolute=is_baseline) for key in DEVELOPMENT),
                f"{cpu:.0f}",
                "1" if is_baseline else ratio,
            ]
        )
    return table(["rung", "seeds", *DEVELOPMENT, "CPU s", "ratio"], rows)


def _cell(own: Points, against: Points, key: str, *, absolute: bool) -> str:
    if absolute:
        return _spread([scores[key] for scores in own.values() if key in scores], "")
    return _spread(difference(own, against, key), "+")


def _spread(values: Sequence[float], sign: str) -> str:
    if not values:
        return "–"
    mean = f"{statistics.fmean(values):{sign}.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean


def _final(cells: Mapping[str, Any]) -> str:
    rows = []
    columns = ("seven", "search")
    for base in dict.fromkeys(cell["rung"]["base"] for cell in cells.values()):
        for name, own in rungs_of(cells, base).items():
            main = next(key for key in columns if key in next(iter(own.values())))
            each = ", ".join(f"{scores[main]:.2f}" for _, scores in sorted(own.items()))
            figures = [_spread([s[key] for s in own.values() if key in s], "") for key in columns]
            rows.append([base, name, *figures, each, _spread([s["cpu"] for s in own.values()], "")])
    return table(["base", "rung", "seven STS sets", "search, MRR@10", "each seed", "CPU s of training"], rows)


def _about(record: Figures) -> str:
    hardware, versions = record["hardware"], record["versions"]
    cells = [*record.get("cells", {}).values(), *record.get("final", {}).values()]
    dates = sorted({cell["date"] for cell in cells})
    threads = sorted({cell["threads"] for cell in cells})
    loads = [cell["load_average"] for cell in cells if cell["load_average"] is not None]
    return (
        f"{hardware['cpu']}, {hardware['cores']} cores, {', '.join(map(str, threads))} thread a cell; load average "
        f"{min(loads):.0f} to {max(loads):.0f}, so seconds are CPU seconds and loaded; "
        f"{', '.join(f'{name} {version}' for name, version in versions.items())}; {' to '.join(dates)}. "
        f"{len(cells)} cells. Spearman × 100 and MRR@10 × 100; a rung is told as the mean difference to the "
        "one in bold with the same seeds ± its standard deviation."
    )
