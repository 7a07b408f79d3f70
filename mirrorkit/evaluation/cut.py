"""Vectors that are cut to their first components, as an encoder that any score takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mirrorkit.evaluation.pairs import TextEncoder, unit_rows
from mirrorkit.text.ragged import Floats

_MOST = 50_000_000  # numbers that are kept, 200 MB; what goes beyond is encoded again


class Kept:
    """An encoder that knows the vectors of the texts it has seen, so that every cut of them costs no more."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._vectors: dict[str, Floats] = {}

    def encode(self, texts: Sequence[str], /) -> Floats:
        """Return float32 [n, dim], as the encoder gives them."""
        vectors = self._vectors
        if texts and all(text in vectors for text in texts):
            return np.stack([vectors[text] for text in texts])
        made = self._encoder.encode(texts)
        if (len(vectors) + len(texts)) * made.shape[-1] <= _MOST:
            vectors.update(zip(texts, made, strict=True))
        return made


class Cut:
    """An encoder whose vectors are the first `dim` components of another's, of unit length."""

    def __init__(self, encoder: TextEncoder, dim: int) -> None:
        self._encoder, self.dim = encoder, dim

    def encode(self, texts: Sequence[str], /) -> Floats:
        """Return float32 [n, dim]."""
        return unit_rows(self._encoder.encode(texts)[:, : self.dim]).astype(np.float32)
