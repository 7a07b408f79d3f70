"""Let `python -m mirrorkit` do what `mirrorkit` does."""

from mirrorkit.cli.app import app

app(prog_name="mirrorkit")
