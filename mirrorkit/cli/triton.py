"""Hand a bundle to an NVIDIA Triton server: `triton`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mirrorkit.cli.command import OUTPUT, Json, command, option
from mirrorkit.terminal.console import show

_SERVED = "What is served"


@command
def triton(
    bundle: Annotated[str, typer.Argument(help="Folder of a bundle, or its hub id; see `mirrorkit export`.")],
    out: Annotated[Path, option(OUTPUT, "Folder to write the model repository to.", "--out", "-o")],
    name: Annotated[str | None, option(_SERVED, "Model that clients call; default: the bundle's folder.")] = None,
    variant: Annotated[str, option(_SERVED, "auto, fp32, fp16, int8, int4, or the name of one.")] = "auto",
    engine: Annotated[Path | None, option(_SERVED, "Folder of a TensorRT engine of BUNDLE to serve.")] = None,
    device: Annotated[str, option(_SERVED, "Where the encoder runs, cuda or cpu.")] = "cuda",
    max_batch: Annotated[
        int | None, option(_SERVED, "Texts in a batch; default: 64, or what the engine takes.")
    ] = None,
    instances: Annotated[int, option(_SERVED, "Copies of the encoder on each device.")] = 1,
    overwrite: Annotated[bool, option(OUTPUT, "Replace the repository at OUT.", "--overwrite")] = False,
    json_: Json = False,
) -> None:
    """Write a Triton model repository of BUNDLE: an ensemble that takes text and gives vectors."""
    from mirrorkit.exporter.triton.repository import write_repository

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
    show(result.as_dict(), result.lines, as_json=json_, markup=False, of_files=True)
