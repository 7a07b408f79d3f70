"""Measure a bundle beside what people use today, and one measurement beside another: `bench`, `bench compare`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from mirrorkit.commands.options import is_quiet, listed
from mirrorkit.console import EXIT_FAILED, finite, live_progress, one_line_errors, print_json, stdout
from mirrorkit.errors import ConfigError

_REPORTS = "Reports (the table in the terminal is printed in any case)"


@one_line_errors
def bench(
    ctx: typer.Context,
    bundle: Annotated[str, typer.Argument(help="Folder of a bundle.")],
    baseline: Annotated[
        str | None,
        typer.Option(help="Model folder, shipped name, hub id or bundle to compare with; default: the fp32 variant."),
    ] = None,
    sts: Annotated[
        Path | None, typer.Option(help="Folder of the seven STS sets; default: the shipped graded set.")
    ] = None,
    variants: Annotated[str | None, typer.Option(help="With commas, e.g. fp32,int8; default: all.")] = None,
    threads: Annotated[int | None, typer.Option(help="The same for all; default: the physical cores.")] = None,
    lengths: Annotated[str | None, typer.Option(help="Tokens, with commas; default: 8,32,128.")] = None,
    batches: Annotated[str | None, typer.Option(help="Texts in a batch, with commas; default: 1,8,32.")] = None,
    budget: Annotated[str, typer.Option(help="quick (a minute or two of timing) or full (about fifteen).")] = "quick",
    verify: Annotated[bool, typer.Option(help="Refuse files that differ from their recorded hashes.")] = True,
    gate: Annotated[str | None, typer.Option(help="default or a TOML file; exit code 1 if a rule fails.")] = None,
    json_: Annotated[Path | None, typer.Option("--json", help="JSON file.", rich_help_panel=_REPORTS)] = None,
    html: Annotated[Path | None, typer.Option(help="One page with plots.", rich_help_panel=_REPORTS)] = None,
    markdown: Annotated[Path | None, typer.Option(help="Markdown file.", rich_help_panel=_REPORTS)] = None,
) -> None:
    """Measure quality, latency and cost of BUNDLE's variants; `bench compare A.json B.json` shows what changed."""
    from dataclasses import replace

    from mirrorkit.bench.gate import judge, load_gate
    from mirrorkit.bench.outputs import check_outputs, write_outputs
    from mirrorkit.bench.run import run_bench
    from mirrorkit.bench.terminal import bench_report

    rules = load_gate(gate) if gate is not None else None
    sizes = _numbers("lengths", lengths), _numbers("batches", batches)
    check_outputs([json_, html, markdown], bundle)
    if html is not None:
        import mirrorkit.bench.page  # noqa: F401  (what the plots need must be there before the long work)
    with live_progress(is_quiet(ctx)) as progress:
        result = run_bench(
            bundle,
            baseline=baseline,
            sts=sts,
            variants=listed(variants),
            threads=threads,
            lengths=sizes[0],
            batches=sizes[1],
            budget=budget,
            verify=verify,
            progress=progress,
        )
    if rules is not None:
        result = replace(result, gate=judge(result, rules))
    write_outputs(_reports(result, json_, html, markdown))
    if not is_quiet(ctx):
        stdout().print(*bench_report(result), sep="\n")
    if result.gate is not None and not result.gate.passed:
        raise typer.Exit(EXIT_FAILED)


@one_line_errors
def bench_compare(
    ctx: typer.Context,
    a: Annotated[Path, typer.Argument(help="A file that bench --json wrote.")],
    b: Annotated[Path, typer.Argument(help="Another one, held against it.")],
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Show what changed from A to B, and whether it is more than noise."""
    from mirrorkit.bench.compare import compare_files
    from mirrorkit.bench.terminal import compare_report

    comparison = compare_files(a, b)
    if json_:
        print_json(comparison.as_dict())
    elif not is_quiet(ctx):
        stdout().print(*compare_report(comparison), sep="\n")


class BenchCommand(TyperCommand):
    """`bench`, which is another command where its first argument is `compare`; a bundle of that name is ./compare."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Take the arguments in, or have `bench compare` take them."""
        if args[:1] == ["compare"]:
            return _compare_command().make_context(f"{info_name} compare", args[1:], parent=parent, **extra)
        return super().make_context(info_name, args, parent=parent, **extra)


def _compare_command() -> Any:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(bench_compare)
    return typer.main.get_command(app)


def _numbers(option: str, text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in listed(text) or []]
    except ValueError as err:
        raise ConfigError(f"{option} {text!r}: must be whole numbers with commas between, such as 8,32") from err


def _reports(result: Any, json_: Path | None, html: Path | None, markdown: Path | None) -> dict[Path, str]:
    """Return the text of each file that is asked for."""
    contents = {}
    if json_ is not None:
        contents[json_] = json.dumps(finite(result.as_dict()), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if html is not None:
        from mirrorkit.bench.page import html_page

        contents[html] = html_page(result)
    if markdown is not None:
        from mirrorkit.bench.markdown import markdown_report

        contents[markdown] = markdown_report(result)
    return contents
