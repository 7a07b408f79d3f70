"""How alike vectors are, by the function that a model was made for."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def pairwise(a: Array, b: Array, similarity: str) -> Array:
    """Return how alike each vector of `a` [n, dim] is to each of `b` [m, dim], [n, m]; `similarity` names the function.

    A distance is below zero, so that more is always more alike. Whole numbers count as what they are.
    """
    a, b = (side.astype(np.float32) if side.dtype.kind in "iu" else side for side in (a, b))  # bytes would run over
    if similarity == "cosine":
        a, b = (side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-12) for side in (a, b))
    if similarity in ("cosine", "dot"):
        return np.asarray(a @ b.T)
    order = 2 if similarity == "euclidean" else 1
    return np.stack([-np.linalg.norm(b - row, ord=order, axis=1) for row in a])
