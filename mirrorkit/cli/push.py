"""Publish a bundle: `push`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mirrorkit.cli.command import OUTPUT, Json, command, option
from mirrorkit.terminal.console import show


@command
def push(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle.")],
    repository: Annotated[str, typer.Argument(help="owner/name on the Hugging Face hub; made where it is new.")],
    *,
    revision: Annotated[str | None, option(OUTPUT, "Branch to commit to; default: the main one.")] = None,
    private: Annotated[bool, option(OUTPUT, "Make a new repository private.", "--private")] = False,
    message: Annotated[str | None, option(OUTPUT, "Of the commit.")] = None,
    json_: Json = False,
) -> None:
    """Check BUNDLE and commit it to REPOSITORY; what `check` refuses is not pushed."""
    from mirrorkit.exporter.push import push as run

    result = run(bundle, repository, revision=revision, private=private, message=message)
    show(result.as_dict(), result.lines, as_json=json_, markup=False, of_files=True)
