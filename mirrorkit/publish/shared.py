"""Publish files to a folder that several processes write to, on several machines perhaps, without locks.

Locks are no help there: on a file system of many machines they may not exist, or outlive a machine that died. Each
process makes its own file and moves it into place whole; of two that write the same one the last stays.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mirrorkit.publish.owner import Owner, this_process
from mirrorkit.publish.swap import sync_folder
from mirrorkit.publish.targets import told

log = logging.getLogger(__name__)

_SUFFIX = ".partial"
_TRIES = 20
_ABANDONED = 3600.0  # seconds without a change, after which a process of another machine is taken for dead


@contextmanager
def publish_shared(out: Path, scratch: Path) -> Iterator[BinaryIO]:
    """Yield a file open for writing and reading; it takes the place of `out` when the block ends without an error.

    It is made in the folder `scratch`, on the same file system. A kill can leave it there, for `sweep` to remove.
    """
    with told(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        hidden = scratch / _name(this_process())
        try:
            with _new(hidden) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            hidden.replace(out)
            sync_folder(out.parent)
        finally:
            with suppress(OSError):
                hidden.unlink(missing_ok=True)


def sweep(scratch: Path) -> None:
    """Remove what processes of this machine that are gone left in `scratch`, or any long ago, and the empty folder."""
    for file in scratch.glob(f"*{_SUFFIX}"):
        owner = _owner(file.name)
        with suppress(OSError):
            if (owner is not None and not owner.may_live()) or time.time() - file.stat().st_mtime > _ABANDONED:
                file.unlink()
                log.info("%s: removed the unfinished output of an earlier run", file.name)
    with suppress(OSError):  # somebody is at work in it
        scratch.rmdir()


def _new(file: Path) -> BinaryIO:
    """Return a new file in a folder that whoever is done removes where it is empty."""
    for _ in range(_TRIES):
        file.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            return file.open("x+b")
    return file.open("x+b")


def _name(owner: Owner) -> str:
    return f"{uuid.uuid4().hex}-{owner.pid}-{owner.ticks}-{owner.host.replace('/', '_')}{_SUFFIX}"


def _owner(name: str) -> Owner | None:
    parts = name.removesuffix(_SUFFIX).split("-", 3)
    try:
        return Owner(int(parts[1]), parts[3], "", int(parts[2]))
    except (ValueError, IndexError):
        return None
