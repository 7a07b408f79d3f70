"""Show the whole job: `demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from mirrorkit.cli.command import OUTPUT, Json, command, option
from mirrorkit.errors import MissingExtraError
from mirrorkit.terminal.console import is_quiet, live_progress, print_json, stdout
from mirrorkit.terminal.streams import output_is_closed


@command
def demo(
    out: Annotated[Path, option(OUTPUT, "Folder to write to.", "--out", "-o")] = Path("mirrorkit-demo"),
    overwrite: Annotated[bool, option(OUTPUT, "Replace an earlier demo at OUT.", "--overwrite")] = False,
    json_: Json = False,
) -> None:
    """Show the whole job on the shipped model and documents: fine-tune, search before and after, export, a page."""
    try:
        from mirrorkit.demo.run import run_demo
    except MissingExtraError as err:  # it names the extra of the room that lacks it, and the next would be another
        message = f"{err.name} is not installed; run: pip install 'mirrorkit[demo]'"
        raise MissingExtraError(message, name=err.name) from err

    console = None if is_quiet() or json_ or output_is_closed() else stdout()
    figures = run_demo(out, overwrite=overwrite, console=console, show_progress=live_progress)
    if json_:
        print_json(figures)
