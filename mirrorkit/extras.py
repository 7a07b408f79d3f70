"""Import what sits behind an extra, or say in one line which `pip install` brings it."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from mirrorkit.errors import MissingExtraError


def require(module: str, *, extra: str) -> ModuleType:
    """Import and return `module`.

    Raises MissingExtraError naming the extra when the module itself is absent. A module that is installed but
    broken raises its own ImportError: hiding that behind an install hint would send the reader the wrong way.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as err:
        if err.name is None or err.name.partition(".")[0] != module.partition(".")[0]:
            raise
        package = module.partition(".")[0]
        raise MissingExtraError(
            f"{package} is not installed; run: pip install 'mirrorkit[{extra}]'", name=package
        ) from err
