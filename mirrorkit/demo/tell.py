"""The demo's tables and its verdict, which says what was measured, whichever way it went."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from mirrorkit.demo.measure import Hit, Snapshot, gain

if TYPE_CHECKING:
    from mirrorkit.demo.speed import Speed

CLAIM = "Half a minute on raw text, no labels: a masked language model becomes a search engine for that kind of text."


def score_rows(before: Snapshot, after: Snapshot) -> list[tuple[str, float, float]]:
    """Return what is compared: its name, before, after. All are times 100, and higher is better."""
    return [
        ("search, MRR@10", before.search.mrr_at_10.value, after.search.mrr_at_10.value),
        ("search, found first", before.search.recall_at_1.value, after.search.recall_at_1.value),
        ("search, found in the first ten", before.search.recall_at_10.value, after.search.recall_at_10.value),
        (f"{after.graded.pairs} graded pairs, Spearman", before.graded.spearman, after.graded.spearman),
    ]


def score_table(before: Snapshot, after: Snapshot) -> Table:
    """Return every score before and after, what fell in red."""
    table = Table("× 100, higher is better")
    for column in ("before", "after", "change"):
        table.add_column(column, justify="right")
    for name, old, new in score_rows(before, after):
        change = f"{new - old:+.1f}"
        table.add_row(name, f"{old:.1f}", f"{new:.1f}", change if new > old else f"[red]{change}[/red]")
    return table


def verdict(before: Snapshot, after: Snapshot) -> list[str]:
    """Return a sentence for the search and one for agreement with people, in red where the fine-tune did not help."""
    rise = gain(before.search, after.search)
    agreement = after.graded.spearman - before.graded.spearman
    return [
        f"{_helped('Search', rise.value)} 95 % interval of the change: {rise.low:+.1f} to {rise.high:+.1f}.",
        _helped("Agreement with people on the graded pairs", agreement),
    ]


def _helped(what: str, change: float) -> str:
    if change > 0:
        return f"{what} rose by {change:.1f} points."
    return f"[red]{what} did not rise ({change:+.1f} points): the fine-tune did not help here.[/red]"


def results_table(before: Mapping[str, Sequence[Hit]], after: Mapping[str, Sequence[Hit]]) -> Table:
    """Return the first results of each query side by side, the right one marked."""
    table = Table("before", "after", title="The first results, the right one marked", title_justify="left")
    for query, old in before.items():
        table.add_row(f"[bold]{escape(query)}[/bold]", "")
        table.add_row(_hits(old), _hits(after[query]), end_section=True)
    return table


def _hits(hits: Sequence[Hit]) -> str:
    lines = [f"{hit.cosine:.2f} {escape(hit.name)}" for hit in hits]
    return "\n".join(f"[green]{line} ✓[/green]" if hit.right else line for line, hit in zip(lines, hits, strict=True))


def speed_table(speeds: Sequence[Speed]) -> Table:
    """Return what each graph is worth in use."""
    table = Table("the light runtime, on this machine")
    for column in ("texts/s", "one text [ms]", "lowest cosine"):
        table.add_column(column, justify="right")
    for speed in speeds:
        cells = (f"{speed.texts_per_second:,.0f}", f"{1e3 * speed.one_text:.1f}", f"{speed.cosine_min:.4f}")
        table.add_row(speed.variant, *cells)
    return table


def program() -> str:
    """Return how this very mirrorkit is called from any folder: by name where the shell finds it, else by path."""
    script = Path(sys.argv[0])
    if script.name == "mirrorkit" and script.is_file():
        found = shutil.which("mirrorkit")
        if found and Path(found).samefile(script):
            return "mirrorkit"
        return shlex.quote(str(script.absolute()))
    return f"{shlex.quote(os.path.abspath(sys.executable))} -m mirrorkit"  # noqa: PTH100  (a venv's link must stay)
