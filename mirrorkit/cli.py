"""The command line: puts the commands together."""

from __future__ import annotations

from typing import Annotated

import typer

from mirrorkit import __version__
from mirrorkit.commands.bench import BenchCommand, bench
from mirrorkit.commands.demo import demo
from mirrorkit.commands.encode import encode, similarity
from mirrorkit.commands.engine import engine
from mirrorkit.commands.evaluate import evaluate
from mirrorkit.commands.export import check, export
from mirrorkit.commands.finetune import finetune, recipes
from mirrorkit.commands.operators import operators
from mirrorkit.commands.triton import triton
from mirrorkit.console import set_up_logging

app = typer.Typer(
    name="mirrorkit",
    help="Turn a masked language model into a sentence or word encoder, from raw text alone.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _version(show: bool) -> None:
    if show:
        print(f"mirrorkit {__version__}")
        raise typer.Exit


@app.callback()
def main(
    verbose: Annotated[int, typer.Option("--verbose", "-v", count=True, help="Say more; twice for everything.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only errors, no progress.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,  # noqa: ARG001
) -> None:
    """Turn a masked language model into a sentence or word encoder, from raw text alone."""
    set_up_logging(-1 if quiet else verbose)


app.command(rich_help_panel="Make")(finetune)
app.command(rich_help_panel="Make")(recipes)
app.command(rich_help_panel="Make")(export)
app.command(rich_help_panel="Make")(engine)
app.command(rich_help_panel="Make")(operators)
app.command(rich_help_panel="Measure")(check)
app.command(name="eval", rich_help_panel="Measure")(evaluate)
app.command(cls=BenchCommand, rich_help_panel="Measure")(bench)
app.command(rich_help_panel="Use")(encode)
app.command(rich_help_panel="Use")(similarity)
app.command(rich_help_panel="Use")(triton)
app.command(rich_help_panel="Start")(demo)
