"""Paths as users type them."""

from __future__ import annotations

from pathlib import Path

from mirrorkit.errors import ConfigError


def local_path(path: str | Path) -> Path:
    """Expand a leading `~`; raises ConfigError where it names a user that this machine does not know."""
    try:
        return Path(path).expanduser()
    except RuntimeError as err:
        raise ConfigError(f"{path}: no such user's home folder") from err
