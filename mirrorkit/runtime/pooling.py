"""Pooling outside of the graph, for a graph that gives token vectors alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mirrorkit.errors import BundleError
from mirrorkit.formats.pooling import Pooling, poolings_of
from mirrorkit.runtime.session import HIDDEN, OnnxSession
from mirrorkit.text.ragged import Floats, Ints


@dataclass(frozen=True)
class PooledOutside:
    """A runner of a graph that gives token vectors alone."""

    session: OnnxSession
    pooling: str  # one or several joined by +
    normalized: bool = True

    @property
    def callers(self) -> int:
        return self.session.callers

    @property
    def batch_tokens(self) -> int:
        return self.session.batch_tokens

    @property
    def max_rows(self) -> int | None:
        return self.session.max_rows

    @property
    def dim(self) -> int | None:
        return None

    def for_callers(self) -> PooledOutside:
        return PooledOutside(self.session.for_callers(), self.pooling, self.normalized)

    def batch(self, input_ids: Ints, attention_mask: Ints) -> Floats:
        """Return vectors float32 [batch, dim] of int64 ids and mask, both [batch, seq].

        Tokens with a 2 in the mask are attended to and not pooled.
        """
        hidden = self.session.signature.output(*HIDDEN)
        if hidden is None:
            raise BundleError(f"{self.session.file}: no token vectors among its outputs")
        attended = (attention_mask != 0).astype(np.int64)
        (values,) = self.session.outputs([hidden.name], input_ids, attended)
        vectors = pool(values, (attention_mask == 1).astype(np.int64), self.pooling)
        return unit(vectors) if self.normalized else vectors


def pool(hidden: npt.NDArray[np.floating], mask: Ints, pooling: str) -> Floats:
    """Reduce token vectors [batch, seq, width] to [batch, dim] by one pooling, or by several joined by +."""
    return np.concatenate([_pool(hidden, mask, mode) for mode in poolings_of(pooling)], axis=1)


def _pool(hidden: npt.NDArray[np.floating], mask: Ints, pooling: Pooling) -> Floats:
    wide = np.asarray(hidden, dtype=np.float32)
    weights = mask[:, :, None].astype(np.float32)
    places = np.arange(1, wide.shape[1] + 1, dtype=np.float32)[None, :, None]
    if pooling in (Pooling.CLS, Pooling.LAST):
        place = weights.argmax(axis=1) if pooling is Pooling.CLS else (weights * places).argmax(axis=1)
        return np.asarray(np.take_along_axis(wide, place[:, :, None], axis=1)[:, 0])
    if pooling is Pooling.MAX:
        return np.asarray(np.where(weights > 0, wide, -np.inf).max(axis=1))
    if pooling is Pooling.MEAN_PADDED:
        return np.asarray(wide.mean(axis=1))
    if pooling is Pooling.WEIGHTED_MEAN:
        weights = weights * places
    count = np.maximum(weights.sum(axis=1), 1)
    return np.asarray((wide * weights).sum(axis=1) / (np.sqrt(count) if pooling is Pooling.MEAN_SQRT_LEN else count))


def unit(vectors: Floats) -> Floats:
    """Return the rows at length 1."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), dtype=np.float32)
