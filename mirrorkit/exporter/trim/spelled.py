"""What keeps text from getting lost: single characters, bytes, and no piece with a character that has none."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from mirrorkit.errors import ConfigError

BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))  # how a vocabulary spells the bytes that it falls back to


def byte_ids(ids: Mapping[str, int]) -> set[int]:
    """Return the ids of the bytes to fall back to."""
    return {ids[token] for token in BYTES if token in ids}


def refuse_unspelled(
    pieces: Collection[str], spelling: Callable[[str], Iterable[str]], reachable: Callable[[str], bool]
) -> None:
    """Raise ConfigError for a piece with a character that has no entry of its own.

    Without the piece, a text with that character could turn into the unknown token. `spelling` gives the entries of a
    piece's characters; `reachable` tells whether text can be cut into it at all.
    """
    known = frozenset(pieces)
    for piece in pieces:
        lacking = next((entry for entry in spelling(piece) if entry not in known), None)
        if lacking is not None and reachable(piece):
            raise ConfigError(
                f"`trim`: the vocabulary has the piece {piece!r} but not {lacking!r} for one of its characters, so "
                "text could no longer be spelled without some of its pieces; this vocabulary cannot be trimmed"
            )
