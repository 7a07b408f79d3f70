"""Fields of a request, checked one by one: what is wrong is said by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from mirrorkit.serving.refused import RefusedError, Why
from mirrorkit.serving.served import Tokens, shown
from mirrorkit.serving.settings import Limits

_KINDS = {str: "a string", bool: "true or false", int: "a whole number"}
_LARGEST_ID = (1 << 31) - 1
T = TypeVar("T")


def optional(body: Mapping[str, Any], name: str, kind: type[T], default: T | None = None) -> T | None:
    """Return a field of that type; the default where it is missing or null."""
    value = body.get(name)
    if value is None:
        return default
    if type(value) is not kind:  # a bool is an int to Python
        raise RefusedError(Why.MALFORMED, f"`{name}` must be {_KINDS[kind]}, is {shown(value)}", name)
    return value


def texts_or_ids(body: Mapping[str, Any], name: str, limits: Limits) -> tuple[list[str], list[Tokens] | None]:
    """Return texts, or else no texts and token ids: a string, a list of them, ids, or a list of lists of ids."""
    if name not in body:
        raise RefusedError(Why.MALFORMED, f"you must provide `{name}`", name)
    value = body[name]
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        raise RefusedError(
            Why.MALFORMED, f"`{name}` must be a string, a list of strings, or token ids, is {shown(value)}", name
        )
    if not value:
        raise RefusedError(Why.EMPTY, f"`{name}` must not be empty", name)
    if type(value[0]) is int:
        value = [value]
    if len(value) > limits.max_texts:
        raise RefusedError(
            Why.INVALID, f"`{name}` has {len(value):,} texts, at most {limits.max_texts:,} are taken at a time", name
        )
    if isinstance(value[0], str):
        return _texts(value, name, limits), None
    return [], [_ids(one, f"{name}[{place}]", name) for place, one in enumerate(value)]


def _texts(value: list[Any], name: str, limits: Limits) -> list[str]:
    for place, text in enumerate(value):
        if not isinstance(text, str):
            raise RefusedError(Why.MALFORMED, f"`{name}[{place}]` must be a string, is {shown(text)}", name)
        if len(text) > limits.max_chars:
            raise RefusedError(
                Why.TOO_LONG,
                f"`{name}[{place}]` has {len(text):,} characters, at most {limits.max_chars:,} are taken",
                name,
            )
    return value


def _ids(value: Any, where: str, name: str) -> Tokens:
    if not isinstance(value, list):
        raise RefusedError(Why.MALFORMED, f"`{where}` must be token ids, as the first is, is {shown(value)}", name)
    if not value:
        raise RefusedError(Why.EMPTY, f"`{where}` must not be empty", name)
    for number in value:
        if type(number) is not int or not 0 <= number <= _LARGEST_ID:
            raise RefusedError(Why.MALFORMED, f"`{where}` must be token ids, has {shown(number)}", name)
    return np.array(value, dtype=np.int32)
