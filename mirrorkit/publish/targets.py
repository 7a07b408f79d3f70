"""Where a result may be written: found out before the work, not after it."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mirrorkit.errors import OutputError
from mirrorkit.foreign import is_memory, reason
from mirrorkit.paths import size_of
from mirrorkit.publish.workshop import hold

log = logging.getLogger(__name__)

_Marks = Mapping[str, Callable[[Any], bool]]
# One of these files, holding what we write into it, tells a folder of ours.
_OURS: _Marks = {
    "mirrorkit.json": lambda value: isinstance(value.get("schema_version"), int),
    "training.json": bool,
    "demo.json": bool,
    "triton.json": lambda value: "bundle" in value and "model" in value,
    "adapter.json": lambda value: value.get("kind") == "mirrorkit-adapter",
    "manifest.json": lambda value: value.get("kind") == "mirrorkit-engine",
}


def check_target(out: Path, *, overwrite: bool, needs_bytes: int = 0) -> None:
    """Raise OutputError now for what would make publishing the folder `out` fail after all the work is done.

    `needs_bytes` is about how much will be written. An existing folder is replaced only with `overwrite`, and only
    when it is one of ours: a slip of the keyboard must not cost somebody's home folder, nor a model of others.
    """
    with told(out):
        check_links(out)
        _check_place(out)
        _try(out)
        _check_content(out, overwrite=overwrite)
    check_space(out, needs_bytes)


def check_file_target(out: Path, *, overwrite: bool) -> None:
    """Raise OutputError now for what would make publishing the file `out` fail after all the work is done."""
    with told(out):
        check_links(out)
        if out.is_symlink() or (out.exists() and not out.is_file()):
            raise OutputError(f"{out}: is a folder, a link or a device; give a new file")
        _try(out)
        if out.exists() and not overwrite:
            raise OutputError(f"{out}: exists; give another file or `overwrite=True`")


def check_space(out: Path, needs_bytes: int) -> None:
    """Raise OutputError where the disk has no room for `needs_bytes` more."""
    with told(out):
        free = shutil.disk_usage(out.absolute().parent).free
    if free < needs_bytes:
        raise OutputError(f"{out}: needs about {needs_bytes / 1e6:.0f} MB, the disk has {free / 1e6:.0f} MB free")


def is_ours(folder: Path) -> bool:
    """Return whether mirrorkit has written that folder."""
    for name, told in _OURS.items():
        if (folder / name).is_symlink():  # we write none, and it may lead anywhere
            continue
        try:
            size_of(folder / name)
            value = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(value, dict) and told(value):
            return True
    return False


@contextmanager
def told(out: Path) -> Iterator[None]:
    """Name the target, and not what is hidden beside it, in whatever the system complains of."""
    try:
        yield
    except OSError as err:
        why = reason(err) if is_memory(err) else err.strerror or err
        raise OutputError(f"{out}: cannot be written ({why})") from err


def real(out: Path) -> Path:
    """Return `out` with the links on the way to it followed, once and for all. Raises OutputError for no path."""
    try:
        return out.absolute().parent.resolve() / out.absolute().name
    except (ValueError, RuntimeError) as err:  # a zero byte, a loop of links
        raise OutputError(f"{out}: cannot be written ({err})") from err


def _try(out: Path) -> None:
    """Make the workshop once and remove it again, which also mends what a killed run has left of the target."""
    place = real(out)
    place.parent.mkdir(parents=True, exist_ok=True)
    with hold(place):
        pass


def _check_place(out: Path) -> None:
    if out.is_symlink():
        raise OutputError(f"{out}: is a symbolic link; give the folder itself")
    if os.path.ismount(out) or out.absolute() == Path.cwd():  # neither can be replaced by renaming another folder
        raise OutputError(f"{out}: is a mount point or the current folder; give a new folder inside it")
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: exists and is not a folder")


def _check_content(out: Path, *, overwrite: bool) -> None:
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not overwrite:
        raise OutputError(f"{out}: exists and is not empty; give another folder or `overwrite=True`")
    if not is_ours(out):
        raise OutputError(f"{out}: is not empty and was not written by mirrorkit, so it is not overwritten")


def check_links(out: Path) -> None:
    """Refuse a way to `out` over links of other people: they decide where such a way leads."""
    for place in out.absolute().parents:
        try:
            about = place.lstat()
        except (OSError, ValueError):
            continue
        if place.is_symlink() and hasattr(os, "geteuid"):
            if about.st_uid not in (0, os.geteuid()):
                raise OutputError(f"{out}: its path goes through {place}, a link that belongs to someone else")
            log.info("%s: is really %s, because %s is a link", out, real(out), place)
