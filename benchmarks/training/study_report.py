"""The tables of the studies of training, and that of the quality of the `auto` recipe."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import Figures, read_json, slug, table
from benchmarks.training.report import PHASES, phases

NOTHING = "–"
TITLES = {
    "phases": "where the time goes",
    "size": "cost over the size of the corpus",
    "batch": "cost over the batch size",
    "length": "cost over the length of the strings",
    "model": "cost over the size of the model",
    "layers": "cost of a step over the layers that are trained",
    "seeds": "STS after, over seeds",
}
NOTES = {
    "length": "Strings of at least as many words, made by joining sentences and cut at that many tokens: no padding.",
    "model": "The bert ones have random weights and the tokenizer of the base.",
    "layers": "Random weights, and the tokenizer of the base. `--train-layers 12` leaves the embeddings as they are. "
    "CPU seconds of the process, tokenising and AdamW within.",
    "seeds": "Few steps, so what counts is the difference. `before` is the base with a plain mean. The official model "
    "is scored as its authors do, mean over padding at 64 tokens.",
}
IN_DOMAIN = "sentences_10k"
_MODEL = {"model": "Models", "layers": "bert-base"}  # what heads a study that is not of the base
Cell = tuple[str, str]  # point and variant


def read_studies(folder: Path) -> list[dict[str, Any]]:
    """Return the records of the studies in `folder`, in the order of TITLES."""
    found = read_json(folder, "study_")
    return sorted(found, key=lambda record: (machine_slug(record), [*TITLES].index(record["study"])))


def machine_slug(record: Figures) -> str:
    """Return what the plots of a machine's studies are called after."""
    hardware = record["hardware"]
    return slug(hardware["gpu"] or f"{hardware['cpu']} {record['settings']['threads']} threads")


def studies_section(records: Sequence[Figures]) -> str:
    """Return the plots and tables of all studies as Markdown."""
    parts = []
    for machine in dict.fromkeys(machine_slug(record) for record in records):
        parts.append(f"![What training costs and gives](results/studies_{machine}.png)")
        parts += [study_part(record) for record in records if machine_slug(record) == machine]
    return "\n\n".join(parts) or "Nothing has been measured yet."


def cells(record: Figures) -> dict[Cell, list[Figures]]:
    """Return the runs of every point and variant, in the order in which they were measured first."""
    found: dict[Cell, list[Figures]] = {}
    for run in record["runs"]:
        found.setdefault((run["point"], run["variant"]), []).append(run)
    return found


def study_part(record: Figures) -> str:
    """Return heading, table and notes of one study."""
    own = {"seeds": _seeds_table, "layers": _layers_table}
    body = own.get(record["study"], _whole_table if record["whole"] else _steps_table)(record)
    left_out = [f"{place} left out: {why}." for place, why in record["skipped"].items()]
    domain = record["study"] == "seeds" and IN_DOMAIN in record["corpus"]["name"]
    said = "The strings are from the training set of the STS Benchmark, so the scores are in-domain." if domain else ""
    notes = " ".join(filter(None, [said, NOTES.get(record["study"], ""), *left_out]))
    return f"{_heading(record)}\n\n{body}" + (f"\n\n{notes}" if notes else "")


def _heading(record: Figures) -> str:
    hardware, corpus, settings = record["hardware"], record["corpus"], record["settings"]
    device = hardware["gpu"] or f"{hardware['cpu']}, {hardware['cores']} cores, {settings['threads']} threads"
    packages = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    loads = [run["load_average"] for run in record["runs"] if run["load_average"] is not None]
    load = f", load average {hardware['load_average']:.2f} before" if hardware["load_average"] is not None else ""
    load += f" and up to {max(loads):.2f} before a run, its own included" if loads else ""
    paired = f", {corpus['paired']:,} of them two sentences joined for want of more" if corpus["paired"] else ""
    rounds = 1 + max((run["round"] for run in record["runs"]), default=-1)
    steps = "the whole command"
    if not record["whole"]:
        steps = f"{settings['steps']} steps after {settings['warmup_steps']} of warm-up"
    batch = "" if record["study"] == "batch" else f", batch {settings['batch_size']}"
    length = "" if record["study"] == "length" else f", at most {settings['max_length']} tokens"
    return (
        f"### {_MODEL.get(record['study'], record['base'])}: {TITLES[record['study']]}\n\n"
        f"{device}{load}; {packages}; {record['date']}. {corpus['name']}, {corpus['strings']:,} distinct strings of "
        f"{corpus['mean_words']} words on average{paired}{batch}{length}, pooling {settings['pooling']}; {steps}, "
        f"rounds: {rounds}, each figure from a process of its own."
    )


def _ratio(found: dict[Cell, list[Figures]], cell: Cell, figure: str) -> str:
    point, variant = cell
    official = {run["round"]: run[figure] for run in found.get((point, "official"), [])}
    pairs = [(run[figure], official[run["round"]]) for run in found[cell] if run["round"] in official]
    if variant == "official" or not pairs:
        return NOTHING
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    return f"**{1 / ratio if figure == 'command_seconds' else ratio:.2f}**"


def _memory(runs: Sequence[Figures]) -> list[str]:
    known = [
        [run[key] for run in runs if run.get(key) is not None]
        for key in ("peak_memory_bytes", "peak_device_memory_bytes")
    ]
    return [f"{max(values) / 1e6:,.0f}" if values else NOTHING for values in known]


_MEMORY = ["peak memory [MB]", "of the GPU [MB]"]


def _number(point: str) -> str:
    return f"{int(point):,}" if point.isdecimal() else point


def _whole_table(record: Figures) -> str:
    found, rows = cells(record), []
    for cell, runs in found.items():
        command = statistics.median(run["command_seconds"] for run in runs)
        speed = statistics.median(run["pairs_per_second"] for run in runs)
        row = [_number(cell[0]), cell[1], runs[0]["precision"], str(runs[0]["steps"]), f"{command:.1f}"]
        row += [f"{seconds:.1f}" for seconds in phases(runs)]
        rows.append([*row, f"{speed:.1f}", _ratio(found, cell, "command_seconds"), *_memory(runs)])
    columns = [record["what"], "variant", "precision", "steps", "command [s]", *PHASES, "pairs/s", "times official"]
    return table([*columns, *_MEMORY], rows)


def _steps_table(record: Figures) -> str:
    found, rows = cells(record), []
    for cell, runs in found.items():
        speed = statistics.median(run["pairs_per_second"] for run in runs)
        row = [_number(cell[0]), cell[1], runs[0]["precision"], f"{speed:.1f}"]
        rows.append([*row, _ratio(found, cell, "pairs_per_second"), *_memory(runs)])
    return table([record["what"], "variant", "precision", "pairs/s", "times official", *_MEMORY], rows)


def layers_name(point: str) -> str:
    """Return what a point of the study of layers is called."""
    return "all" if point == "0" else f"the last {point}"


def cpu_of_step(record: Figures, runs: Sequence[Figures]) -> float:
    """Return the CPU seconds of a step, the median over the rounds."""
    return float(statistics.median(run["cpu_seconds"] for run in runs) / record["settings"]["steps"])


def _layers_table(record: Figures) -> str:
    found, rows = cells(record), []
    for (point, variant), runs in found.items():
        cost, whole = cpu_of_step(record, runs), found.get(("0", variant))
        share = f"**{cost / cpu_of_step(record, whole):.2f}**" if whole else NOTHING
        rows.append([layers_name(point), variant, runs[0]["precision"], f"{cost:.2f}", share, *_memory(runs)])
    return table([record["what"], "variant", "precision", "CPU s a step", "times all", *_MEMORY], rows)


def sts_by_variant(record: Figures) -> dict[str, dict[str, float]]:
    """Return the STS average of every variant by seed."""
    found: dict[str, dict[str, float]] = {}
    for run in record["runs"]:
        found.setdefault(run["variant"], {})[run["point"]] = run["sts"]["average"]
    return found


def _seeds_table(record: Figures) -> str:
    rows = []
    for variant, scores in sts_by_variant(record).items():
        runs = [run for run in record["runs"] if run["variant"] == variant]
        timed = [run["command_seconds"] for run in runs if "command_seconds" in run]
        row = [variant, str(runs[0].get("steps", NOTHING)), ", ".join(f"{score:.2f}" for score in scores.values())]
        row += [_spread([*scores.values()]), f"{statistics.median(timed):.1f}" if timed else NOTHING]
        rows.append([*row, *_memory(runs)])
    seeds = ", ".join(dict.fromkeys(run["point"] for run in record["runs"]))
    pairs = record["settings"]["sts_pairs"]
    sts = f"STS average, Spearman × 100, {f'{pairs} pairs of each set' if pairs else 'all pairs'}, seeds {seeds}"
    return table(["variant", "steps", sts, "mean ± standard deviation", "command [s]", *_MEMORY], rows)


def _spread(scores: Sequence[float]) -> str:
    mean = statistics.fmean(scores)
    return f"{mean:.2f} ± {statistics.stdev(scores):.2f}" if len(scores) > 1 else f"{mean:.2f}"


def quality_section(records: Iterable[Figures]) -> str:
    """Return the tables of `mirrorkit finetune --eval --json` as Markdown."""
    return "\n\n".join(_quality(record) for record in records) or "Nothing has been measured yet."


def _quality(record: Figures) -> str:
    hardware, corpus = record["hardware"], record["corpus"]
    packages = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    averages = [run["average"] for run in record["runs"]]
    seeds = ", ".join(str(run["seed"]) for run in record["runs"])
    rows = [
        ["before", f"{record['before']['average']:.2f}"],
        [f"after, seeds {seeds}", ", ".join(f"{average:.2f}" for average in averages)],
        ["mean ± standard deviation", _spread(averages)],
    ]
    sets, note = len(record["after"]["tasks"]), f" {record['note']}" if "note" in record else ""
    return (
        f"### {record['base']}, recipe {record['recipe']}\n\n{record['steps']} steps over {corpus['strings']:,} "
        f"distinct strings of {corpus['name']}, {record['precision']}; {hardware['cpu']}, {hardware['cores']} cores; "
        f"{packages}; {record['date']}.{note}\n\n{table([f'Spearman × 100, average of {sets} STS sets', ''], rows)}"
    )
