"""The commands that pages show, as those of the Python that runs the tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.docs.blocks import ROOT


def commands(folder: Path) -> dict[str, str]:
    """Return an environment in which `mirrorkit` and `python` are those of this very test."""
    programs = folder.parent / f"{folder.name}-programs"
    programs.mkdir()
    _program(programs / "mirrorkit", f'exec {sys.executable} -m mirrorkit "$@"')
    _program(programs / "python", f'exec {sys.executable} "$@"')
    return {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


def _program(file: Path, line: str) -> None:
    file.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    file.chmod(0o755)
