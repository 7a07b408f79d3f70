"""Move something into the place of something else in one step, where the system has such a step."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path
from typing import Any

_HERE = -100  # AT_FDCWD
_NO_REPLACE, _EXCHANGE = 1, 2  # flags of Linux's renameat2
_MAC_SWAP, _MAC_EXCLUSIVE = 2, 4  # flags of macOS's renamex_np
# What a kernel or a file system says that has no such step.
_UNKNOWN = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)


def exchange(one: Path, other: Path) -> bool:
    """Let two names change what they stand for, in one step; returns False where that cannot be done here."""
    return _renamed(one, other, linux=_EXCHANGE, mac=_MAC_SWAP)


def move_to_free(source: Path, target: Path) -> bool:
    """Give `source` the name `target` only if nothing has it, in one step; returns False where that cannot be done.

    Raises FileExistsError.
    """
    return _renamed(source, target, linux=_NO_REPLACE, mac=_MAC_EXCLUSIVE)


def sync_folder(folder: Path) -> None:
    """Have the names in `folder` survive a power cut; a file system that cannot do that for a folder is left alone."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows opens no folder
        return
    try:
        os.fsync(handle)
    except OSError as err:
        if err.errno not in _UNKNOWN:
            raise
    finally:
        os.close(handle)


def _renamed(source: Path, target: Path, *, linux: int, mac: int) -> bool:
    names = os.fsencode(source), os.fsencode(target)
    library: Any = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    if sys.platform == "darwin" and hasattr(library, "renamex_np"):
        failed = library.renamex_np(*names, mac)
    elif hasattr(library, "renameat2"):
        failed = library.renameat2(_HERE, names[0], _HERE, names[1], linux)
    else:
        return False
    if not failed:
        return True
    number = ctypes.get_errno()
    if number in _UNKNOWN:
        return False
    raise OSError(number, os.strerror(number), str(target))
