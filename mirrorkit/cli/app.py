"""The command line: puts the commands together, in the order of the job."""

from __future__ import annotations

from typing import Any

import typer

from mirrorkit.cli.adapt import adapt
from mirrorkit.cli.bench import bench
from mirrorkit.cli.command import before_the_verb
from mirrorkit.cli.compare import compare
from mirrorkit.cli.demo import demo
from mirrorkit.cli.encode import encode, similarity
from mirrorkit.cli.engine import engine
from mirrorkit.cli.evaluate import evaluate
from mirrorkit.cli.export import check, export
from mirrorkit.cli.finetune import finetune, recipes
from mirrorkit.cli.load import load
from mirrorkit.cli.operators import operators
from mirrorkit.cli.pack import pack, unpack
from mirrorkit.cli.push import push
from mirrorkit.cli.search import search
from mirrorkit.cli.serve import serve
from mirrorkit.cli.triton import triton
from mirrorkit.terminal.boundary import output_boundary


class App(typer.Typer):
    """The command line, whose help may meet a full disk as well."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with output_boundary():
            return super().__call__(*args, **kwargs)


app = App(
    name="mirrorkit",
    help="Turn a masked language model into a sentence or word encoder, from raw text alone.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.callback()(before_the_verb)

app.command(rich_help_panel="Train")(finetune)
app.command(rich_help_panel="Train")(recipes)
app.command(name="eval", rich_help_panel="Train")(evaluate)
app.command(rich_help_panel="Export")(export)
app.command(rich_help_panel="Export")(check)
app.command(rich_help_panel="Measure")(bench)
app.command(rich_help_panel="Measure")(compare)
app.command(rich_help_panel="Use")(encode)
app.command(rich_help_panel="Use")(load)
app.command(rich_help_panel="Use")(similarity)
app.command(rich_help_panel="Use")(search)
app.command(rich_help_panel="Use")(adapt)
app.command(rich_help_panel="Deploy")(serve)
app.command(rich_help_panel="Deploy")(engine)
app.command(rich_help_panel="Deploy")(triton)
app.command(rich_help_panel="Deploy")(operators)
app.command(rich_help_panel="Deploy")(pack)
app.command(rich_help_panel="Deploy")(unpack)
app.command(rich_help_panel="Deploy")(push)
app.command(rich_help_panel="See it all")(demo)
