"""How alike a few texts are, for a quick look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mirrorkit.errors import ConfigError
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.text.ragged import Floats


@dataclass(frozen=True)
class Similarity:
    """Texts and how alike each is to each other by the model's own function."""

    variant: str
    texts: Sequence[str]
    function: str  # cosine, dot, or a distance below zero: euclidean, manhattan
    values: Floats  # [n, n]

    def as_dict(self) -> dict[str, object]:
        return {
            "variant": self.variant,
            "texts": list(self.texts),
            "function": self.function,
            "values": self.values.tolist(),
        }

    def lines(self) -> Iterator[str]:
        """Yield how alike the first text is to each of the others."""
        pairs = zip(self.values[0, 1:].tolist(), self.texts[1:], strict=True)
        return (f"{value:.4f}  {text}" for value, text in pairs)


def similarity(
    bundle: str | Path,
    texts: Sequence[str],
    *,
    variant: str = "auto",
    prompt: str | None = None,
    prompt_name: str | None = None,
    truncate_dim: int | None = None,
    revision: str | None = None,
    engine: str = "onnxruntime",
    precision: str | None = None,
) -> Similarity:
    """Return how alike `texts` are, the options being those of `Encoder`; raises ConfigError for fewer than two."""
    if len(texts) < 2:
        raise ConfigError("similarity needs at least two texts")
    encoder = Encoder(bundle, variant, revision=revision, engine=engine, precision=precision)
    vectors = encoder.encode(texts, prompt=prompt, prompt_name=prompt_name, truncate_dim=truncate_dim)
    return Similarity(encoder.variant, texts, encoder.usage.similarity, encoder.similarity(vectors, vectors))
