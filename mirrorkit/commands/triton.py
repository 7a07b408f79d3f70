"""Hand a bundle to an NVIDIA Triton server: `triton`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mirrorkit.commands.options import Json, is_quiet
from mirrorkit.console import one_line_errors, print_json, stdout


@one_line_errors
def triton(
    ctx: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle; see `mirrorkit export`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write the model repository to.")],
    name: Annotated[str | None, typer.Option(help="Model that clients call; default: the bundle's folder.")] = None,
    variant: Annotated[str, typer.Option(help="auto, fp32, fp16, int8, int4, or the name of one.")] = "auto",
    engine: Annotated[Path | None, typer.Option(help="Folder of a TensorRT engine of BUNDLE, to serve that.")] = None,
    device: Annotated[str, typer.Option(help="Where the encoder runs, cuda or cpu.")] = "cuda",
    max_batch: Annotated[
        int | None, typer.Option(help="Texts in a batch; default: 64, or what the engine takes.")
    ] = None,
    instances: Annotated[int, typer.Option(help="Of the encoder, on each device.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the repository at OUT.")] = False,
    json_: Json = False,
) -> None:
    """Write a Triton model repository of BUNDLE: an ensemble that takes text and gives vectors."""
    from mirrorkit.exporter.triton import write_repository

    result = write_repository(
        bundle,
        out,
        name=name,
        variant=variant,
        engine=engine,
        device=device,
        max_batch=max_batch,
        instances=instances,
        overwrite=overwrite,
    )
    if json_:
        print_json(result.as_dict())
    elif not is_quiet(ctx):
        stdout().print(*result.lines(), sep="\n", soft_wrap=True, markup=False)
