"""The bench and compare reports for a terminal, as rich renderables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from mirrorkit.bench.report.tables import Cell, Section, sections
from mirrorkit.bench.report.words import described, failure_line, gate_line
from mirrorkit.bench.report.words import title as title_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mirrorkit.bench.judge.changes import Change
    from mirrorkit.bench.judge.compare import Comparison
    from mirrorkit.bench.result import BenchResult

_PLAN = ("budget", "threads", "sets", "pool", "seed")  # the rest is told in the other reports
_TONES = {"good": "green", "bad": "red", "quiet": "dim"}


def bench_report(result: BenchResult) -> list[RenderableType]:
    """Return the tables of quality, speed and cost, the gate's with its verdict, and where all this was measured."""
    lines: list[RenderableType] = [escape(title_of(result))]
    for section in sections(result):
        lines += _drawn(section)
    plan = described({key: result.plan[key] for key in _PLAN if key in result.plan})
    environment = described(result.environment)
    lines += [f"[dim]{escape(_joined(plan))}[/]", f"[dim]{escape(_joined(environment))}[/]"]
    failed = [rule for rule in result.gate.rules if not rule.passed] if result.gate else []
    lines += [f"[red]FAIL[/] {escape(failure_line(rule))}" for rule in failed]
    colour = "green" if result.gate and result.gate.passed else "red" if result.gate else "dim"
    return [*lines, f"[{colour}]{escape(gate_line(result))}[/]"]


def _joined(values: dict[str, str]) -> str:
    return " · ".join(f"{key} {text}" for key, text in values.items())


def _drawn(section: Section) -> list[RenderableType]:
    notes = section.columns.index("note") if "note" in section.columns else len(section.columns)
    gap = int(len(section.columns) < 8)  # a wider table has to do without, to fit a terminal of 80
    title = escape(section.title)
    table = Table(box=SIMPLE_HEAD, padding=(0, gap, 0, 0), show_edge=False, title=title, title_justify="left")
    for column in section.columns[:notes]:  # notes would not fit; those of a failure stand below
        left = column in section.worded or column == section.columns[0]
        table.add_column(escape(column), justify="left" if left else "right", overflow="fold")
    for row in section.rows:
        table.add_row(*(_styled(cell) for cell in row[:notes]))
    said = [] if "note" in section.columns else [f"[dim]{escape(note)}[/]" for note in section.notes]
    return ["", table, *said]


def _styled(cell: Cell) -> str:
    text = escape(cell.text)
    return f"[{_TONES[cell.tone]}]{text}[/]" if cell.tone else text


def compare_report(comparison: Comparison) -> list[RenderableType]:
    """Return what changed from the first run to the second, what of it is beyond noise, and what cannot be told."""
    lines: list[RenderableType] = [escape(f"from {comparison.a} to {comparison.b}")]
    lines += [f"[bold red]{escape(warning)}[/]" for warning in comparison.warnings]
    lines += [f"[dim]{escape(line)}[/]" for line in comparison.differences]
    shown = [change for change in comparison.changes if change.shown]
    if shown:
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
        for column in ("variant", "figure", "from", "to", "change", "verdict"):
            left = column in ("variant", "figure", "verdict")
            table.add_column(column, justify="left" if left else "right", overflow="fold")
        for change in shown:
            table.add_row(*(_styled(cell) for cell in _cells(change)))
        lines.append(table)
    lines += [f"only in {escape(name)}: {escape(what)}" for name, what in comparison.only_lines()]
    return [*lines, *(escape(line) for line in comparison.summary())]


def _cells(change: Change) -> tuple[Cell, ...]:
    return (
        Cell(change.subject),
        Cell(change.figure.removeprefix("speed.").removeprefix("quality.")),
        Cell(change.text(change.a)),
        Cell(change.text(change.b)),
        Cell(change.difference()),
        Cell(change.verdict_text(), {True: "good", False: "bad", None: "quiet"}[change.better]),
    )
