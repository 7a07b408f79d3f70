"""LanceDB: a bundle in the registry of embedding functions, as `mirrorkit`."""

from __future__ import annotations

from typing import Any

from mirrorkit.integrations.shared import Model, needs

with needs("lancedb"):
    from lancedb.embeddings import TextEmbeddingFunction, register
    from pydantic import PrivateAttr

__all__ = ["MirrorkitEmbeddings"]


@register("mirrorkit")  # type: ignore[untyped-decorator]
class MirrorkitEmbeddings(TextEmbeddingFunction):  # type: ignore[misc]
    """A bundle's vectors for LanceDB; the options are those of `mirrorkit.Encoder`.

    `get_registry().get("mirrorkit").create(bundle=…)` makes it. A table keeps the options, `expect` among them: give
    the fingerprint there, and no other encoder is taken for it.
    """

    bundle: str
    variant: str = "auto"
    truncate_dim: int | None = None
    revision: str | None = None
    threads: int | None = None
    expect: str | None = None
    max_retries: int = 0  # nothing here gets better by waiting
    _model: Model = PrivateAttr()

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._model = Model(
            self.bundle,
            variant=self.variant,
            truncate_dim=self.truncate_dim,
            revision=self.revision,
            threads=self.threads,
            expect=self.expect,
        )

    def ndims(self) -> int:
        """Return the length of a vector."""
        return self._model.dim

    def generate_embeddings(self, texts: Any, *_: Any, **__: Any) -> list[Any]:
        """Return the vectors of what is stored."""
        return list(self._model.documents(texts))

    def compute_query_embeddings(self, query: Any, *_: Any, **__: Any) -> list[Any]:
        """Return the vectors of what is looked for."""
        return list(self._model.queries(self.sanitize_input(query)))
