"""Show the whole job: `demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mirrorkit.commands.options import Json, is_quiet
from mirrorkit.console import live_progress, one_line_errors, print_json, stdout


@one_line_errors
def demo(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.")] = Path("mirrorkit-demo"),
    sts: Annotated[
        Path | None, typer.Option(help="Folder of the seven STS sets; default: $MIRRORKIT_STS, ../shared/data/sts.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a former demo at OUT.")] = False,
    json_: Json = False,
) -> None:
    """Show the whole job on the shipped model: corpus, fine-tune, scores before and after, a picture."""
    from mirrorkit.demo.run import run_demo

    quiet = is_quiet(ctx)
    figures = run_demo(
        out,
        sts=sts,
        overwrite=overwrite,
        console=None if quiet or json_ else stdout(),
        show_progress=lambda: live_progress(quiet),
    )
    if json_:
        print_json(figures)
