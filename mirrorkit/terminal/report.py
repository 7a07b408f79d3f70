"""What the commands print for people: tables and a few lines, as rich renderables."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from mirrorkit.formats.plain import plain
from mirrorkit.formats.training_record import HELPED

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

    from mirrorkit.evaluation.intervals import Interval
    from mirrorkit.evaluation.run import Evaluation
    from mirrorkit.evaluation.sts import StsReport
    from mirrorkit.exporter.result import ExportResult
    from mirrorkit.formats.training_record import MemoryRecord
    from mirrorkit.training.recipe import Recipe
    from mirrorkit.training.result import FinetuneResult
    from mirrorkit.verification.check import CheckResult


def finetune_report(result: FinetuneResult) -> list[RenderableType]:
    """Return the scores where there are any, then what was trained, how fast, and where it lies."""
    stats, seconds = result.stats, result.seconds
    lines: list[RenderableType] = []
    if result.after:
        lines.append(sts_table(result.before, result.after))
    if len(result.runs) > 1:
        lines.append(_seeds(result))
    memory = stats.peak_memory_bytes
    lines += [
        f"read {escape(result.corpus.understood)}",
        *([f"taken for {result.kind}"] if result.kind else []),
        f"{result.recipe_name}: {stats.steps} step{'s' * (stats.steps != 1)}, {stats.pairs:,} pairs, "
        f"{stats.device}, {stats.precision}",
        f"views {result.views}",
        *([f"kept {result.checkpoint}"] if result.checkpoint else []),
        *([f"blend {result.blend}"] if result.blend else []),
        *([f"average: {result.average.why}"] if result.average else []),
        *_parts(stats.memory),
        f"{result.pairs_per_second:.0f} pairs/s, "
        + ", ".join(f"{phase} {spent:.1f} s" for phase, spent in seconds.items() if spent >= 0.05)
        + (f", peak memory {memory / 1e6:,.0f} MB" if memory else ""),
    ]
    told = f"no verdict: {result.no_verdict}"
    if result.verdict:
        # Measured against labels, `helped` was right, the other two about as often as not.
        unsure = "" if result.verdict.outcome == HELPED else "; labels tell more: --eval"
        told = f"verdict, for information: {result.verdict.line}{unsure}"
    lines += [*(escape(one.line) for one in result.changes), *_cuts(result), told]
    if result.out:
        lines.append(f"wrote {result.out}")
    return lines


def _cuts(result: FinetuneResult) -> list[RenderableType]:
    """Return the scores with vectors cut to the lengths that were trained."""
    return [escape(f"first {cut.dim}: {one.line}") for cut in result.cuts for one in cut.changes]


def _parts(memory: MemoryRecord) -> list[RenderableType]:
    """Return what was done to keep within the memory, if anything."""
    if not memory.twice or memory.limit is None:
        return []
    limit, predicted = (f"{size / 1e6:,.0f} MB" for size in (memory.limit, memory.predicted))
    return [f"batches in up to {memory.passes} parts, twice, to stay within {limit} of memory; predicted {predicted}"]


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
        rows = {name: (s.spearman, s.pearson, s.pairs) for name, s in report.lexical.items()}
        parts.append(_scores("words, × 100", ("Spearman", "Pearson", "pairs"), rows))
    if report.bli:
        columns = ("acc@1", "MRR", "CSLS acc@1", "CSLS MRR", "sources", "candidates")
        by_file = {
            name: (s.cosine.accuracy_at_1, s.cosine.mrr, s.csls.accuracy_at_1, s.csls.mrr, s.sources, s.candidates)
            for name, s in report.bli.items()
        }
        parts.append(_scores("translation, × 100", columns, by_file))
    if report.qnli:
        answered = {name: (s.accuracy, s.auc, s.pairs) for name, s in report.qnli.items()}
        parts.append(_scores("questions, × 100", ("accuracy", "AUC", "pairs"), answered))
    if report.entities:
        linked = {
            name: (s.accuracy_at_1, s.accuracy_at_5, s.mentions, s.names, s.outside)
            for name, s in report.entities.items()
        }
        parts.append(_scores("entities, × 100", ("acc@1", "acc@5", "mentions", "names", "not in dictionary"), linked))
    parts += _task_tables(report)
    if report.geometry:
        g = report.geometry
        parts.append(
            f"alignment {g.alignment:.3f} (over {g.positives} pairs), uniformity {g.uniformity:.3f}, "
            f"mean cosine {g.mean_cosine:.3f} (over {g.strings} strings)"
        )
    return parts


_SEARCH = {
    "nDCG@10": "ndcg_at_10",
    "MRR@10": "mrr_at_10",
    "recall@1": "recall_at_1",
    "recall@10": "recall_at_10",
    "recall@100": "recall_at_100",
    "MAP@100": "map_at_100",
    "queries": "queries",
    "documents": "documents",
    "queries are": "kind",
}
_LABELS = {
    "kNN accuracy": "accuracy",
    "V-measure": "v_measure",
    "texts": "texts",
    "searched": "searched",
    "labels": "classes",
}


def _task_tables(report: Evaluation) -> list[RenderableType]:
    """Return the tables of retrieval, search and labels: a row for each figure, a column for each set."""
    parts: list[RenderableType] = []
    kinds: tuple[tuple[str, Mapping[str, object], Mapping[str, str]], ...] = (
        ("retrieval", report.retrieval, _SEARCH),
        ("search", report.search, _SEARCH),
        ("labels", report.knn, _LABELS),
    )
    for what, found, figures in kinds:
        if not found:
            continue
        table = Table(f"{what}, × 100")
        for name in found:
            table.add_column(escape(name), justify="right")
        for title, figure in figures.items():
            table.add_row(title, *(_score_text(getattr(score, figure)) for score in found.values()))
        parts.append(table)
    if parts:
        note = "in brackets: 95 % intervals, bootstrap over the queries"
        parts.append(f"{note}; of the V-measure over runs of k-means" if report.knn else note)
    return parts


def _score_text(figure: Interval | int | str) -> str:
    if isinstance(figure, (int, str)):
        return f"{figure:,}" if isinstance(figure, int) else figure
    return f"{figure.value:.2f} ({figure.low:.1f}–{figure.high:.1f})"


def _scores(what: str, columns: Sequence[str], rows: Mapping[str, Sequence[float | int]]) -> Table:
    """Return a row for each file: scores with two decimals, counts as they are."""
    table = Table(what)
    for column in columns:
        table.add_column(column, justify="right")
    for name, figures in rows.items():
        table.add_row(name, *(f"{f:.2f}" if isinstance(f, float) else f"{f:,}" for f in figures))
    return table


def recipes_table(listing: Mapping[str, Recipe]) -> Table:
    """Return a row for each recipe with what sets it apart; what all have in common stands below."""
    recipes: dict[str, dict[str, object]] = plain(listing)
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


_FIGURES = {
    "cosine_mean": ("cosine", ".5f"),
    "cosine_p1": ("1st %", ".5f"),
    "cosine_min": ("lowest", ".5f"),
    "max_abs": ("max abs", ".0e"),
    "spearman": ("Spearm.", ".4f"),
    "overlap": ("top 10", ".3f"),
    "invariance": ("batch", ".0e"),
}
_COLOURS = {"error": "red", "warning": "yellow", "note": "dim"}


def export_report(result: ExportResult, bundle: Path | None = None) -> list[RenderableType]:
    """Return what was measured of each variant, the limits it was held to, why one is missing, where the rest is.

    `bundle` is where it will lie, if that is another place than it was written to.
    """
    table = Table("variant", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))  # as narrow as a terminal of 80
    for column in ("MB", *(title for title, _ in _FIGURES.values())):
        table.add_column(column, justify="right")
    for variant in result.variants.values():
        other = variant.static is not None  # what it says of itself has nothing to do with the model
        measured = variant.verification.figures if variant.verification and not other else {}
        cells = [_figure(measured, name) for name in _FIGURES]
        name = variant.name if variant.published else f"[red]{variant.name}[/]"
        table.add_row(name, f"{variant.bytes / 1e6:.1f}", *cells)
        if variant.verification and not other:
            limits = variant.verification.thresholds
            own = " (yours)" if limits.overridden else ""
            allowed = [_figure(limits.limits(), name) for name in _FIGURES]
            table.add_row(f"[dim] allowed{own}[/]", "", *(f"[dim]{cell}[/]" for cell in allowed))
    lines: list[RenderableType] = [table] if result.variants else []
    lines += [escape(line) for v in result.variants.values() if v.static for line in v.static.lines()]
    lines += [escape(line) for line in result.about.trim.lines()] if result.about.trim else []
    lines.append(escape(result.about.outside.line()))
    lines += [escape(note) for note in result.notes]
    lines += [f"[red]not published[/] {escape(problem.line())}" for problem in result.problems]
    if result.published:
        lines.append(
            f"wrote {escape(str(bundle or result.bundle))}, {result.bytes / 1e6:.1f} MB, in {result.seconds:.1f} s"
        )
    else:
        lines.append("wrote nothing")
    return lines


def check_report(result: CheckResult) -> list[RenderableType]:
    """Return the figures of each graph, each consumer's verdict, every problem, and whether all is well."""
    lines: list[RenderableType] = []
    if result.variants:
        table = Table("graph", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for title, _ in _FIGURES.values():
            table.add_column(title, justify="right")
        for name, figures in result.variants.items():
            table.add_row(name, *(_figure(figures, key) for key in _FIGURES))
        lines.append(table)
    lines += [escape(cut.line()) for cut in result.cuts]
    if result.consumers:
        lines.append(" · ".join(f"{consumer}: {verdict}" for consumer, verdict in result.consumers.items()))
    order = list(_COLOURS)
    lines += [
        f"[{_COLOURS[str(problem.severity)]}]{problem.severity}[/] {escape(problem.line())}"
        for problem in sorted(result.problems, key=lambda p: order.index(str(p.severity)))
    ]
    what = "the bundle" if result.is_bundle else "the folder"
    lines.append(f"{what} passes" if result.ok else f"[red]{what} does not pass[/]")
    return lines


def _figure(figures: Mapping[str, float], name: str) -> str:
    return format(figures[name], _FIGURES[name][1]) if name in figures else ""
