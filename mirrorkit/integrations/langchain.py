"""LangChain: a bundle as `Embeddings`."""

from __future__ import annotations

from pathlib import Path

from mirrorkit.integrations.shared import Model, needs

with needs("langchain_core", "langchain-core"):
    from langchain_core.embeddings import Embeddings

__all__ = ["MirrorkitEmbeddings"]


class MirrorkitEmbeddings(Embeddings):  # type: ignore[misc]
    """A bundle's vectors for LangChain's stores and retrievers; the options are those of `mirrorkit.Encoder`.

    The asynchronous methods are LangChain's own, which work in a thread.
    """

    def __init__(
        self,
        bundle: str | Path,
        *,
        variant: str = "auto",
        truncate_dim: int | None = None,
        revision: str | None = None,
        threads: int | None = None,
        expect: str | None = None,
    ) -> None:
        self._model = Model(
            bundle, variant=variant, truncate_dim=truncate_dim, revision=revision, threads=threads, expect=expect
        )

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of texts that are looked for."""
        vectors: list[list[float]] = self._model.documents(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a text that looks for others."""
        vector: list[float] = self._model.queries([text])[0].tolist()
        return vector
