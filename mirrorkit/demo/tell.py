"""The demo's tables and its verdict, which says what was measured, whichever way it went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from mirrorkit.bench.result import BASELINE
from mirrorkit.demo.measure import Neighbour, Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mirrorkit.bench.result import BenchResult


def score_table(before: Snapshot, after: Snapshot) -> Table:
    """Return the graded score and the geometry, before and after."""
    table = Table("on the shipped graded set")
    for column in ("before", "after", "change", "better is"):
        table.add_column(column, justify="right")
    rows = (
        ("Spearman × 100", before.graded.spearman, after.graded.spearman, 2, "higher"),
        ("mean cosine of any two", before.geometry.mean_cosine, after.geometry.mean_cosine, 3, "lower"),
        ("uniformity", before.geometry.uniformity, after.geometry.uniformity, 3, "lower"),
        ("alignment", before.geometry.alignment, after.geometry.alignment, 3, "lower"),
        ("cosine, same topic", before.topics.same_topic, after.topics.same_topic, 3, ""),
        ("cosine, other topics", before.topics.other_topic, after.topics.other_topic, 3, ""),
    )
    for name, old, new, digits, better in rows:
        table.add_row(name, f"{old:.{digits}f}", f"{new:.{digits}f}", f"{new - old:+.{digits}f}", better)
    return table


def verdict(before: Snapshot, after: Snapshot) -> list[str]:
    """Return a sentence for each of: agreement with people, the STS average, the spread of the vectors."""
    lines = [_agreement("the graded set", before.graded.spearman, after.graded.spearman)]
    if before.sts and after.sts:
        lines.append(_agreement("the seven STS sets", before.sts.average, after.sts.average))
    old, new = before.geometry.mean_cosine, after.geometry.mean_cosine
    spread = "spread out over" if new < old else "do not fill any more of"
    lines.append(f"The vectors {spread} the sphere: two sentences have a cosine of {old:.2f} before, {new:.2f} after.")
    return lines


def _agreement(where: str, before: float, after: float) -> str:
    if after > before:
        return f"Agreement with people on {where} rose by {after - before:.2f} points."
    return (
        f"[yellow]Agreement with people on {where} did not rise ({after - before:+.2f} points): "
        "the fine-tune did not help this model with this text.[/yellow]"
    )


def neighbour_table(before: Snapshot, after: Snapshot) -> Table:
    """Return the nearest sentences of each query, side by side."""
    table = Table("before", "after", title="Nearest in the graded set", title_justify="left")
    for query, old in before.neighbours.items():
        table.add_row(f"[bold]{escape(query)}[/bold]", "")
        table.add_row(_lines(old), _lines(after.neighbours[query]), end_section=True)
    return table


def bench_table(result: BenchResult) -> Table:
    """Return what each variant costs and how well it scores."""
    table = Table("variant", title="On this machine, tokenising included", title_justify="left")
    for column in ("MB", "sentences/s", "one text [ms]", "Spearman × 100", "cosine to fp32"):
        table.add_column(column, justify="right")
    for subject in result.subjects:
        if subject.speed is None or subject.quality is None or subject.name == BASELINE:
            continue
        table.add_row(
            subject.name,
            f"{subject.file_bytes / 1e6:.1f}",
            f"{subject.speed.ragged.sentences_per_second.value:,.0f}",
            f"{subject.speed.single.p50.value * 1e3:.2f}",
            f"{subject.quality.sts_average:.2f}",
            f"{subject.quality.cosine_mean:.5f}",
        )
    return table


def _lines(neighbours: Sequence[Neighbour]) -> str:
    return "\n".join(f"{n.cosine:.2f}  {escape(n.text)}" for n in neighbours)
