"""Vectors into a store: `load`."""

from __future__ import annotations

from typing import Annotated

import typer

from mirrorkit.cli.command import OUTPUT, Json, command, option
from mirrorkit.terminal.console import live_progress, show


@command
def load(
    shards: Annotated[
        str, typer.Argument(help="Finished folder of shards, as `mirrorkit encode` leaves it, or its address.")
    ],
    to: Annotated[
        str,
        option(
            OUTPUT,
            "lancedb://PATH/TABLE, faiss:FILE, qdrant:PATH#COLLECTION, qdrant:URL#COLLECTION or "
            "postgresql://USER@HOST/DATABASE#TABLE.",
        ),
    ],
    overwrite: Annotated[
        bool, option(OUTPUT, "Load all anew, in place of what an earlier load wrote.", "--overwrite")
    ] = False,
    json_: Json = False,
) -> None:
    """Load the vectors of SHARDS into a vector store: what is missing there, then count."""
    from mirrorkit.cluster.load import load_shards

    with live_progress() as progress:
        result = load_shards(shards, to, overwrite=overwrite, progress=progress)
    show(result.as_dict(), result.lines, as_json=json_, markup=False, of_files=True)
