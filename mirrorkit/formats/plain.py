"""Dataclasses as plain JSON values, and back."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from pathlib import PurePath
from typing import Any, Union, get_args, get_origin, get_type_hints

_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def plain(value: object) -> Any:
    """Return `value` as JSON has it.

    Dataclasses and mappings become dicts, tuples lists, enums and paths strings; NaN and infinity, which JSON does not
    have, become null.
    """
    if isinstance(value, float):  # the first to be asked for, as vectors are of them
        return value if math.isfinite(value) else None
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, PurePath) else value


def from_plain(hint: Any, value: object, key: str = "", *, lost: bool = False) -> Any:
    """Return `value`, as JSON has it, as the type that `hint` names; raises ValueError naming the key of another type.

    With `lost` a null where a number should be is NaN, as `plain` wrote it. Keys that a dataclass does not have are
    passed over, and a field with a default may be missing: earlier releases did not know it.
    """
    kind, parts = get_origin(hint), get_args(hint)
    if is_dataclass(hint) and isinstance(value, dict):
        hints = get_type_hints(hint)
        found = {}
        for field in fields(hint):
            place = f"{key}.{field.name}" if key else field.name
            if field.name in value:
                found[field.name] = from_plain(hints[field.name], value[field.name], place, lost=lost)
            elif field.default is MISSING and field.default_factory is MISSING:
                raise ValueError(f"{place} is missing")
        return hint(**found)  # type: ignore[operator]  # a class, as `is_dataclass` of a type hint says
    if kind in (Union, types.UnionType):  # with None
        return None if value is None else from_plain(parts[0], value, key, lost=lost)
    if kind is tuple and isinstance(value, (list, tuple)):
        return tuple(from_plain(parts[0], item, f"{key}[{i}]", lost=lost) for i, item in enumerate(value))
    if kind is Mapping and isinstance(value, dict):
        return {name: from_plain(parts[1], item, f"{key}.{name}", lost=lost) for name, item in value.items()}
    if hint in (object, Any) or type(value) is hint or (hint is float and type(value) is int):
        return value
    if hint is float and value is None and lost:
        return math.nan
    wanted = _NAMES.get(hint, "a list" if kind is tuple else "an object")
    raise ValueError(f"{key} must be {wanted}, is {value!r}")
