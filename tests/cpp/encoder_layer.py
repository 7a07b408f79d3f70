"""An encoder layer in numpy, in float64, around products that a test defines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import erf
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Product = Callable[[Array, str], Array]  # of rows, by the matrix `in` (queries, keys and values), `out`, `up` or `down`

EPSILON, SCALE = 1e-12, 32**-0.5  # of the norms, and of the scores


def layer_of(x: Array, heads: int, product: Product, constants: Mapping[str, Array]) -> Array:
    """Return the layer of one text [length, hidden]; `constants` has gamma and beta of the norms, first and second."""

    def norm(values: Array, name: str) -> Array:
        centred = values - values.mean(-1, keepdims=True)
        found: Array = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON)
        return found * constants[f"{name}.gamma"] + constants[f"{name}.beta"]

    queries, keys, values = (part.reshape(len(x), heads, -1) for part in np.split(product(x, "in"), 3, axis=-1))
    scores = np.einsum("qhd,khd->hqk", queries, keys) * SCALE
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    attended = np.einsum("hqk,khd->qhd", weights, values).reshape(len(x), -1)
    middle = norm(product(attended, "out") + x, "first")
    return norm(product(_gelu(product(middle, "up")), "down") + middle, "second")


def _gelu(values: Array) -> Array:
    below: Array = np.vectorize(lambda v: 0.5 * (1 + erf(v / 2**0.5)))(values)
    return values * below
