"""The pages on the command line and on Python are what the code says today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_generated_pages_are_up_to_date() -> None:
    pytest.importorskip("torch", reason="needs the train extra, for the signatures")
    script = ROOT / "docs" / "generate.py"
    done = subprocess.run([sys.executable, script, "--check"], check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_and_option_has_a_help_text() -> None:
    import typer

    from mirrorkit.cli.app import app

    group = typer.main.get_command(app)
    commands = group.commands  # type: ignore[attr-defined]
    assert len(commands) > 10
    bare = [
        f"{name} {parameter.opts[0]}"
        for name, command in commands.items()
        for parameter in command.params
        if parameter.name != "help" and not (parameter.help or "").strip()
    ]
    bare += [name for name, command in commands.items() if not (command.help or "").strip()]
    assert not bare, f"without a word of help: {', '.join(bare)}"
