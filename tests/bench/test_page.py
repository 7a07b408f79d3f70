"""The HTML report: one file that loads nothing, holds what was measured, and lets no name become markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from mirrorkit.bench.judge.gate import judge, load_gate
from mirrorkit.bench.result import BASELINE, Interval
from tests.bench.results import TASKS, VARIANTS, bench_result, subject, timing, with_subject

pytest.importorskip("matplotlib", reason="needs the demo extra")
from mirrorkit.bench.report.page import PLOTS, html_page
from mirrorkit.bench.report.plots_quality import Point, front, pareto_batches
from mirrorkit.bench.report.plots_speed import over_batch, over_length

HOSTILE = """$\\frac{$ </title></svg><script>alert("x")</script>'" onload="x" 🚀"""
VOID = {"meta", "link", "br"}


class Reader(HTMLParser):
    """Reads the page as a browser would, and complains about what is not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []  # tag, name, value
        self.text = ""
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


@pytest.fixture(scope="module")
def page() -> str:
    result = with_subject(bench_result(), "int8", cosine_mean=0.98)
    return html_page(replace(result, gate=judge(result, load_gate("default"))))


def test_it_is_one_file_that_loads_nothing(page: str) -> None:
    reader = Reader(page)
    assert page.startswith("<!doctype html>")
    assert not {"script", "img", "iframe", "object", "image", "base", "form"} & set(reader.tags)
    assert not reader.of("src")
    links = [*reader.of("href"), *reader.of("xlink:href")]
    assert links
    assert all(link.startswith("#") or link == "data:," for link in links)
    assert not re.search(r"url\((?!#)|@import", page)
    assert "default-src 'none'" in page


def test_ids_are_unique_and_every_reference_has_one(page: str) -> None:
    reader = Reader(page)
    ids = reader.of("id")
    assert len(ids) == len(set(ids))
    used = {link[1:] for link in reader.of("xlink:href")} | set(re.findall(r"url\(#([^)]*)\)", page))
    assert used
    assert used <= set(ids)


def test_it_holds_the_verdict_the_tables_and_every_plot(page: str) -> None:
    reader = Reader(page)
    assert "gate default: FAILED, 1 of" in reader.text
    assert "int8: cosine_mean 0.98, allowed >= 0.99" in reader.text
    assert reader.tags.count("table") == 9 + len(TASKS)
    assert reader.tags.count("figure") == reader.tags.count("svg") == len(PLOTS)
    for name in (BASELINE, *VARIANTS):
        assert name in reader.text


def test_every_plot_is_told_in_words(page: str) -> None:
    labels = [value for tag, name, value in Reader(page).attributes if (tag, name) == ("svg", "aria-label")]
    assert len(labels) == len(PLOTS)
    assert "int8 78.77 at 1.38 ms" in labels[0]
    assert labels[0].endswith("On the Pareto front: static, int8-fused, int8, fp32-fused, int4.")
    assert "int8: 8: 1.35, 32: 2.59, 128: 7.56" in labels[2]
    assert "int8: file 23.4, resident 113.4, peak 136.1" in labels[4]
    assert "int8: sts12 72.26" in labels[5]
    assert "int8: sts12 -0.11" in labels[6]


def test_plots_have_the_colours_of_the_page(page: str) -> None:
    plots = "".join(re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL))
    assert not re.findall(r"#[0-9a-fA-F]{6}\b", plots)
    used = set(re.findall(r"var\(--(c\d)\)", plots))
    assert used == {f"c{number}" for number in range(7)}
    for colour in used:
        assert page.count(f"--{colour}:") == 2  # one for light, one for dark
    assert "currentColor" in plots
    assert "prefers-color-scheme: dark" in page


def test_names_are_only_names() -> None:
    quality = replace(subject("int8").quality, sts={HOSTILE: 1.0}, set_differences={HOSTILE: Interval(0.1, 0, 1)})  # type: ignore[type-var]
    hostile = bench_result(
        bundle={**bench_result().bundle, "folder": f"/x/{HOSTILE}"},
        baseline=HOSTILE,
        environment={HOSTILE: HOSTILE},
        plan={HOSTILE: [HOSTILE]},
        subjects=(subject(BASELINE), replace(subject("int8"), name=HOSTILE, quality=quality)),
    )
    reader = Reader(html_page(replace(hostile, gate=judge(hostile, load_gate("default")))))
    assert "script" not in reader.tags
    assert not [name for _, name, _ in reader.attributes if name.startswith("on")]
    assert reader.text.count(HOSTILE) >= 6


def test_an_unmeasured_run_still_makes_a_page() -> None:
    bare = bench_result(subjects=tuple(replace(s, quality=None, speed=None) for s in bench_result().subjects))
    assert Reader(html_page(bare)).tags.count("figure") == 1  # the size of the files
    assert Reader(html_page(bench_result(subjects=()))).tags.count("figure") == 0


def test_what_is_no_number_is_left_out_of_a_plot() -> None:
    plot = pareto_batches(with_subject(bench_result(), "int8", sts_average=float("nan")))
    assert plot is not None
    assert "int8 " not in plot.description
    assert "int4" in plot.description


def test_one_length_makes_no_line() -> None:
    speed = replace(bench_result().subjects[0].speed, grid=(timing(1, 8, 0.1),))  # type: ignore[type-var]
    single = bench_result(subjects=(replace(subject(BASELINE), speed=speed),))
    assert over_length(single) is over_batch(single) is None


def test_the_front_is_of_those_that_none_beats() -> None:
    def point(name: str, milliseconds: float, score: float) -> Point:
        return Point(name, 0, milliseconds, (0, 0), score, (0, 0))

    points = [
        point("slow", 3, 80),
        point("best", 2, 81),
        point("fast", 1, 70),
        point("tie", 2, 79),
        point("equal", 4, 81),
    ]
    assert [p.name for p in front(points)] == ["fast", "best"]
