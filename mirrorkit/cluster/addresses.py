"""What an address leads to: a folder of this machine, or an object store."""

from __future__ import annotations

from pathlib import Path

from mirrorkit.cluster.places import LocalPlace, Place, is_remote, without_scheme
from mirrorkit.cluster.stores import StorePlace


def place_of(address: str | Path) -> Place:
    """Return the place of an address.

    Raises ConfigError for one that cannot be, MissingExtraError without the library that opens it.
    """
    text = str(address)
    return StorePlace(text) if is_remote(text) else LocalPlace(without_scheme(text))
