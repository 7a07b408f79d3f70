"""Paths as users type them."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

from mirrorkit.errors import ConfigError


def local_path(path: str | Path) -> Path:
    """Expand a leading `~`; raises ConfigError for what no path can be.

    That is the home of a user that this machine does not know, a loop of links, a zero byte.
    """
    try:
        found = Path(path).expanduser()
    except RuntimeError as err:
        raise ConfigError(f"{path}: there is no such user") from err
    try:
        found.resolve()
    except OSError:  # whoever opens it says more
        return found
    except (RuntimeError, ValueError) as err:
        raise ConfigError(f"{path}: cannot be a path ({err})") from err
    return found


def is_there(path: str | Path) -> bool:
    """Tell whether there is a file or folder of that name; what cannot be a name is none."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # too long, or a zero byte
        return False


def size_of(file: Path) -> int:
    """Return the bytes of a file. Raises OSError for whatever else has its name, which reading might never end."""
    about = file.stat()
    if not stat.S_ISREG(about.st_mode):  # a pipe, a device, a socket, a folder
        raise OSError(errno.EINVAL, "is not a file", str(file))
    return about.st_size
