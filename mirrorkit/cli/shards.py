"""What `encode` does with more than one file: a folder of shards."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from mirrorkit.cli.command import EXIT_FAILED
from mirrorkit.errors import ConfigError
from mirrorkit.terminal.console import live_progress, show

SHARDS = "More than one file: a folder of shards"
_FILES = (".npy", ".jsonl", ".parquet")  # what one file of texts becomes
_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")


def is_of_shards(texts: Sequence[str], out: str) -> bool:
    """Tell whether a run is of shards: of several inputs, a folder, a pattern or an address, or to a folder."""
    if len(texts) != 1 or _ADDRESS.match(texts[0]) or _ADDRESS.match(out) or out.endswith(("/", os.sep)):
        return True
    if texts[0] != "-" and not _is(texts[0], Path.exists) and re.search(r"[*?[]", texts[0]):
        return True
    return _is(texts[0], Path.is_dir) or (Path(out).suffix not in _FILES and _is(out, Path.is_dir))


def _is(path: str, what: Any) -> bool:
    try:
        return bool(what(Path(path).expanduser()))
    except (OSError, ValueError, RuntimeError):  # what cannot be a name is neither
        return False


def to_shards(
    bundle: str,
    texts: Sequence[str],
    out: str,
    of_shards: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    """Encode to a folder of shards, or tell how far one is; exit code 1 where an input could not be read."""
    from mirrorkit.cluster.shards import encode_shards

    if Path(out).suffix in _FILES and not _is(out, Path.is_dir):
        raise ConfigError(f"{out}: shards go to a folder; a name that ends in {Path(out).suffix} is of one file")
    with live_progress() as progress:
        result = encode_shards(bundle, texts, out, **of_shards, **options, progress=progress)
    show(result.as_dict(), result.lines, as_json=as_json, markup=False, of_files=True)
    if result.failed and not of_shards.get("status"):
        raise typer.Exit(EXIT_FAILED)
