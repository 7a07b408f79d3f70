"""Cosines between a few texts, for a quick look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mirrorkit.errors import ConfigError
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.runtime.session import Floats


@dataclass(frozen=True)
class Similarity:
    """Texts and the cosine of each with each other."""

    variant: str
    texts: Sequence[str]
    cosines: Floats  # [n, n]

    def as_dict(self) -> dict[str, object]:
        return {"variant": self.variant, "texts": list(self.texts), "cosines": self.cosines.tolist()}

    def lines(self) -> Iterator[str]:
        """Yield the cosine of the first text with each of the others."""
        pairs = zip(self.cosines[0, 1:].tolist(), self.texts[1:], strict=True)
        return (f"{cosine:.4f}  {text}" for cosine, text in pairs)


def compare(bundle: str | Path, texts: Sequence[str], *, variant: str = "auto") -> Similarity:
    """Return the cosines of `texts`. Raises ConfigError for fewer than two of them."""
    if len(texts) < 2:
        raise ConfigError("similarity takes two texts or more")
    encoder = Encoder(bundle, variant)
    vectors = encoder.encode(texts)
    return Similarity(encoder.variant, texts, vectors @ vectors.T)
