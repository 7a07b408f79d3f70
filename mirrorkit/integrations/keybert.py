"""KeyBERT: a bundle as its backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mirrorkit.integrations.shared import Model, needs

with needs("keybert"):
    from keybert.backend import BaseEmbedder

__all__ = ["MirrorkitBackend"]


class MirrorkitBackend(BaseEmbedder):  # type: ignore[misc]
    """`KeyBERT(model=MirrorkitBackend(bundle))`; the options are those of `mirrorkit.Encoder`."""

    def __init__(self, bundle: str | Path, *, variant: str = "auto", threads: int | None = None) -> None:
        super().__init__()
        self._model = Model(bundle, variant=variant, threads=threads)

    def embed(self, documents: list[str], verbose: bool = False) -> Any:  # noqa: ARG002  (its signature)
        """Return vectors float32 [n, dim] of texts, or of the words in them."""
        return self._model.documents(documents)
