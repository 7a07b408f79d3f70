"""Measure a bundle beside what people use today: `bench`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mirrorkit.cli.command import EXIT_FAILED, OUTPUT, RUN, Json, TrustRemoteCode, command, listed, option
from mirrorkit.errors import ConfigError
from mirrorkit.formats.plain import plain
from mirrorkit.terminal.console import live_progress, show

if TYPE_CHECKING:
    from mirrorkit.bench.result import BenchResult

_WHAT = "What is measured"


@command
def bench(
    bundle: Annotated[str, typer.Argument(help="Folder of a bundle, or its hub id.")],
    baseline: Annotated[
        str | None,
        option(_WHAT, "Model folder, shipped name, hub id or bundle to compare with; default: the fp32 variant."),
    ] = None,
    sts: Annotated[Path | None, option(_WHAT, "Folder of the seven STS sets; default: the shipped graded set.")] = None,
    retrieval: Annotated[
        list[Path] | None, option(_WHAT, "Folder in BEIR's layout, scored as by eval; repeatable.")
    ] = None,
    split: Annotated[str | None, option(_WHAT, "Of --retrieval; default: test.")] = None,
    search: Annotated[
        list[Path] | None, option(_WHAT, "Documents, scored as by eval; repeatable.", metavar="DOCUMENTS")
    ] = None,
    knn: Annotated[list[Path] | None, option(_WHAT, "Text and label, scored as by eval; repeatable.")] = None,
    variants: Annotated[str | None, option(_WHAT, "With commas, e.g. fp32,int8; default: all.")] = None,
    lengths: Annotated[str | None, option(_WHAT, "Tokens, with commas; default: 8,32,128.")] = None,
    batches: Annotated[str | None, option(_WHAT, "Texts in a batch, with commas; default: 1,8,32.")] = None,
    engine: Annotated[
        str, option(_WHAT, "openvino: the plain graphs once more, as OpenVINO runs them.")
    ] = "onnxruntime",
    gate: Annotated[str | None, option(_WHAT, "default or a TOML file; exit code 1 if a rule fails.")] = None,
    threads: Annotated[int | None, option(RUN, "The same for all; default: the physical cores.")] = None,
    budget: Annotated[str, option(RUN, "quick (a minute or two of timing) or full (about fifteen).")] = "quick",
    verify: Annotated[bool, option(RUN, "Refuse files that differ from their recorded hashes.")] = True,
    revision: Annotated[str | None, option(RUN, "Branch, tag or commit, of BUNDLE's hub id.")] = None,
    trust_remote_code: TrustRemoteCode = False,
    report: Annotated[Path | None, option(OUTPUT, "JSON file of all figures, for `mirrorkit compare`.")] = None,
    html: Annotated[Path | None, option(OUTPUT, "One page with plots.")] = None,
    markdown: Annotated[Path | None, option(OUTPUT, "Markdown file.")] = None,
    json_: Json = False,
) -> None:
    """Measure quality, latency and cost of BUNDLE's variants beside a baseline."""
    from dataclasses import replace

    from mirrorkit.bench.judge.gate import judge, load_gate
    from mirrorkit.bench.outputs import check_outputs, write_outputs
    from mirrorkit.bench.report.terminal import bench_report
    from mirrorkit.bench.run import run_bench

    rules = load_gate(gate) if gate is not None else None
    sizes = _numbers("lengths", lengths), _numbers("batches", batches)
    check_outputs([report, html, markdown], bundle)
    if html is not None:
        import mirrorkit.bench.report.page  # noqa: F401  (what the plots need must be there before the long work)
    with live_progress() as progress:
        result = run_bench(
            bundle,
            baseline=baseline,
            sts=sts,
            retrieval=retrieval,
            split=split,
            search=search,
            knn=knn,
            variants=listed(variants),
            engine=engine,
            threads=threads,
            lengths=sizes[0],
            batches=sizes[1],
            budget=budget,
            verify=verify,
            revision=revision,
            trust_remote_code=trust_remote_code,
            progress=progress,
        )
    if rules is not None:
        result = replace(result, gate=judge(result, rules))
    reports = _reports(result, report, html, markdown)
    write_outputs(reports)
    show(result.as_dict(), lambda: bench_report(result), as_json=json_, of_files=bool(reports))
    if result.gate is not None and not result.gate.passed:
        raise typer.Exit(EXIT_FAILED)


def _numbers(option: str, text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in listed(text) or []]
    except ValueError as err:
        raise ConfigError(f"{option} {text!r}: must be whole numbers with commas between, such as 8,32") from err


def _reports(result: BenchResult, report: Path | None, html: Path | None, markdown: Path | None) -> dict[Path, str]:
    """Return the text of each file that is asked for."""
    contents = {}
    if report is not None:
        contents[report] = json.dumps(plain(result.as_dict()), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if html is not None:
        from mirrorkit.bench.report.page import html_page

        contents[html] = html_page(result)
    if markdown is not None:
        from mirrorkit.bench.report.markdown import markdown_report

        contents[markdown] = markdown_report(result)
    return contents
