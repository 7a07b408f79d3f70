"""What a reduced build of ONNX Runtime must hold: `operators`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mirrorkit.commands.options import Json, is_quiet, listed
from mirrorkit.console import one_line_errors, print_json, stdout


@one_line_errors
def operators(
    ctx: typer.Context,
    bundle: Annotated[str, typer.Argument(help="Folder of a bundle.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File to write; default: BUNDLE.required_operators.config, beside it."),
    ] = None,
    variants: Annotated[str | None, typer.Option(help="Of these only, with commas; default: all.")] = None,
    json_: Json = False,
) -> None:
    """Write the operators that BUNDLE needs, for build.py --include_ops_by_config of ONNX Runtime."""
    from mirrorkit.exporter.operators import required_operators, write_operators

    found = required_operators(bundle, listed(variants))
    file = write_operators(found, out)
    if json_:
        print_json({**found.as_dict(), "file": str(file)})
    elif not is_quiet(ctx):
        count = sum(len(names) for names in found.all.values())
        stdout().print(f"wrote {file}: {count} operators of {', '.join(found.variants)}", markup=False, soft_wrap=True)
