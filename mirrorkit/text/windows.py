"""Texts of more tokens than a model takes: cut, read in overlapping windows, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mirrorkit.text.ragged import Floats, Ints, RaggedIds

LONG = ("cut", "windows", "error")


@dataclass(frozen=True)
class Windows:
    """Windows of texts, those of a text one after another."""

    ids: RaggedIds  # each with its special tokens, and the prompt
    owners: Ints  # [windows], the text that each is of
    weights: Ints  # [windows], tokens of the text in each

    def joined(self, vectors: Floats) -> Floats:
        """Return a vector for each text, from those of its windows float32 [windows, dim]: the mean by tokens.

        It is as long as the windows' vectors are, in the mean, so that it is of unit length where they are. A text of
        one window keeps its vector to the bit.
        """
        first = np.flatnonzero(np.diff(self.owners, prepend=-1))
        weights = self.weights.astype(np.float32)[:, None]
        total = np.add.reduceat(weights, first)
        mean = np.add.reduceat(vectors * weights, first) / total
        lengths = np.add.reduceat(np.linalg.norm(vectors, axis=1, keepdims=True) * weights, first) / total
        scaled = mean * lengths / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
        single = np.bincount(self.owners) == 1
        return np.asarray(np.where(single[:, None], vectors[first], scaled), dtype=np.float32)


def windows_of(texts: Sequence[Sequence[int]], lead: int, tail: int, length: int) -> Windows:
    """Split the token ids of each text into windows of at most `length` tokens.

    There are as few as hold the text, all of them full, at equal distances: what is left over is where they overlap.
    More overlap found no document sooner. The first `lead` tokens of a text, special ones and those of a prompt, and
    its last `tail` stand around each of its windows. `length` must be above `lead` + `tail`.
    """
    room = length - lead - tail
    rows: list[list[int]] = []
    owners: list[int] = []
    weights: list[int] = []
    for number, ids in enumerate(texts):
        before, body, behind = ids[:lead], ids[lead : len(ids) - tail], ids[len(ids) - tail :]
        last = max(0, len(body) - room)
        steps = -(-last // room)
        for start in (round(last * step / max(steps, 1)) for step in range(steps + 1)):
            part = body[start : start + room]
            rows.append([*before, *part, *behind])
            owners.append(number)
            weights.append(max(1, len(part)))
    return Windows(RaggedIds.from_blocks([rows]), np.array(owners, dtype=np.int64), np.array(weights, dtype=np.int64))
