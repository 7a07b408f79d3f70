"""BPE: a word is put together by the same merges in the same order where the pieces of each step are kept."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from typing import Any

from mirrorkit.errors import ModelError
from mirrorkit.exporter.trim.spelled import byte_ids

Pair = tuple[str, str]


@dataclass(frozen=True)
class BpePieces:
    """A BPE vocabulary: pieces, and merges of two into one, the first of which goes first.

    What happens inside a piece on the way to it does not depend on what stands around it, so that each has one set of
    steps, and all of its pieces are kept with it. A merge stays where both parts and the result do. A word all of whose
    merges stay goes through the same ones, for at each step the first of all is the first of those that stay. No text
    is lost: merges join characters (of byte-level BPE, the 256 of its bytes), and these are all kept.
    """

    model: Mapping[str, Any]  # of tokenizer.json
    reserved: Collection[str]  # special and added tokens

    @property
    def ids(self) -> Mapping[str, int]:
        found: Mapping[str, int] = self.model["vocab"]
        return found

    @property
    def unknown(self) -> int | None:
        token = self.model.get("unk_token")
        if token is not None and token not in self.ids:
            raise ModelError(f"the vocabulary lacks its own unknown token, {token!r}")
        return None if token is None else self.ids[token]

    def needed(self, used: Collection[int]) -> set[int]:
        reserved = {self.ids[token] for token in self.reserved if token in self.ids}
        kept = {
            *used,
            *reserved,
            *byte_ids(self.ids),
            *(i for piece, i in self.ids.items() if self._irreplaceable(piece)),
        }
        if self.unknown is not None:
            kept.add(self.unknown)
        for piece, i in self.ids.items():
            if i in used:
                kept |= {self.ids[part] for part in self._parts(piece)}
        return kept

    def renumbered(self, new: Mapping[int, int]) -> dict[str, Any]:
        kept = {piece: new[i] for piece, i in self.ids.items() if i in new}
        merges = [
            as_it_stands
            for as_it_stands, (left, right) in zip(self.model["merges"], self._merges, strict=True)
            if left in kept and right in kept and self._merged(left, right) in kept
        ]
        return {**self.model, "vocab": dict(sorted(kept.items(), key=lambda item: item[1])), "merges": merges}

    @cached_property
    def _affixes(self) -> Pair:
        """Return what is put before all characters of a word but the first, and behind the last."""
        return self.model.get("continuing_subword_prefix") or "", self.model.get("end_of_word_suffix") or ""

    @cached_property
    def _merges(self) -> list[Pair]:
        """Return the pairs in order; older files join the two by a blank, which no piece of theirs holds."""
        split = (one.split(" ", 1) if isinstance(one, str) else one for one in self.model["merges"])
        return [(left, right) for left, right in split]

    @cached_property
    def _ranks(self) -> Mapping[Pair, int]:
        return {pair: rank for rank, pair in enumerate(self._merges)}

    @cached_property
    def _made_of(self) -> Mapping[str, list[Pair]]:
        """Return the pairs that each piece can be merged from."""
        found: dict[str, list[Pair]] = {}
        for left, right in self._merges:
            found.setdefault(self._merged(left, right), []).append((left, right))
        return found

    def _merged(self, left: str, right: str) -> str:
        return left + right[len(self._affixes[0]) :]

    def _spellings(self, piece: str) -> Iterator[list[str]]:
        """Yield the characters of a piece as entries: what looks like an affix may be one, or be of the text."""
        prefix, suffix = self._affixes
        continues = {False, bool(prefix) and piece.startswith(prefix)}
        ends = {False, bool(suffix) and piece.endswith(suffix)}
        for has_prefix, has_suffix in product(continues, ends):
            bare = piece[len(prefix) * has_prefix : len(piece) - len(suffix) * has_suffix]
            if bare:
                entries = [
                    character if i == 0 and not has_prefix else prefix + character for i, character in enumerate(bare)
                ]
                yield [*entries[:-1], entries[-1] + suffix * has_suffix]

    def _irreplaceable(self, piece: str) -> bool:
        """Return whether a piece is a character, or a word that `ignore_merges` takes whole and has an unknown one."""
        spellings = list(self._spellings(piece))
        if any(len(entries) == 1 for entries in spellings):
            return True
        return bool(self.model.get("ignore_merges")) and not any(map(self._known, spellings))

    def _known(self, entries: list[str]) -> bool:
        return all(entry in self.ids for entry in entries)

    def _parts(self, piece: str) -> set[str]:
        """Return the pieces on the way to a piece."""
        parts: set[str] = set()
        for entries in filter(self._known, self._spellings(piece)):
            end, steps = self._joined(entries)
            if end == [piece]:
                parts.update(entries, steps)
        return parts or self._all_parts(piece)

    def _joined(self, entries: list[str]) -> tuple[list[str], list[str]]:
        """Return what is left when all merges are done, lowest rank first, then leftmost, and what they made."""
        left, steps = list(entries), list[str]()
        while True:
            ranks = ((self._ranks[pair], at) for at, pair in enumerate(pairwise(left)) if pair in self._ranks)
            if (first := min(ranks, default=None)) is None:
                return left, steps
            at = first[1]
            left[at : at + 2] = [self._merged(*left[at : at + 2])]
            steps.append(left[at])

    def _all_parts(self, piece: str) -> set[str]:
        """Return whatever a piece could be made of: it does not come about from its characters, but may from bytes."""
        parts, open_ = set[str](), [piece]
        while open_:
            new = {part for pair in self._made_of.get(open_.pop(), ()) for part in pair} - parts
            parts |= new
            open_ += new
        return parts
