"""The front matter of a README.md: what a hub knows of a model, and what of it goes over to whatever is made of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mirrorkit.paths import size_of

_FRONT = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_HUB_ID = re.compile(r"[\w.\-]+/[\w.\-]+")
_LARGEST = 1 << 20  # bytes of a card
LONGEST = 200  # characters of a value that is carried over
MOST = 200  # entries of a list that is carried over
# What a licence asks to be passed on, and what stays true of whatever is made of a model.
_CARRIED = ("language", "license", "license_name", "license_link")


def read_front(folder: Path) -> dict[str, Any]:
    """Return the front matter of `folder`/README.md; an empty one where there is none that can be read."""
    import yaml

    file = folder / "README.md"
    try:
        if size_of(file) > _LARGEST:
            return {}
        found = _FRONT.match(file.read_text(encoding="utf-8"))
        value = yaml.safe_load(found[1]) if found else None
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    return value if isinstance(value, dict) else {}


def carried(folder: Path, name: str) -> dict[str, Any]:
    """Return what of the card in `folder` goes over to what is made of the model called `name`.

    That is language and licence, and the base model: `name` itself where it is a hub id, else what the card says.
    """
    front = read_front(folder)
    found = {key: front[key] for key in _CARRIED if _is_text(front.get(key))}
    base = name if _HUB_ID.fullmatch(name) else front.get("base_model")
    if _is_text(base):
        found["base_model"] = base
    return found


def front_matter(values: Mapping[str, Any]) -> list[str]:
    """Return the lines of a front matter, marks included."""
    import yaml

    text = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=10_000)
    return ["---", *text.rstrip("\n").split("\n"), "---"]


def _is_text(value: object) -> bool:
    """Return whether `value` is a text, or a list of texts, of a length that a card may have."""
    if isinstance(value, str):
        return 0 < len(value) <= LONGEST
    return isinstance(value, Sequence) and 0 < len(value) <= MOST and all(_is_text(one) for one in value)
