"""The cells of words as a section of studies.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.record import read_json, table

MEASURES = {"pairs": "graded pairs", "noun": "nouns", "verb": "verbs", "adj": "adjectives", "synonyms": "synonyms, MRR"}


def words_section(results: Path) -> str:
    """Return the table of every cell, its end and what was made of it; a line where there is no record."""
    found = read_json(results, "word_dev")
    if not found:
        return "No record yet."
    (record,) = found
    rows = [[base, "as it is", "", "", "", *_figures(scores)] for base, scores in record["bases"].items()]
    for name, cell in record["cells"].items():
        base, setting, seed = name.split("/")
        if "failed" in cell:
            rows.append([base, setting, seed, "", "", cell["failed"], *[""] * (len(MEASURES) - 1)])
            continue
        for done, scores in cell["way"].items():
            rows.append([base, f"{setting}, on the way", seed, done, "", *_figures(scores)])
        for what, scores in cell["scores"].items():
            said, seconds = (setting, f"{cell['cpu_seconds']:.0f}") if what == "end" else (f"{setting}, {what}", "")
            rows.append([base, said, seed, str(cell["steps"]), seconds, *_figures(scores)])
    hardware, sets = record["hardware"], ", ".join(f"{count:,} {name}" for name, count in record["sets"].items())
    return "\n".join(
        [
            f"{hardware['cpu']}, {hardware['cores']} cores, {record['threads']} thread, load average "
            f"{hardware['load_average']:.1f}; "
            f"{', '.join(f'{name} {version}' for name, version in record['versions'].items())}; {record['date']}. "
            f"{sets}. The CPU seconds are of the training alone.",
            "",
            table(["base", "setting", "seed", "steps", "CPU s", *MEASURES.values()], rows),
        ]
    )


def _figures(scores: Mapping[str, float]) -> list[str]:
    return [f"{scores[name]:.1f}" for name in MEASURES]
