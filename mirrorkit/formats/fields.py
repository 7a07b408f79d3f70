"""Take the fields of a manifest that anybody may have written: each of its type, and within bounds, before any use."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

Ranges = tuple[tuple[float, ...], tuple[float, ...]]  # the lowest values and the highest ones

LONGEST_NAME = 64  # characters of a name
LONGEST_PATH = 512  # characters of a path
LONGEST_TEXT = 10_000  # characters of anything else
MOST_ENTRIES = 10_000  # of a list or an object
LARGEST_FILE = 1 << 42  # bytes
WIDEST = 1 << 16  # numbers in a vector
LONGEST_INPUT = 1 << 20  # tokens
LARGEST_ID = (1 << 31) - 1  # of a token; what an int32 holds, as some runtimes take
LARGEST_NUMBER = 1e30  # of a component of a vector
DEEPEST = 64  # lists and objects within one another
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DRIVE = re.compile(r"[A-Za-z]:")


def whole(raw: Mapping[str, Any], key: str, most: int, least: int = 0) -> int:
    """Return a whole number of `least` to `most`; raises ValueError for anything else."""
    value = raw[key]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{key} must be a whole number of {least} to {most}, is {shown(value)}")
    return value


def text(raw: Mapping[str, Any], key: str, most: int = LONGEST_NAME) -> str:
    """Return a string of at most `most` characters, none of them a control character; raises ValueError."""
    return as_text(raw[key], key, most)


def as_text(value: object, what: str, most: int = LONGEST_NAME) -> str:
    """Return `value`, which must be such a string."""
    if not isinstance(value, str) or len(value) > most or any(ord(c) < 32 or ord(c) == 127 for c in value):
        raise ValueError(f"{what} must be a text of at most {most} characters, is {shown(value)}")
    return value


def path(value: object, what: str) -> str:
    """Return the path of a file in the folder, with forward slashes and no step back; raises ValueError.

    Where its links lead is for who opens it to see.
    """
    name = as_text(value, what, LONGEST_PATH)
    if not name or "\\" in name or name.startswith("/") or _DRIVE.match(name) or ".." in name.split("/"):
        raise ValueError(f"{what}: the path {shown(name)} leads out of the bundle")
    return name


def flag(raw: Mapping[str, Any], key: str, default: bool | None = None) -> bool:
    """Return true or false, `default` where there is no such key; raises ValueError for anything else."""
    value = raw[key] if default is None else raw.get(key, default)
    if not isinstance(value, bool):
        raise ValueError(f"{key} must be true or false, is {shown(value)}")
    return value


def choice(raw: Mapping[str, Any], key: str, choices: Sequence[str], default: str | None = None) -> str:
    """Return one of `choices`, `default` where there is no such key; raises ValueError for anything else."""
    value = raw[key] if default is None else raw.get(key, default)
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{key} must be one of {', '.join(choices)}, is {shown(value)}")
    return value


def check_shape(value: dict[str, Any]) -> None:
    """Raise ValueError for what is nested more than `DEEPEST` deep, and for numbers that are no finite double."""
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        children = [child for outer in level for child in (outer.values() if isinstance(outer, dict) else outer)]
        if any(isinstance(child, (int, float)) and not abs(child) <= sys.float_info.max for child in children):
            raise ValueError("numbers must be finite")
        level = [child for child in children if isinstance(child, (dict, list))]
        if not level:
            return
    raise ValueError(f"nested more than {DEEPEST} deep")


def digest(raw: Mapping[str, Any], key: str) -> str:
    """Return a SHA-256 in hexadecimal digits; raises ValueError."""
    value = raw[key]
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise ValueError(f"{key} must be 64 hexadecimal digits, is {shown(value)}")
    return value


def entries(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return an object of not too many entries; raises ValueError."""
    value = raw[key]
    if not isinstance(value, dict) or len(value) > MOST_ENTRIES:
        raise ValueError(f"{key} must be an object of at most {MOST_ENTRIES} entries, is {shown(value)}")
    return value


def texts(value: object, what: str, most: int = LONGEST_NAME) -> tuple[str, ...]:
    """Return a list of not too many strings; raises ValueError."""
    if not isinstance(value, list) or len(value) > MOST_ENTRIES:
        raise ValueError(f"{what} must be a list of at most {MOST_ENTRIES} texts, is {shown(value)}")
    return tuple(as_text(item, what, most) for item in value)


def ranges(raw: Mapping[str, Any], key: str, dim: int) -> Ranges | None:
    """Return the lowest and the highest value of each of `dim` components; None where there is no such key."""
    value = raw.get(key)
    if value is None:
        return None
    wanted = f"two lists of {dim} numbers"
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"{key} must be {wanted}, is {shown(value)}")
    for side in value:
        numbers = isinstance(side, list) and all(type(n) in (int, float) and abs(n) < LARGEST_NUMBER for n in side)
        if not numbers or len(side) != dim:
            raise ValueError(f"{key} must be {wanted}, has {shown(side)}")
    low, high = (tuple(float(n) for n in side) for side in value)
    if any(one > other for one, other in zip(low, high, strict=True)):
        raise ValueError(f"{key} must be the lowest values and then the highest ones")
    return low, high


def lengths(raw: Mapping[str, Any], key: str, dim: int) -> tuple[int, ...]:
    """Return a rising list of whole numbers above 0 and below `dim`; none where there is no such key."""
    value = raw.get(key, [])
    whole_numbers = isinstance(value, list) and len(value) <= MOST_ENTRIES and all(type(n) is int for n in value)
    if not whole_numbers or any(one >= other for one, other in zip([0, *value], [*value, dim], strict=True)):
        raise ValueError(f"{key} must be a rising list of whole numbers of 1 to {dim - 1}, is {shown(value)}")
    return tuple(value)


def shown(value: object) -> str:
    """Return what a message shows of a value."""
    try:
        spelled = repr(value)
    except ValueError:  # a number of more digits than Python prints
        return f"a {type(value).__name__} too large to show"
    return spelled if len(spelled) <= 80 else f"{spelled[:80]}…"
