"""The commands that pages show, as those of the Python that runs the tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.docs.blocks import ROOT

_STAND_IN = """from pathlib import Path
from mirrorkit.cli.app import app
from mirrorkit.model import hub

hub.SHIPPED["tiny"] = Path({folder!r})
app(prog_name="mirrorkit")
"""


def commands(folder: Path, tiny: Path | None = None) -> dict[str, str]:
    """Return an environment in which `mirrorkit` and `python` are those of this very test.

    With `tiny` that folder is what the command calls so.
    """
    programs = folder.parent / f"{folder.name}-programs"
    programs.mkdir()
    started: str | Path = "-m mirrorkit"
    if tiny is not None:
        started = programs / "start.py"
        started.write_text(_STAND_IN.format(folder=str(tiny)), encoding="utf-8")
    _program(programs / "mirrorkit", f'exec {sys.executable} {started} "$@"')
    _program(programs / "python", f'exec {sys.executable} "$@"')
    return {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


def _program(file: Path, line: str) -> None:
    file.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    file.chmod(0o755)
