"""Haystack: a bundle as the components that embed a query and documents."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from mirrorkit.integrations.shared import Model, needs

with needs("haystack", "haystack-ai"):
    from haystack import Document, component, default_from_dict, default_to_dict

__all__ = ["MirrorkitDocumentEmbedder", "MirrorkitTextEmbedder"]


@component  # type: ignore[untyped-decorator]
class MirrorkitTextEmbedder:
    """Embeds one text, a query, with a bundle; the options are those of `mirrorkit.Encoder`."""

    def __init__(
        self,
        bundle: str,
        variant: str = "auto",
        truncate_dim: int | None = None,
        revision: str | None = None,
        threads: int | None = None,
        expect: str | None = None,
    ) -> None:
        self._options = _options(variant, truncate_dim, revision, threads, expect)
        self._bundle, self._model = str(bundle), Model(bundle, **self._options)

    @component.output_types(embedding=list[float])  # type: ignore[untyped-decorator]
    def run(self, text: str) -> dict[str, Any]:
        """Return `embedding`, the vector of `text`."""
        if not isinstance(text, str):
            raise TypeError(f"text must be a string, is {type(text).__name__}; documents have an embedder of their own")
        return {"embedding": self._model.queries([text])[0].tolist()}

    @component.output_types(embedding=list[float])  # type: ignore[untyped-decorator]
    async def run_async(self, text: str) -> dict[str, Any]:
        """Return what `run` does, from a thread."""
        return await asyncio.to_thread(self.run, text)

    def to_dict(self) -> dict[str, Any]:
        """Return it as a pipeline saves it."""
        saved: dict[str, Any] = default_to_dict(self, bundle=self._bundle, **self._options)
        return saved

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        """Return what a pipeline saved."""
        return default_from_dict(cls, data)


@component  # type: ignore[untyped-decorator]
class MirrorkitDocumentEmbedder:
    """Embeds documents with a bundle: `content`, with the chosen fields of `meta` before it."""

    def __init__(
        self,
        bundle: str,
        variant: str = "auto",
        truncate_dim: int | None = None,
        revision: str | None = None,
        threads: int | None = None,
        expect: str | None = None,
        meta_fields_to_embed: list[str] | None = None,
        embedding_separator: str = "\n",
    ) -> None:
        self._options = _options(variant, truncate_dim, revision, threads, expect)
        self._bundle, self._model = str(bundle), Model(bundle, **self._options)
        self._fields, self._separator = meta_fields_to_embed or [], embedding_separator

    @component.output_types(documents=list[Document])  # type: ignore[untyped-decorator]
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """Return `documents`, each with its embedding; those given stay as they are."""
        if not isinstance(documents, list) or any(not isinstance(one, Document) for one in documents):
            raise TypeError("documents must be a list of Documents; a text has an embedder of its own")
        vectors: Any = self._model.documents(map(self._text, documents)) if documents else []
        embedded = [replace(one, embedding=vector.tolist()) for one, vector in zip(documents, vectors, strict=True)]
        return {"documents": embedded}

    @component.output_types(documents=list[Document])  # type: ignore[untyped-decorator]
    async def run_async(self, documents: list[Document]) -> dict[str, Any]:
        """Return what `run` does, from a thread."""
        return await asyncio.to_thread(self.run, documents)

    def _text(self, document: Document) -> str:
        known = [str(document.meta[name]) for name in self._fields if document.meta.get(name) is not None]
        return self._separator.join([*known, document.content or ""])

    def to_dict(self) -> dict[str, Any]:
        """Return it as a pipeline saves it."""
        saved: dict[str, Any] = default_to_dict(
            self,
            bundle=self._bundle,
            **self._options,
            meta_fields_to_embed=self._fields,
            embedding_separator=self._separator,
        )
        return saved

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        """Return what a pipeline saved."""
        return default_from_dict(cls, data)


def _options(
    variant: str, truncate_dim: int | None, revision: str | None, threads: int | None, expect: str | None
) -> dict[str, Any]:
    return {
        "variant": variant,
        "truncate_dim": truncate_dim,
        "revision": revision,
        "threads": threads,
        "expect": expect,
    }
