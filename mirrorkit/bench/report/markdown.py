"""The bench report as Markdown tables, for a pull request or a results folder."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mirrorkit.bench.report.tables import Section, sections
from mirrorkit.bench.report.words import described, gate_line, title
from mirrorkit.bench.result import BenchResult

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&])")


def markdown_report(result: BenchResult) -> str:
    """Return the tables, the verdict of the gate and the machine as GitHub Markdown."""
    parts = [f"# {escaped(title(result))}", f"**{escaped(gate_line(result))}**"]
    for section in sections(result):
        parts += [f"## {escaped(section.title)}", _table(section), *(escaped(note) for note in section.notes)]
    for name, values in (("Plan", result.plan), ("Environment", result.environment)):
        lines = [f"- {escaped(key)}: {escaped(text)}" for key, text in described(values).items()]
        parts += [f"## {name}", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def _table(section: Section) -> str:
    left = {section.columns[0], *section.worded}
    rules = (":---" if column in left else "---:" for column in section.columns)
    rows = (section.columns, *((cell.text for cell in row) for row in section.rows))
    head, *body = (_line(escaped(text) for text in row) for row in rows)
    return "\n".join((head, _line(rules), *body))


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escaped(text: str) -> str:
    """Return the text so that Markdown and the HTML in it leave it as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
