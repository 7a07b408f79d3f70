"""WordPiece: the longest piece at each place is still there where all pieces of a word are kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mirrorkit.errors import ModelError
from mirrorkit.exporter.trim.spelled import refuse_unspelled


@dataclass(frozen=True)
class WordPieces:
    """A WordPiece vocabulary.

    A word whose pieces are all kept is cut into the same ones as before. Any other word can be spelled, for every
    character of a piece has its own entry, at the start of a word or with the mark of a piece that continues one.
    """

    model: Mapping[str, Any]  # of tokenizer.json
    reserved: Collection[str]  # special and added tokens, which no text is cut into
    reachable: Callable[[str, str], bool]  # whether text can be cut into a piece, given with and without its mark

    @property
    def ids(self) -> Mapping[str, int]:
        found: Mapping[str, int] = self.model["vocab"]
        return found

    @property
    def unknown(self) -> int:
        if (token := self.model["unk_token"]) not in self.ids:
            raise ModelError(f"the vocabulary lacks its own unknown token, {token!r}")
        return self.ids[token]

    def characters(self, piece: str) -> Iterator[str]:
        """Yield the entries that would spell `piece` one character at a time."""
        prefix = self.model["continuing_subword_prefix"]
        continues = piece.startswith(prefix) and len(piece) > len(prefix)
        for position, character in enumerate(piece[len(prefix) :] if continues else piece):
            yield character if position == 0 and not continues else prefix + character

    def needed(self, used: Collection[int]) -> set[int]:
        prefix, reserved = self.model["continuing_subword_prefix"], {*self.reserved, self.model["unk_token"]}
        refuse_unspelled(
            self.ids,
            lambda piece: () if piece in reserved else self.characters(piece),
            lambda piece: self.reachable(piece, piece.removeprefix(prefix)),
        )
        single = {i for piece, i in self.ids.items() if len(list(self.characters(piece))) == 1}
        return {*used, *single, *(self.ids[token] for token in reserved if token in self.ids)}

    def renumbered(self, new: Mapping[int, int]) -> dict[str, Any]:
        kept = {piece: new[i] for piece, i in self.ids.items() if i in new}
        return {**self.model, "vocab": dict(sorted(kept.items(), key=lambda item: item[1]))}
