"""What the commands print for people: tables and a few lines, as rich renderables."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mirrorkit.evaluation.run import Evaluation
    from mirrorkit.evaluation.sts import StsReport
    from mirrorkit.training.result import FinetuneResult


def finetune_report(result: FinetuneResult) -> list[RenderableType]:
    """Return the scores where there are any, then what was trained, how fast, and where it lies."""
    stats, seconds = result.stats, result.seconds
    lines: list[RenderableType] = []
    if result.after:
        lines.append(sts_table(result.before, result.after))
    if len(result.runs) > 1:
        lines.append(_seeds(result))
    left_out = f"{result.corpus.repeats:,} repeats dropped, {result.corpus.blank:,} blank rows skipped"
    memory = stats.peak_memory_bytes
    lines += [
        f"{result.recipe_name}: {stats.steps} steps, {stats.pairs:,} pairs ({left_out}), "
        f"{stats.device}, {stats.precision}",
        f"{result.pairs_per_second:.0f} pairs/s, "
        + ", ".join(f"{phase} {spent:.1f} s" for phase, spent in seconds.items() if spent)
        + (f", peak memory {memory / 1e6:,.0f} MB" if memory else ""),
    ]
    if result.out:
        lines.append(f"wrote {result.out}")
    return lines


def _seeds(result: FinetuneResult) -> str:
    figures, what = result.averages, "average"
    if not figures:
        figures, what = [run.stats.loss for run in result.runs], "final loss"
    each = ", ".join(f"{figure:.2f}" for figure in figures)
    return (
        f"{what} over {len(figures)} seeds: {statistics.fmean(figures):.2f} ± {statistics.stdev(figures):.2f} ({each})"
    )


def sts_table(before: StsReport | None, after: StsReport) -> Table:
    """Return the scores by task, with the gain where there is a before."""
    table = Table("task", title="Spearman × 100" if before else "× 100", title_justify="left")
    for column in ("pairs", *(("before", "after", "gain") if before else ("Spearman", "Pearson"))):
        table.add_column(column, justify="right")
    for task, score in after.tasks.items():
        old = before.tasks[task].spearman if before else None
        table.add_row(task, str(score.pairs), *_cells(old, score.spearman, score.pearson))
    table.add_section()
    table.add_row("average", "", *_cells(before.average if before else None, after.average, None))
    return table


def _cells(before: float | None, after: float, pearson: float | None) -> list[str]:
    if before is None:
        return [f"{after:.2f}", "" if pearson is None else f"{pearson:.2f}"]
    return [f"{before:.2f}", f"{after:.2f}", f"{after - before:+.2f}"]


def evaluation_report(report: Evaluation) -> list[RenderableType]:
    """Return the tables of what was asked for."""
    parts: list[RenderableType] = []
    if report.sts:
        parts.append(sts_table(None, report.sts))
    if report.lexical:
        name, score = report.lexical
        parts.append(f"{name}: Spearman {score.spearman:.2f}, Pearson {score.pearson:.2f}, {score.pairs} pairs")
    if report.geometry:
        g = report.geometry
        parts.append(
            f"alignment {g.alignment:.3f} (over {g.positives} pairs), uniformity {g.uniformity:.3f}, "
            f"mean cosine {g.mean_cosine:.3f} (over {g.strings} strings)"
        )
    return parts


def recipes_table(recipes: Mapping[str, Mapping[str, object]]) -> Table:
    """Return a row for each recipe with what sets it apart; what all have in common stands below."""
    first = next(iter(recipes.values()))
    common = {field for field in first if len({recipe[field] for recipe in recipes.values()}) == 1}
    table = Table("recipe", "hyper-parameters", show_lines=True)
    table.columns[0].no_wrap = True
    for name, recipe in recipes.items():
        table.add_row(name, _settings(recipe, set(recipe) - common))
    table.caption = f"in all of them: {_settings(first, common)}"
    return table


def _settings(recipe: Mapping[str, object], fields: set[str]) -> str:
    return ", ".join(f"{field} {value}" for field, value in recipe.items() if field in fields)
