"""What a reduced build of ONNX Runtime must hold: `operators`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mirrorkit.cli.command import OUTPUT, Json, command, listed, option
from mirrorkit.terminal.console import show


@command
def operators(
    bundle: Annotated[str, typer.Argument(help="Folder of a bundle, or its hub id.")],
    out: Annotated[
        Path | None,
        option(OUTPUT, "File to write; default: BUNDLE.required_operators.config, beside it.", "--out", "-o"),
    ] = None,
    variants: Annotated[str | None, typer.Option(help="These only, with commas; default: all.")] = None,
    json_: Json = False,
) -> None:
    """Write the operators that BUNDLE needs, for build.py --include_ops_by_config of ONNX Runtime."""
    from mirrorkit.exporter.operators import required_operators, write_operators

    found = required_operators(bundle, listed(variants))
    file = write_operators(found, out)
    count = sum(len(names) for names in found.all.values())
    line = f"wrote {file}: {count} operators of {', '.join(found.variants)}"
    show({**found.as_dict(), "file": file}, lambda: [line], as_json=json_, markup=False, of_files=True)
