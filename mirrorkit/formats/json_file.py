"""Read a JSON file that anybody may have written: whatever is wrong with it is one line that names the file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mirrorkit.errors import MirrorkitError, ModelError
from mirrorkit.formats.packed import content
from mirrorkit.paths import size_of

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
LARGEST = 1 << 28  # bytes; the longest vocabularies take some 30 MB


def read_json(file: Path, error: type[MirrorkitError] = ModelError, *, standard: bool = False) -> Any:
    """Return the parsed file; raises `error` where it is missing, unreadable, too large or malformed.

    With `standard` NaN and infinity are malformed, which Python reads and JSON does not have.
    """
    try:
        packed = content(file)
        size = size_of(file) if packed is None else len(packed)
        if size > LARGEST:
            raise error(f"{file}: has {size:,} bytes; only JSON files of at most {LARGEST:,} bytes are read")
        text = file.read_text(encoding="utf-8") if packed is None else bytes(packed).decode()
        value = json.loads(text, parse_constant=_refuse if standard else None)
        if _HALF.search(text):  # half a surrogate pair may be escaped here, but can be written nowhere
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except OSError as err:
        raise error(f"{file}: cannot be read ({err.strerror or err})") from err
    except (
        ValueError,
        RecursionError,
        MemoryError,
    ) as err:  # numbers that are too long and brackets that are too deep, too
        raise error(f"{file}: not a readable JSON file ({err})") from err


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def read_object(file: Path, error: type[MirrorkitError] = ModelError) -> dict[str, Any]:
    """Return the parsed file, which must hold an object; raises `error` as `read_json` does."""
    value = read_json(file, error)
    if not isinstance(value, dict):
        raise error(f"{file}: expected an object, found {type(value).__name__}")
    return value


def check_version(file: Path, raw: Any, newest: int, error: type[MirrorkitError] = ModelError) -> None:
    """Raise `error` unless `raw`, what is in the file, has a `schema_version` from 1 to `newest`."""
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if type(version) is not int or version < 1:
        raise error(f"{file}: schema_version must be a whole number above 0, is {version!r}")
    if version > newest:
        raise error(f"{file}: schema_version {version}, this mirrorkit reads up to {newest}; upgrade mirrorkit")


def object_or_empty(file: Path) -> dict[str, Any]:
    """Return the object in a file; an empty one where there is none that can be read."""
    try:
        return read_object(file)
    except ModelError:
        return {}
