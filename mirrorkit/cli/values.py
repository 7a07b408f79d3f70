"""Values of the command line that are what they should be, told without pydantic.

Newer releases of typer (0.29 for one) have pydantic look at every value, the defaults too, and to load that takes
longer than to encode a text. Most values are text where text is wanted, or were not given; typer gets to see only the
others, and words what is wrong with them. Releases that have no use for pydantic (0.16) do all as before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typer.core import TyperCommand, TyperGroup

_TYPES = (str, int, float, bool)


class _Coercion:
    """Typer's own coercion of the values of one parameter, made when there is something to coerce."""

    def __init__(self, param: Any, make: Callable[[], Any]) -> None:
        self._param, self._make = param, make

    def coerce(self, value: Any, *where: Any, **more: Any) -> Any:
        kind = self._param.type_descriptor.annotation
        if self._param.multiple or self._param.nargs == -1:
            several = kind == list[str] and isinstance(value, (list, tuple))
            if several and all(self._fits(one, str) for one in value):
                return list(value)
        elif value is None or self._fits(value, kind):
            return value
        return self._make().coerce(value, *where, **more)

    def _fits(self, value: Any, kind: Any) -> bool:
        """Return whether a value needs neither conversion nor a look at limits."""
        about = self._param.type_descriptor.parameter_info
        if kind not in _TYPES or type(value) is not kind or (about.parser, about.min, about.max) != (None, None, None):
            return False
        return not isinstance(value, str) or _is_text(value)


def _is_text(value: str) -> bool:
    """Return whether UTF-8 can spell it: bytes of an argument that are no text are surrogates, which typer refuses."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _spared(params: list[Any]) -> list[Any]:
    for param in params:
        make = getattr(param, "get_runtime_param", None)  # which earlier releases do not have
        if make is not None and "get_runtime_param" not in vars(param):
            coercion = _Coercion(param, make)
            param.get_runtime_param = lambda coercion=coercion: coercion
    return params


class SparingCommand(TyperCommand):
    """A command that leaves to typer only the values that need it."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _spared(super().get_params(ctx))


class SparingGroup(TyperGroup):
    """A group of commands that leaves to typer only the values that need it."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _spared(super().get_params(ctx))
