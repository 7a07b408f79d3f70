"""The bench report as one HTML file: no network, no script, light and dark, legible on a phone."""

from __future__ import annotations

from html import escape
from pathlib import PurePath

from mirrorkit.bench.report.page_style import STYLE
from mirrorkit.bench.report.plots import Plot
from mirrorkit.bench.report.plots_quality import (
    pareto_batches,
    pareto_single,
    sets_differences,
    sets_scores,
    task_differences,
)
from mirrorkit.bench.report.plots_speed import memory, over_batch, over_length
from mirrorkit.bench.report.tables import Cell, Section, sections
from mirrorkit.bench.report.words import described, failure_line, gate_line, title
from mirrorkit.bench.result import BenchResult

PLOTS = (
    pareto_batches,
    pareto_single,
    over_length,
    over_batch,
    memory,
    sets_scores,
    sets_differences,
    task_differences,
)
# The page may load and run nothing at all, whatever a name in it may try.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def html_page(result: BenchResult) -> str:
    """Return the report with its plots as one HTML document; raises MissingExtraError without matplotlib."""
    name = PurePath(str(result.bundle.get("folder", "bundle"))).name
    parts = [
        f"<header><h1>{escape(name)}</h1>",
        f"<p>{escape(title(result))}</p>",
        *_verdict(result),
        "</header><main>",
        '<section class="plots">',
        *(_figure(plot) for plot in (draw(result) for draw in PLOTS) if plot is not None),
        "</section>",
        *(_table(section) for section in sections(result)),
        _list("Plan", described(result.plan)),
        _list("Environment", described(result.environment)),
        "</main>",
    ]
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">',
            f"<title>{escape(name)} · mirrorkit bench</title><style>{STYLE}</style></head><body>",
            *parts,
            "</body></html>\n",
        ]
    )


def _verdict(result: BenchResult) -> list[str]:
    failed = [rule for rule in result.gate.rules if not rule.passed] if result.gate else []
    tone = "quiet" if result.gate is None else "good" if result.gate.passed else "bad"
    lines = [f'<p class="verdict {tone}">{escape(gate_line(result))}</p>']
    return (
        [*lines, "<ul>", *(f"<li>{escape(failure_line(rule))}</li>" for rule in failed), "</ul>"] if failed else lines
    )


def _figure(plot: Plot) -> str:
    note = f'<p class="note">{escape(plot.note)}</p>' if plot.note else ""
    return f"<figure><figcaption>{escape(plot.title)}</figcaption>{plot.svg}{note}</figure>"


def _table(section: Section) -> str:
    head = "".join(f'<th scope="col"{_left(section, i)}>{escape(c)}</th>' for i, c in enumerate(section.columns))
    rows = "".join(f"<tr>{_row(section, row)}</tr>" for row in section.rows)
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in section.notes)
    label = escape(section.title)
    return (
        f'<section><h2>{label}</h2><div class="scroll" tabindex="0" role="region" aria-label="{label}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{notes}</section>"
    )


def _row(section: Section, row: tuple[Cell, ...]) -> str:
    first, *others = row
    cells = (f"<td{_left(section, i, cell.tone)}>{escape(cell.text)}</td>" for i, cell in enumerate(others, 1))
    return f'<th scope="row"{_left(section, 0)}>{escape(first.text)}</th>{"".join(cells)}'


def _left(section: Section, column: int, tone: str = "") -> str:
    left = "left" if column == 0 or section.columns[column] in section.worded else ""
    classes = " ".join(name for name in (left, tone) if name)
    return f' class="{classes}"' if classes else ""


def _list(name: str, values: dict[str, str]) -> str:
    entries = "".join(f"<dt>{escape(key)}</dt><dd>{escape(text)}</dd>" for key, text in values.items())
    return f"<section><h2>{escape(name)}</h2><dl>{entries}</dl></section>"
