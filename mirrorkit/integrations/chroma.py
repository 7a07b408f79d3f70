"""Chroma: a bundle as an embedding function, which a collection remembers together with its fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mirrorkit.errors import BundleError
from mirrorkit.integrations.shared import Model, needs
from mirrorkit.runtime.hub import is_hub_id

with needs("chromadb"):
    from chromadb.api.types import EmbeddingFunction
    from chromadb.utils.embedding_functions import register_embedding_function

__all__ = ["MirrorkitEmbeddingFunction"]

_SPACES = {"cosine": "cosine", "dot": "ip", "euclidean": "l2"}


@register_embedding_function  # type: ignore[untyped-decorator]
class MirrorkitEmbeddingFunction(EmbeddingFunction[Any]):  # type: ignore[misc]
    """A bundle's vectors for Chroma; the options are those of `mirrorkit.Encoder`.

    A collection keeps the options and the fingerprint of the encoder, so that it is never searched or filled with the
    vectors of another one. Where this module has been imported, `get_collection` opens the bundle by itself.
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
        self._config = {
            "bundle": str(bundle),
            "variant": variant,
            "truncate_dim": truncate_dim,
            "revision": revision,
            "threads": threads,
            "expect": self._model.encoder.fingerprint,
        }

    def __call__(self, input: Any) -> Any:  # noqa: A002  (the name is Chroma's)
        """Return the vectors of documents."""
        return list(self._model.documents(input))

    def embed_query(self, input: Any) -> Any:  # noqa: A002
        """Return the vectors of queries."""
        return list(self._model.queries(input))

    @staticmethod
    def name() -> str:
        """Return the name that Chroma knows it by."""
        return "mirrorkit"

    def default_space(self) -> Any:
        """Return Chroma's name of the model's own similarity; cosine where Chroma has none."""
        return _SPACES.get(self._model.similarity, "cosine")

    def get_config(self) -> dict[str, Any]:
        """Return what a collection keeps."""
        return dict(self._config)

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> MirrorkitEmbeddingFunction:
        """Open what a collection has kept; raises BundleError where the bundle is another one by now.

        A bundle on the hub is not fetched on the word of a collection, which may be somebody else's.
        """
        if is_hub_id(str(config.get("bundle"))):
            raise BundleError(
                f"the collection is of {config['bundle']}, on the hub; pass "
                "embedding_function=MirrorkitEmbeddingFunction(…) to fetch it"
            )
        return MirrorkitEmbeddingFunction(**config)

    def validate_config_update(self, old_config: Mapping[str, Any], new_config: Mapping[str, Any]) -> None:
        """Raise BundleError where vectors of another encoder would be mixed in."""
        old, new = (str(config.get("expect")) for config in (old_config, new_config))
        if old != new:
            raise BundleError(f"the collection has vectors of the encoder {old[:12]}, this one is {new[:12]}")
