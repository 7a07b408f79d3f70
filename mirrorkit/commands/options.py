"""What the commands share: the JSON option, lists with commas, and whether to be quiet."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def listed(text: str | None) -> list[str] | None:
    """Return the parts of a comma-separated option."""
    return [part.strip() for part in text.split(",") if part.strip()] if text else None


def is_quiet(ctx: typer.Context) -> bool:
    """Return whether `--quiet` was given before the command."""
    return bool(ctx.parent and ctx.parent.params["quiet"])
