"""LlamaIndex: a bundle as a `BaseEmbedding`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from mirrorkit.integrations.shared import Model, needs

with needs("llama_index", "llama-index-core"):
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.bridge.pydantic import PrivateAttr

__all__ = ["MirrorkitEmbedding"]


class MirrorkitEmbedding(BaseEmbedding):  # type: ignore[misc]
    """A bundle's vectors for LlamaIndex; the options are those of `mirrorkit.Encoder` and of `BaseEmbedding`."""

    bundle: str
    variant: str = "auto"
    truncate_dim: int | None = None
    revision: str | None = None
    threads: int | None = None
    expect: str | None = None
    _model: Model = PrivateAttr()

    def __init__(self, bundle: str | Path, **more: Any) -> None:
        more.setdefault("model_name", Path(bundle).name)
        super().__init__(bundle=str(bundle), **more)
        self._model = Model(
            self.bundle,
            variant=self.variant,
            truncate_dim=self.truncate_dim,
            revision=self.revision,
            threads=self.threads,
            expect=self.expect,
        )

    @classmethod
    def class_name(cls) -> str:
        """Return the name that LlamaIndex saves it under."""
        return "MirrorkitEmbedding"

    def _get_query_embedding(self, query: str) -> list[float]:
        vector: list[float] = self._model.queries([query])[0].tolist()
        return vector

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self._model.documents(texts).tolist()
        return vectors

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)
