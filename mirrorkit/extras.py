"""Import what sits behind an extra, or say in one line which `pip install` brings it."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

from mirrorkit.errors import MirrorkitError, MissingExtraError
from mirrorkit.foreign import foreign

# Bytes of address space that a package takes, with those that it is used with: where a limit leaves less, libraries in
# them abort the process, or wait for ever for threads that cannot start.
_ADDRESS_SPACE = {"torch": 1400 << 20}


def require(module: str, *, extra: str) -> ModuleType:
    """Import and return `module`.

    Raises MissingExtraError naming the extra when the module itself is absent. A module that is installed but
    broken is a MirrorkitError that says why: an install hint would send the reader the wrong way.
    """
    package = module.partition(".")[0]
    if module not in sys.modules:
        _check_limit(package)
    with foreign(MirrorkitError, f"{package} is installed, but cannot be imported"):
        try:
            return import_module(module)
        except ModuleNotFoundError as err:
            if err.name is None or err.name.partition(".")[0] != package:
                raise
            raise MissingExtraError(
                f"{package} is not installed; run: pip install 'mirrorkit[{extra}]'", name=package
            ) from err


def _check_limit(package: str) -> None:
    if package not in _ADDRESS_SPACE or sys.platform == "win32":
        return
    import resource

    needed, limit = _ADDRESS_SPACE[package], resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < needed:
        raise MirrorkitError(
            f"{package} takes {needed >> 20} MiB of address space, and this process is limited to {limit >> 20} MiB; "
            "raise the limit (ulimit -v)"
        )
