"""The demo as one HTML page without scripts, light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from mirrorkit.bench.report.page_style import STYLE
from mirrorkit.demo.measure import BINS, Hit, Search, Snapshot, gain
from mirrorkit.demo.picture import range_of
from mirrorkit.demo.speed import Speed
from mirrorkit.demo.tell import CLAIM, score_rows
from mirrorkit.exporter.result import ExportResult

OWN_STYLE = """
body { max-width: 60rem; }
.bars { display: grid; grid-template-columns: repeat(5, 1fr); gap: .75rem; max-width: 46rem; text-align: center; }
.pair { display: flex; align-items: flex-end; justify-content: center; gap: .3rem; height: 13rem;
  border-bottom: 1px solid var(--ink); }
.bar { flex: 1; max-width: 3rem; font-size: .85rem; display: flex; flex-direction: column; justify-content: flex-end;
  height: 100%; }
.bar i { display: block; }
.before i, .key.before { background: var(--quiet); opacity: .6; } .after i, .key.after { background: var(--c1); }
.key { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 .8rem; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 0 2rem; }
.sides ol { margin: .2rem 0 .8rem; padding-left: 1.4rem; font-size: .9rem; }
.sides .good { font-weight: 600; }
h3 { font-size: 1rem; margin: 1rem 0 .2rem; }
pre { white-space: pre-wrap; padding: .6rem .8rem; border: 1px solid var(--line); }
"""
_PROOF = (("cosine_mean", "mean cosine", ".5f"), ("cosine_min", "lowest cosine", ".5f"), ("spearman", "ranking", ".4f"))


def html_page(
    before: Snapshot,
    after: Snapshot,
    *,
    training: Mapping[str, Any],
    exported: ExportResult,
    speeds: Sequence[Speed],
    commands: Sequence[str],
    cpu: str,
) -> str:
    """Return the page."""
    rise, total = gain(before.search, after.search), len(before.search.ranks)
    kind, words = ("good", "rose") if rise.value > 0 else ("bad", "did not rise: the fine-tune did not help here")
    head = (
        f"<header><h1>{escape(CLAIM)}</h1>"
        f'<p class="verdict {kind}">Search {words}: MRR@10 {before.search.mrr_at_10.value:.1f} before, '
        f"{after.search.mrr_at_10.value:.1f} after {training['steps']} steps over {training['pairs']:,} texts in "
        f"{training['train_seconds']:.0f} s.</p><p class='quiet'>On {escape(cpu)}. The base is the shipped "
        f"<code>{escape(str(training['base']))}</code>, cut from a sentence encoder: what is shown is how the method "
        "works, not how good a model gets from raw text alone.</p></header>"
    )
    body = [
        f"<h2>Where the right text stands, of {total} searches among {total} texts never trained on</h2>",
        _bars(before.search, after.search),
        "<h2>Scores</h2>",
        _scores(before, after),
        "<h2>The first results</h2>",
        *(_sides(query, hits, after.search.shown[query]) for query, hits in before.search.shown.items()),
        "<h2>The export and its proof</h2>",
        _proof(exported, {speed.variant: speed for speed in speeds}),
        f"<h2>Next</h2><p>In this folder:</p><pre>{escape(chr(10).join(commands))}</pre>",
    ]
    title = "<title>mirrorkit demo</title>"
    meta = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    scheme = '<meta name="color-scheme" content="light dark">'
    style = f"<style>{STYLE}{OWN_STYLE}</style>"
    start = f'<!doctype html>\n<html lang="en"><head>{meta}{scheme}{title}{style}</head><body>'
    return "\n".join([start, head, "<main>", *body, "</main></body></html>\n"])


def _bars(before: Search, after: Search) -> str:
    total, shares = len(before.ranks), []
    highest = max(*before.bins(), *after.bins())
    for (low, high), old, new in zip(BINS, before.bins(), after.bins(), strict=True):
        bar = '<div class="bar {}">{:.0f} %<i style="height:{:.1f}%"></i></div>'
        pair = "".join(
            bar.format(name, 100 * count / total, 80 * count / highest)
            for name, count in (("before", old), ("after", new))
        )
        shares.append(f'<div><div class="pair">{pair}</div>{range_of(low, high)}</div>')
    keys = '<span class="key before"></span>before<span class="key after"></span>after'
    return f'<div class="bars">{"".join(shares)}</div><p class="note">{keys}</p>'


def _scores(before: Snapshot, after: Snapshot) -> str:
    rows = []
    for name, old, new in score_rows(before, after):
        kind = "good" if new > old else "bad"
        rows.append([name, f"{old:.1f}", f"{new:.1f}", f'<span class="{kind}">{new - old:+.1f}</span>'])
    return _table(["× 100, higher is better", "before", "after", "change"], rows)


def _sides(query: str, before: Sequence[Hit], after: Sequence[Hit]) -> str:
    sides = "".join(
        f"<div><span class='quiet'>{name}</span><ol>{''.join(map(_hit, hits))}</ol></div>"
        for name, hits in (("before", before), ("after", after))
    )
    return f'<h3>{escape(query)}</h3><div class="sides">{sides}</div>'


def _hit(hit: Hit) -> str:
    text = f"{hit.cosine:.2f} {escape(hit.name)}"
    return f'<li class="good">{text} ✓</li>' if hit.right else f"<li>{text}</li>"


def _proof(exported: ExportResult, speeds: Mapping[str, Speed]) -> str:
    rows = []
    for variant in exported.variants.values():
        figures = variant.verification.figures if variant.verification else {}
        cells = [format(figures[name], digits) if name in figures else "" for name, _, digits in _PROOF]
        speed = speeds.get(variant.name)
        fast = [f"{speed.texts_per_second:,.0f}", f"{1e3 * speed.one_text:.1f}"] if speed else ["", ""]
        name = variant.name if variant.published else f'<span class="bad">{variant.name}, not published</span>'
        rows.append([name, f"{variant.bytes / 1e6:.1f}", *cells, *fast])
    return _table(["variant", "MB", *(title for _, title, _ in _PROOF), "texts/s", "one text [ms]"], rows)


def _table(heads: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th{_left(i)}>{text}</th>" for i, text in enumerate(heads))
    body = "".join("<tr>" + "".join(f"<td{_left(i)}>{c}</td>" for i, c in enumerate(row)) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _left(column: int) -> str:
    return ' class="left"' if column == 0 else ""
