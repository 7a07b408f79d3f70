"""Which entries of a WordPiece vocabulary a domain needs, so that its texts stay as they are and no text gets lost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mirrorkit.errors import ConfigError


@dataclass(frozen=True)
class WordPieces:
    """A WordPiece vocabulary: pieces by id, and the mark of a piece that continues a word."""

    pieces: Mapping[str, int]
    prefix: str
    unknown: str  # the piece for a word that has no pieces
    reserved: Collection[str]  # special and added tokens, which no text is cut into

    def characters(self, piece: str) -> Iterator[str]:
        """Yield the entries that would spell `piece` one character at a time."""
        continues = piece.startswith(self.prefix) and len(piece) > len(self.prefix)
        for position, character in enumerate(piece[len(self.prefix) :] if continues else piece):
            yield character if position == 0 and not continues else self.prefix + character

    def unspelled(self) -> Iterator[tuple[str, str]]:
        """Yield each piece with a character that has no entry of its own, and that entry."""
        for piece in self.pieces:
            if piece not in self.reserved:
                lacking = next((entry for entry in self.characters(piece) if entry not in self.pieces), None)
                if lacking is not None:
                    yield piece, lacking


def kept_ids(
    words: WordPieces, counts: Sequence[int], min_count: int, needed: Collection[int], reachable: Callable[[str], bool]
) -> list[int]:
    """Return the ids to keep, in order: pieces that occur `min_count` times, single characters, `needed` ids.

    `counts` are of the pieces that the corpus is cut into, by id; `reachable` tells whether a piece can come about at
    all. A word whose pieces are all kept is cut into the same ones as before, for its longest match at each place is
    still there. Any other word can be spelled, for every character of a piece has its own entry: raises ConfigError
    for a vocabulary in which it has not, where dropping a piece could turn a word into the unknown token.
    """
    for piece, lacking in words.unspelled():
        if reachable(piece):
            raise ConfigError(
                f"--trim-vocab: the vocabulary has the piece {piece!r} but not {lacking!r} for a character of it, so "
                "text could no longer be spelled without some of its pieces; this vocabulary cannot be trimmed"
            )
    reserved = {words.pieces[token] for token in words.reserved if token in words.pieces}
    single = {i for piece, i in words.pieces.items() if len(list(words.characters(piece))) == 1}
    used = {i for i in words.pieces.values() if counts[i] >= min_count}
    return sorted(reserved | single | used | set(needed))
