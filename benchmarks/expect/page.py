"""The records as tables of expect.md: gains by base, corpus and recipe, what hurts, what could not be measured."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import record as files
from benchmarks.expect.cells import AS_IS, NEARLY, SIZES, cells

PREFIX = "expect_"  # of the records, one a machine: seconds and the documents of a domain are its own
SECTION = "expect"
USUAL = 2_000  # strings of the first table
HURTS = -1.0  # points from which on a fall is listed

# Columns of the tables: what the names of scores begin with.
MEASURES = {"search": "search, MRR@10", "topics": "topics, nearest", "stsb-dev": "stsb-dev", "simlex999": "simlex999"}


@dataclass(frozen=True)
class Group:
    """The cells that differ in their seed alone."""

    base: str
    corpus: str
    size: int
    recipe: str
    runs: tuple[dict[str, Any], ...]

    @property
    def strings(self) -> int:
        """How many strings were trained on, which is fewer than the size where the corpus ends before it."""
        return int(self.runs[0]["strings"])

    def gains(self, before: dict[str, float]) -> dict[str, list[float]]:
        """Return for each kind of measure the gain of every run, in points."""
        found: dict[str, list[float]] = {}
        for run in self.runs:
            for name, value in run["scores"].items():
                found.setdefault(name.partition(":")[0], []).append(value - before[name])
        return found

    def start(self, before: dict[str, float], measure: str) -> float:
        """Return what the base scored by that kind of measure."""
        return next(before[name] for name in self.runs[0]["scores"] if name.partition(":")[0] == measure)

    def own(self) -> str:
        """Return the measure that is of the corpus' own kind."""
        measures = {name.partition(":")[0] for name in self.runs[0]["scores"]}
        return next(name for name in ("search", "simlex999", "stsb-dev") if name in measures)


def before(record: files.Figures) -> dict[str, dict[str, float]]:
    """Return the scores of each base as it is, by whatever corpora it was scored for."""
    found: dict[str, dict[str, float]] = {}
    for cell in record["cells"].values():
        if cell["recipe"] == AS_IS and "failed" not in cell:
            found.setdefault(cell["base"], {}).update(cell["scores"])
    return found


def groups(record: files.Figures) -> list[Group]:
    """Return the trained cells whose base was scored too, by base, corpus, size and recipe."""
    known = before(record)
    found: dict[tuple[str, str, int, str], list[dict[str, Any]]] = {}
    for cell in record["cells"].values():
        if cell["recipe"] != AS_IS and "failed" not in cell and set(cell["scores"]) <= set(known.get(cell["base"], {})):
            key = (cell["base"], cell["corpus"], cell["size"], cell["recipe"])
            found.setdefault(key, []).append(cell)
    bases = list(known)
    order = sorted(found, key=lambda key: (bases.index(key[0]), key[1], key[2], key[3]))
    return [Group(*key, tuple(sorted(found[key], key=lambda run: run["seed"]))) for key in order]


def sections(results: Path) -> str:
    """Return what stands between the markers: the tables of each machine."""
    records = files.read_json(results, PREFIX)
    headed = [f"## {record['hardware']['cpu']}\n\n{section(record)}" for record in records]
    return "\n\n".join(headed if len(records) > 1 else map(section, records)) or "Nothing is measured yet."


def section(record: files.Figures) -> str:
    """Return the tables of one machine."""
    every, known = groups(record), before(record)
    usual = [group for group in every if group.size == USUAL and group.recipe == "auto"]
    others = [group for group in every if group not in usual]
    hardware = record["hardware"]
    return "\n\n".join(
        [
            f"{hardware['cpu']}, {record['threads']} of {hardware['cores']} cores, shared with other work; "
            f"{', '.join(f'{name} {version}' for name, version in record['versions'].items())}; {record['date']}. "
            f"{_count(record)} {_seeds(every)}",
            f"![gain by number of strings](results/{_plot('strings', record)})",
            f"![gain with identity views and with crops](results/{_plot('views', record)})",
            f"### {USUAL:,} strings, recipe `auto`",
            _table(usual, known),
            "### More or fewer strings, other recipes",
            _table(others, known),
            "### Where it hurt",
            _hurt(every, known),
            "### What is not in these tables",
            _absent(record),
        ]
    )


def _count(record: files.Figures) -> str:
    trained = sum(cell["recipe"] != AS_IS for cell in record["cells"].values())
    planned = sum(cell.recipe != AS_IS and cell.name not in record["skipped"] for cell in cells())
    return f"**{trained} of {planned} planned trainings are measured**, each in a process of its own."


def _seeds(every: Sequence[Group]) -> str:
    several = [group for group in every if len(group.runs) > 1]
    if not several:
        return "One seed each, so that a difference of a point may be chance."
    counts = sorted({len(group.runs) for group in several})
    return (
        f"Gains with a deviation are means over {' or '.join(map(str, counts))} seeds, the others are of one, "
        "so that a difference of a point may be chance."
    )


def _table(some: Sequence[Group], known: dict[str, dict[str, float]]) -> str:
    if not some:
        return "Nothing is measured yet."
    measures = [name for name in MEASURES if any(name in group.gains(known[group.base]) for group in some)]
    columns = ["base", "corpus", "strings", "recipe", "steps", *(MEASURES[name] for name in measures), "CPU s"]
    return files.table(columns, [_row(group, known[group.base], measures) for group in some])


def _row(group: Group, start: dict[str, float], measures: Sequence[str]) -> list[str]:
    gains, run = group.gains(start), group.runs[0]
    cpu = statistics.fmean(run["train_cpu_seconds"] for run in group.runs)
    recipe = group.recipe if run["views"] in group.recipe else f"{group.recipe} ({run['views']})"
    cells = [f"{group.start(start, name):.1f} {_shown(gains[name])}" if name in gains else "" for name in measures]
    return [group.base, group.corpus, f"{group.strings:,}", recipe, str(run["steps"]), *cells, f"{cpu:,.0f}"]


def _shown(gains: Sequence[float]) -> str:
    mean = f"**{statistics.fmean(gains):+.1f}**"
    return f"{mean} ± {statistics.stdev(gains):.1f}" if len(gains) > 1 else mean


def _hurt(every: Iterable[Group], known: dict[str, dict[str, float]]) -> str:
    falls, every = [], list(every)
    for group in every:
        for name, gains in group.gains(known[group.base]).items():
            if (gain := statistics.fmean(gains)) <= HURTS:
                about = f"{group.base}, {group.strings:,} strings of {group.corpus}, recipe {group.recipe}"
                falls.append((gain, f"- {about}: {MEASURES[name]} {gain:+.1f}"))
    if not falls:
        return (
            f"No measure fell by {-HURTS:g} point or more in the {sum(len(group.runs) for group in every)} trainings "
            "measured so far; what is missing stands below."
        )
    return "\n".join(line for _, line in sorted(falls))


def _absent(record: files.Figures) -> str:
    there = {cell["corpus"]: cell["corpus_strings"] for cell in record["cells"].values() if cell["recipe"] != AS_IS}
    sizes = ", ".join(f"{size:,}" for size in SIZES)
    lines = [f"Of the sizes {sizes}, a corpus of at least {NEARLY:.0%} of one is taken whole for it."]
    for corpus, count in sorted(there.items()):
        too_large = ", ".join(f"{size:,}" for size in SIZES if count < NEARLY * size)
        lines.append(f"- {corpus} has {count:,} distinct strings" + (f": none of {too_large}" if too_large else ""))
    failed = [cell for cell in record["cells"].values() if "failed" in cell]
    lines += [f"- {cell['base']}, {cell['corpus']}, {cell['recipe']}: {cell['failed']}" for cell in failed]
    lines.append(_pending(record))
    return f"{lines[0]}\n\n" + "\n".join(lines[1:])


def _pending(record: files.Figures) -> str:
    """Return how many planned cells are still to be measured, and what there is no trained cell of at all."""
    planned = [cell for cell in cells() if cell.name not in record["skipped"]]
    missing = [cell for cell in planned if cell.name not in record["cells"]]
    if not missing:
        return f"- all of the {len(planned)} planned cells are measured here"
    done = [cell for cell in record["cells"].values() if cell["recipe"] != AS_IS]
    untouched = [
        name
        for key in ("base", "corpus")
        for name in dict.fromkeys(getattr(cell, key) for cell in missing if cell.recipe != AS_IS)
        if all(cell[key] != name for cell in done)
    ]
    about = f"; nothing at all is trained of {', '.join(untouched)}" if untouched else ""
    return f"- {len(missing)} of the {len(planned)} planned cells are not measured here yet{about}"


def update(results: Path, page: Path) -> None:
    """Write the page's section, and both plots of each of the records in `results`."""
    from benchmarks.expect.plot import draw_strings, draw_views

    files.update_section(page, SECTION, sections(results))
    for record in files.read_json(results, PREFIX):
        draw_strings(record, results / _plot("strings", record))
        draw_views(record, results / _plot("views", record))


def _plot(kind: str, record: files.Figures) -> str:
    return f"{PREFIX}{kind}_{files.slug(record['hardware']['cpu'])}.png"
