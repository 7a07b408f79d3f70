"""SentencePiece Unigram: the best way through a word is still there, and still the best, where its pieces are kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mirrorkit.exporter.trim.spelled import BYTES, byte_ids, refuse_unspelled


@dataclass(frozen=True)
class UnigramPieces:
    """A Unigram vocabulary: pieces by their place in a list, each with a score.

    A cut of a word is as good as the sum of its pieces' scores. Without some pieces there are fewer cuts and none that
    is better, and of two that are equally good the first is taken as before: a best cut whose pieces are all kept
    stays the best. That holds with unknown characters too. They are those without a piece of their own, which stay the
    same as all single characters are kept; and what one costs hangs on the lowest score of the vocabulary alone, so
    one piece of that score stays.
    """

    model: Mapping[str, Any]  # of tokenizer.json
    reserved: Collection[str]  # special and added tokens
    reachable: Callable[[str], bool]  # whether text can hold a piece

    @cached_property
    def ids(self) -> Mapping[str, int]:
        return {piece: i for i, (piece, _) in enumerate(self.model["vocab"])}  # of doubles the last, as in `tokenizers`

    @property
    def unknown(self) -> int | None:
        found: int | None = self.model["unk_id"]
        return found

    def needed(self, used: Collection[int]) -> set[int]:
        reserved = {self.ids[token] for token in self.reserved if token in self.ids}
        if self.unknown is not None:
            reserved.add(self.unknown)
        if not self._spells_bytes:
            refuse_unspelled(self.ids, lambda piece: () if self.ids[piece] in reserved else piece, self.reachable)
        single = {i for piece, i in self.ids.items() if len(piece) == 1}
        kept = {*used, *single, *reserved, *byte_ids(self.ids)}
        return kept | self._lowest(kept)

    def renumbered(self, new: Mapping[int, int]) -> dict[str, Any]:
        unknown = None if self.unknown is None else new[self.unknown]
        vocabulary = [entry for i, entry in enumerate(self.model["vocab"]) if i in new]
        return {**self.model, "unk_id": unknown, "vocab": vocabulary}

    @property
    def _spells_bytes(self) -> bool:
        """Return whether a character without a piece is spelled in bytes, and none can get lost."""
        return bool(self.model.get("byte_fallback")) and all(token in self.ids for token in BYTES)

    def _lowest(self, kept: Collection[int]) -> set[int]:
        """Return a piece of the lowest score, unless one is kept anyway."""
        scores = [score for _, score in self.model["vocab"]]
        lowest = min(range(len(scores)), key=scores.__getitem__)
        return set() if any(scores[i] == scores[lowest] for i in kept if i < len(scores)) else {lowest}
