"""Keep the vectors of an older encoder: `adapt`, `attach`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mirrorkit.cli.command import EXIT_FAILED, OUTPUT, READ, RUN, Json, TextColumn, command, listed, option
from mirrorkit.terminal.console import live_progress, show


@command
def adapt(
    old: Annotated[str, typer.Argument(help="Bundle, or hub id of one, whose vectors are stored.")],
    new: Annotated[str, typer.Argument(help="Bundle, or hub id of one, that is to take its place.")],
    corpus: Annotated[str, typer.Argument(help="Texts like those that are stored; a file as encode takes it.")],
    out: Annotated[Path, option(OUTPUT, "Folder to write the adapter to.", "--out", "-o")],
    old_variant: Annotated[str, option(RUN, "Variant that the stored vectors are of.")] = "auto",
    new_variant: Annotated[str, option(RUN, "Variant whose vectors are to be adapted.")] = "auto",
    limit: Annotated[int, option(READ, "Encode an even sample of this many distinct texts.")] = 20_000,
    text_column: TextColumn = None,
    min_recall: Annotated[float, option(OUTPUT, "Publish nothing that finds a lower share of the ten best.")] = 0.9,
    seed: Annotated[int, option(RUN, "Of the split and of the small network.")] = 0,
    threads: Annotated[int | None, option(RUN, "Default: the physical cores.")] = None,
    overwrite: Annotated[bool, option(OUTPUT, "Replace the adapter at OUT.", "--overwrite")] = False,
    json_: Json = False,
) -> None:
    """Fit a small map from vectors of NEW into the space of OLD, so that what OLD has encoded can stay."""
    from mirrorkit.adapting.adapt import adapt as run

    with live_progress() as progress:
        result = run(
            old,
            new,
            corpus,
            out,
            old_variant=old_variant,
            new_variant=new_variant,
            limit=limit,
            min_recall=min_recall,
            text_column=text_column,
            seed=seed,
            threads=threads,
            overwrite=overwrite,
            progress=progress,
        )
    show(result.as_dict(), result.lines, as_json=json_, markup=False, of_files=result.published)
    if not result.published:
        raise typer.Exit(EXIT_FAILED)


@command
def attach(
    bundle: Annotated[str, typer.Argument(help="Bundle, or hub id of one, that the adapter takes the vectors of.")],
    adapter: Annotated[Path, typer.Argument(help="Folder of an adapter, as adapt writes it.")],
    out: Annotated[Path, option(OUTPUT, "Folder to write the bundle to.", "--out", "-o")],
    variants: Annotated[str | None, option(READ, "These alone, with commas; default: all but static.")] = None,
    revision: Annotated[str | None, option(READ, "Branch, tag or commit, of a hub id.")] = None,
    overwrite: Annotated[bool, option(OUTPUT, "Replace the bundle at OUT.", "--overwrite")] = False,
    json_: Json = False,
) -> None:
    """Put ADAPTER at the end of the graphs of BUNDLE, so that every runtime gives adapted vectors."""
    from mirrorkit.exporter.adapter.attach import attach as run

    with live_progress() as progress:
        result = run(
            bundle,
            adapter,
            out,
            variants=listed(variants),
            revision=revision,
            overwrite=overwrite,
            progress=progress,
        )
    show(result.as_dict(), result.lines, as_json=json_, markup=False, of_files=result.published)
    if not result.ok:
        raise typer.Exit(EXIT_FAILED)
