"""The user's cache folder, for what this machine made of models and texts: nobody else may read or write it."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

from mirrorkit.errors import OutputError

log = logging.getLogger(__name__)


def default_cache(name: str) -> Path:
    """Return the folder `name` of ours in the cache folder of the user."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "mirrorkit" / name


def make_private(cache: Path, what: str, risk: str = "are programs") -> None:
    """Make a folder that only its owner may open, for `what`: engines, compiled graphs. `risk` says why only he may.

    Raises OutputError where that fails, or where the folder is somebody else's.
    """
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.mkdir(mode=0o700, exist_ok=True)
        _check_owner(cache, f"{what} {risk}")
        for folder in (cache, cache.parent):
            mode = folder.stat().st_mode
            if mode & stat.S_IWOTH and not (folder != cache and mode & stat.S_ISVTX):  # as in /tmp: to each his own
                log.warning("%s: anyone can write there, and %s %s", folder, what, risk)
    except OSError as err:
        raise OutputError(f"{cache}: cannot be created for {what} ({err.strerror or err})") from err


def _check_owner(cache: Path, why: str) -> None:
    """Refuse a folder that somebody else has put there: what is in it, this process would run or believe."""
    owner = cache.stat().st_uid
    if hasattr(os, "geteuid") and owner not in (0, os.geteuid()):
        raise OutputError(f"{cache}: belongs to somebody else (user {owner}), and {why}; give another")
