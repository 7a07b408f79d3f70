"""A project that uses the npm package, and what runs its commands."""

from __future__ import annotations

import subprocess
from pathlib import Path


def run(*command: str | Path, cwd: Path, given: str = "") -> str:
    """Return what a command prints; it must succeed."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
