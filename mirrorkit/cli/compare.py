"""Hold one benchmark result against another: `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mirrorkit.cli.command import Json, command
from mirrorkit.terminal.console import show


@command
def compare(
    a: Annotated[Path, typer.Argument(help="A file that `mirrorkit bench --report` wrote.")],
    b: Annotated[Path, typer.Argument(help="The file to compare it with.")],
    json_: Json = False,
) -> None:
    """Show what changed from benchmark A to benchmark B, and whether it is more than noise."""
    from mirrorkit.bench.judge.compare import compare as run
    from mirrorkit.bench.report.terminal import compare_report

    comparison = run(a, b)
    show(comparison.as_dict(), lambda: compare_report(comparison), as_json=json_)
