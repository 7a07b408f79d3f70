"""scikit-learn: a bundle as a vectorizer, for pipelines and searches over parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mirrorkit.integrations.shared import needs
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.text.ragged import Floats

with needs("sklearn", "scikit-learn"):
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
    from sklearn.utils.validation import check_is_fitted

__all__ = ["MirrorkitVectorizer"]


class MirrorkitVectorizer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Texts to vectors float32 [n, dim], in the place of a `TfidfVectorizer`.

    `fit` opens the bundle and learns nothing: a search over `variant`, `prompt_name`, `normalize` or `truncate_dim` is
    one over what `mirrorkit.Encoder` takes. Input is texts: a list, an array or a column, not a table.
    """

    def __init__(
        self,
        bundle: str | Path,
        *,
        variant: str = "auto",
        prompt_name: str | None = None,
        normalize: bool | None = None,
        truncate_dim: int | None = None,
        threads: int | None = None,
        revision: str | None = None,
    ) -> None:
        self.bundle = bundle
        self.variant = variant
        self.prompt_name = prompt_name
        self.normalize = normalize
        self.truncate_dim = truncate_dim
        self.threads = threads
        self.revision = revision

    def fit(self, X: Any, y: Any = None) -> MirrorkitVectorizer:  # noqa: ARG002, N803  (as scikit-learn calls it)
        """Open the bundle; of the texts only that they are some is looked at."""
        _texts(X)
        self.encoder_ = Encoder(self.bundle, self.variant, threads=self.threads, revision=self.revision)
        self._n_features_out = min(self.encoder_.dim, self.truncate_dim or self.encoder_.dim)
        return self

    def transform(self, X: Any) -> Floats:  # noqa: N803
        """Return the vectors of the texts."""
        check_is_fitted(self, "encoder_")
        return self.encoder_.encode(
            _texts(X), prompt_name=self.prompt_name, normalize=self.normalize, truncate_dim=self.truncate_dim
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.transformer_tags.preserves_dtype = []
        return tags


def _texts(given: Any) -> list[str]:
    """Return the texts of a list, an array or a column; raises ValueError for one text, and for a table."""
    if isinstance(given, (str, bytes)):
        raise ValueError("expected several texts, received a single string; put it into a list")
    if np.ndim(given) != 1 if hasattr(given, "ndim") or hasattr(given, "__array__") else hasattr(given, "columns"):
        raise ValueError(
            "expected a sequence of texts, received a table; choose one column, in a ColumnTransformer by its name "
            "as a string and not as a list"
        )
    return list(given)
