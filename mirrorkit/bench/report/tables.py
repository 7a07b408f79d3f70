"""What a report shows, as tables of plain text: the terminal, Markdown and HTML reports differ in the drawing alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mirrorkit.bench.report.words import MISSING, gate_line, measured_text, milliseconds, number, sound
from mirrorkit.bench.result import (
    BASELINE,
    BenchResult,
    CutScore,
    Interval,
    Quality,
    RuleResult,
    Speed,
    Subject,
    Timing,
)

MEASURES = {"ndcg_at_10": "nDCG@10", "mrr_at_10": "MRR@10", "accuracy": "kNN accuracy"}
WIDE = 0.05  # of the value; an interval wider than this either way is worth a word


@dataclass(frozen=True)
class Cell:
    """The text of a cell; `tone` is "good", "bad", "quiet" or nothing, and never the only carrier of a meaning."""

    text: str
    tone: str = ""


@dataclass(frozen=True)
class Section:
    """A table, its first column of names and the others of figures, and what must be said about it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    worded: tuple[str, ...] = ()  # columns of words, to be set to the left


def sections(result: BenchResult) -> list[Section]:
    """Return the tables that the result has figures for."""
    made = [*_quality(result), *_speed(result), *([gate_section(result)] if result.gate else [])]
    return [section for section in made if section.rows]


def _quality(result: BenchResult) -> Iterator[Section]:
    measured = [(s, s.quality) for s in result.subjects if s.quality]
    yield Section(
        "STS, Spearman × 100",
        ("variant", "average", "difference", "95 % interval", "verdict"),
        tuple(_row(s, number(q.sts_average, ".2f"), *_above(s, q.average_difference)) for s, q in measured),
        (*_stand_in(result), "difference: points above the baseline, paired bootstrap over the pairs"),
        ("verdict",),
    )
    yield Section(
        "Vectors: cosine to the baseline's",
        ("variant", "mean", "1st %", "lowest", "golden", "top 10", "batch"),
        tuple(_row(s, *_vectors(q)) for s, q in measured),
        (
            "golden: lowest cosine to the vectors that the model gave at export; "
            "top 10: share of neighbours kept; batch: largest change caused by the rest of the batch or by padding",
        ),
    )
    yield from _cuts(measured)
    yield from _tasks(measured)
    names = [s.name for s, _ in measured]
    yield Section(
        "STS by set",
        ("set", *names),
        tuple(
            (Cell(task), *(Cell(number(q.sts.get(task), ".2f")) for _, q in measured))
            for task in dict.fromkeys(task for _, q in measured for task in q.sts)
        ),
    )


def _cuts(measured: list[tuple[Subject, Quality]]) -> Iterator[Section]:
    """Yield a table of vectors that are cut, where the bundle names lengths for that."""
    lengths = dict.fromkeys(length for _, quality in measured for length in quality.cuts)
    cut = [(subject, quality) for subject, quality in measured if quality.cuts]
    yield Section(
        "STS average of vectors cut to their first numbers",
        ("variant", *lengths, "whole"),
        tuple(_row(s, *(_cut(q.cuts.get(length)) for length in lengths), number(q.sts_average, ".2f")) for s, q in cut),
        ("in brackets: points above the whole vectors and their 95 % interval, paired bootstrap over the pairs",),
    )


def _cut(found: CutScore | None) -> str:
    if found is None:
        return MISSING
    change = found.difference
    return f"{found.sts_average:.2f} ({change.value:+.2f}, {change.low:+.2f} … {change.high:+.2f})"


def _tasks(measured: list[tuple[Subject, Quality]]) -> Iterator[Section]:
    """Yield a table for each retrieval, search and labelled set."""
    for name in dict.fromkeys(name for _, quality in measured for name in quality.tasks):
        found = [(s, one) for s, quality in measured if (one := quality.tasks.get(name))]
        measure, queries = found[0][1].measure, found[0][1].queries
        yield Section(
            f"{name}, {MEASURES.get(measure, measure)} × 100",
            ("variant", "score", "difference", "95 % interval", "verdict"),
            tuple(_row(s, number(one.score, ".2f"), *_above(s, one.difference)) for s, one in found),
            (f"difference: points above the baseline, paired bootstrap over the {queries:,} queries",),
            ("verdict",),
        )


def _row(subject: Subject, *cells: str | Cell) -> tuple[Cell, ...]:
    return (Cell(subject.name), *(cell if isinstance(cell, Cell) else Cell(cell) for cell in cells))


def _stand_in(result: BenchResult) -> tuple[str, ...]:
    if not result.plan.get("baseline_stands_in"):
        return ()
    stands_in = f"the bundle's own {result.baseline} stands in"
    return (f"no model was given: {stands_in}, so only `golden` compares with the model",)


def _above(subject: Subject, found: Interval | None) -> tuple[str | Cell, ...]:
    if subject.name == BASELINE:
        return MISSING, MISSING, Cell("baseline", "quiet")
    if not sound(found):
        return MISSING, MISSING, Cell("not measured", "bad")
    verdict = Cell("not significant", "quiet") if _includes(found, 0.0) else Cell("significant")
    return f"{found.value:+.3f}", f"{found.low:+.3f} … {found.high:+.3f}", verdict


def _vectors(quality: Quality) -> tuple[str, ...]:
    cosines = (quality.cosine_mean, quality.cosine_p1, quality.cosine_min, quality.golden_cosine_min)
    return (
        *(number(cosine, ".6f") for cosine in cosines),
        number(quality.neighbours, ".3f"),
        number(quality.invariance, ".0e"),
    )


def _speed(result: BenchResult) -> Iterator[Section]:
    measured = [(s, s.speed) for s in result.subjects if s.speed]
    noise = _noise(measured)
    yield Section(
        "Real texts in batches, tokenising included",
        ("variant", "sent/s", "tok/s", "p50 ms", "p90", "p99", "÷ baseline", "verdict"),
        tuple(
            _row(
                s,
                number(p.ragged.sentences_per_second, ",.0f"),
                number(p.ragged.tokens_per_second, ",.0f"),
                *_milliseconds(p.ragged),
                *_ratio(s, p.ratio),
            )
            for s, p in measured
        ),
        (*noise, "÷ baseline: time over the baseline's, paired by round, with its 95 % interval"),
        ("verdict",),
    )
    yield Section(
        "One short text, tokenising included",
        ("variant", "p50 ms", "p90", "p99", "÷ baseline", "verdict"),
        tuple(_row(s, *_milliseconds(p.single), *_ratio(s, p.single_ratio)) for s, p in measured),
        worded=("verdict",),
    )
    names = [s.name for s, _ in measured]
    yield Section(
        "Token ids to vectors, p50 ms",
        ("batch × tokens", *names),
        tuple(
            (Cell(f"{batch} × {length}"), *(Cell(_grid_cell(p, batch, length)) for _, p in measured))
            for batch, length in dict.fromkeys((t.batch, t.length) for _, p in measured for t in p.grid)
        ),
    )
    yield Section(
        "What it costs",
        ("variant", "file MB", "start s", "resident MB", "peak MB", "tokenising", "of GEMM peak"),
        tuple(_row(s, number(s.file_bytes / 1e6, ".1f"), *_cost(s.speed)) for s in result.subjects),
        ("start: process start to first vector; tokenising: share of the time for real texts",),
    )


def _milliseconds(timing: Timing) -> tuple[str, ...]:
    return tuple(milliseconds(p) for p in (timing.p50, timing.p90, timing.p99))


def _ratio(subject: Subject, ratio: Interval | None) -> tuple[str | Cell, Cell]:
    if subject.name == BASELINE:
        return MISSING, Cell("baseline", "quiet")
    if not sound(ratio):
        return MISSING, Cell("not measured", "bad")
    text = f"{ratio.value:.2f} ({ratio.low:.2f}–{ratio.high:.2f})"
    if _includes(ratio, 1.0):
        return text, Cell("not significant", "quiet")
    return text, Cell("faster", "good") if ratio.high < 1 else Cell("slower", "bad")


def _noise(measured: list[tuple[Subject, Speed]]) -> tuple[str, ...]:
    """Return a word on every workload whose median is not known well."""
    wide = [
        f"{subject.name} ±{share:.0%} ({what})"
        for subject, speed in measured
        for what, timing in (("batches", speed.ragged), ("one text", speed.single))
        if sound(timing.p50) and (share := _half_width(timing.p50)) > WIDE
    ]
    if not wide:
        return (
            (f"every p50, of batches and of one text, is known to ±{WIDE:.0%} or better (95 % interval)",)
            if measured
            else ()
        )
    return (
        f"noisy: p50 is not known to ±{WIDE:.0%} for {', '.join(wide)}; "
        "run again on an idle machine, or with `budget=full`",
    )


def _half_width(interval: Interval) -> float:
    return max(interval.high - interval.value, interval.value - interval.low) / interval.value if interval.value else 0


def _grid_cell(speed: Speed, batch: int, length: int | None) -> str:
    found = next((t for t in speed.grid if (t.batch, t.length) == (batch, length)), None)
    return MISSING if found is None else milliseconds(found.p50)


def _cost(speed: Speed | None) -> tuple[str, ...]:
    if speed is None:
        return (MISSING,) * 5
    return (
        number(speed.start, ".2f"),
        number(speed.resident_bytes, ",.0f", 1e-6),
        number(speed.peak_bytes, ",.0f", 1e-6),
        number(speed.tokenise_share, ".1%"),
        number(speed.gemm_share, ".0%"),
    )


def gate_section(result: BenchResult) -> Section:
    """Return each rule with measured, allowed and the verdict in a word."""
    rules = result.gate.rules if result.gate else ()
    return Section(
        f"Gate: {result.gate.name if result.gate else 'none'}",
        ("variant", "rule", "measured", "allowed", "verdict", "note"),
        tuple(_rule_row(rule) for rule in rules),
        (gate_line(result),),
        ("rule", "allowed", "verdict", "note"),
    )


def _rule_row(rule: RuleResult) -> tuple[Cell, ...]:
    verdict = Cell("pass", "good") if rule.passed else Cell("FAIL", "bad")
    note = "" if rule.note == measured_text(rule) else rule.note
    cells = (Cell(text) for text in (rule.subject, rule.rule, measured_text(rule), rule.allowed))
    return (*cells, verdict, Cell(note, "quiet"))


def _includes(interval: Interval, value: float) -> bool:
    return interval.low <= value <= interval.high
