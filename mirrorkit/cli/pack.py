"""A bundle in one file: `pack`, `unpack`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mirrorkit.cli.command import OUTPUT, Json, command, listed, option
from mirrorkit.terminal.console import show


@command
def pack(
    bundle: Annotated[str, typer.Argument(help="Folder of a bundle, or its hub id.")],
    out: Annotated[Path, option(OUTPUT, "File to write; its name ends in .mkit.", "--out", "-o")],
    variants: Annotated[str | None, typer.Option(help="Take these only, with commas; default: all.")] = None,
    overwrite: Annotated[bool, option(OUTPUT, "Replace the file at OUT.", "--overwrite")] = False,
    json_: Json = False,
) -> None:
    """Pack BUNDLE into one file, which Python, C and C++ open as it is."""
    from mirrorkit.runtime.packing import pack as run

    result = run(bundle, out, variants=listed(variants), overwrite=overwrite)
    show(result.as_dict(), lambda: [result.line()], as_json=json_, markup=False, of_files=True)


@command
def unpack(
    file: Annotated[Path, typer.Argument(help="File that `mirrorkit pack` wrote.")],
    out: Annotated[Path, option(OUTPUT, "Folder to write the bundle to.", "--out", "-o")],
    overwrite: Annotated[bool, option(OUTPUT, "Replace the bundle at OUT.", "--overwrite")] = False,
    json_: Json = False,
) -> None:
    """Unpack FILE into a bundle's folder, which other libraries read."""
    from mirrorkit.runtime.packing import unpack as run

    result = run(file, out, overwrite=overwrite)
    show(result.as_dict(), lambda: [result.line()], as_json=json_, markup=False, of_files=True)
