"""Maps between two spaces, fitted to the vectors of the same texts in both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mirrorkit.formats.adapter import Map
from mirrorkit.text.ragged import Floats

Doubles = npt.NDArray[np.float64]

_RIDGES = (1e-3, 1e-1)  # of the mean variance of a component
_HIDDEN = 256
_BATCH, _EPOCHS, _RATE, _PATIENCE = 256, 40, 1e-3, 3  # Adam; epochs without a gain before it stops
_ASIDE = 20  # of the pairs every so many-th is kept to see when to stop


class Fitted(NamedTuple):
    """A map that may be chosen."""

    map: Map
    rank: int
    weights: Mapping[str, Floats]


def fitted(new: Floats, old: Floats, seed: int) -> Iterator[Fitted]:
    """Yield maps from `new` [n, dim] to `old` [n, old dim], rows of the same texts: the simplest first.

    They are the three of Drift-Adapter (Vejendla 2025, arXiv:2509.23471): a rotation, an affine map of limited rank,
    and a residual layer.
    """
    x, y = new.astype(np.float64), old.astype(np.float64)
    yield _rotation(x, y)
    affine = [(_ridge(x, y, ridge), ridge) for ridge in _RIDGES]
    full = min(x.shape[1], y.shape[1])
    for rank in (full // 4, full // 2, full):
        for weight, _ in affine:
            yield _of_rank(x, y, weight, max(rank, 1))
    yield _residual(new, old, affine[0][0], seed)


def _rotation(x: Doubles, y: Doubles) -> Fitted:
    """Return the rotation that brings centred `x` nearest to centred `y` (Schönemann 1966), and the shift."""
    left, _, right = np.linalg.svd((x - x.mean(0)).T @ (y - y.mean(0)), full_matrices=False)
    weight = left @ right
    return Fitted(Map.ORTHOGONAL, len(right), _float32(weight=weight, bias=y.mean(0) - x.mean(0) @ weight))


def _ridge(x: Doubles, y: Doubles, ridge: float) -> Doubles:
    """Return the weights of a ridge regression of centred `y` on centred `x`."""
    x = x - x.mean(0)
    square = x.T @ x
    square[np.diag_indices_from(square)] += ridge * np.trace(square) / len(square)
    return np.asarray(np.linalg.solve(square, x.T @ (y - y.mean(0))))


def _of_rank(x: Doubles, y: Doubles, weight: Doubles, rank: int) -> Fitted:
    """Return the regression of that rank: projected on the main directions of what it gives (Izenman 1975)."""
    given = (x - x.mean(0)) @ weight
    _, vectors = np.linalg.eigh(given.T @ given)
    main = vectors[:, ::-1][:, :rank]
    down, up = weight @ main, main.T
    return Fitted(Map.LOW_RANK, rank, _float32(down=down, up=up, bias=y.mean(0) - x.mean(0) @ down @ up))


def _residual(new: Floats, old: Floats, weight: Doubles, seed: int) -> Fitted:
    """Return an affine map and a layer of ReLUs fitted to what it leaves, by Adam (Kingma and Ba 2015)."""
    rng = np.random.default_rng(seed)
    bias = old.mean(0) - new.mean(0) @ weight
    left = (old - (new @ weight + bias)).astype(np.float32)
    aside = np.arange(len(new)) % _ASIDE == 0
    x, y, x_aside, y_aside = new[~aside], left[~aside], new[aside], left[aside]
    dim, width = new.shape[1], _HIDDEN
    layer = {
        "hidden": rng.normal(0, (2 / dim) ** 0.5, (dim, width)).astype(np.float32),
        "hidden_bias": np.zeros(width, np.float32),
        "out": np.zeros((width, old.shape[1]), np.float32),  # begins as the affine map
    }
    adam = {name: (np.zeros_like(values), np.zeros_like(values)) for name, values in layer.items()}
    best, kept, since, step = float(np.square(y_aside).mean()), layer, 0, 0
    for _ in range(_EPOCHS):
        order = rng.permutation(len(x))
        for start in range(0, len(x), _BATCH):
            step += 1
            rows = order[start : start + _BATCH]
            layer = _stepped(layer, _gradients(layer, x[rows], y[rows]), adam, step)
        error = float(np.square(_layer(layer, x_aside) - y_aside).mean())
        since = 0 if error < best else since + 1
        if error < best:
            best, kept = error, layer
        if since == _PATIENCE:
            break
    return Fitted(Map.MLP, width, {**_float32(weight=weight, bias=bias), **kept})


def _layer(layer: Mapping[str, Floats], x: Floats) -> Floats:
    return np.asarray(np.maximum(x @ layer["hidden"] + layer["hidden_bias"], 0) @ layer["out"])


def _gradients(layer: Mapping[str, Floats], x: Floats, y: Floats) -> dict[str, Floats]:
    """Return the gradient of half the squared error of a text, the mean over texts."""
    active = np.maximum(x @ layer["hidden"] + layer["hidden_bias"], 0)
    error = (active @ layer["out"] - y) / np.float32(len(x))
    back = (error @ layer["out"].T) * (active > 0)
    return {"hidden": x.T @ back, "hidden_bias": back.sum(0), "out": active.T @ error}


def _stepped(
    layer: Mapping[str, Floats],
    gradients: Mapping[str, Floats],
    adam: dict[str, tuple[Floats, Floats]],
    step: int,
) -> dict[str, Floats]:
    """Return the layer after a step of Adam, whose means are kept in `adam`."""
    moved = {}
    for name, values in layer.items():
        mean: Any = np.float32(0.9) * adam[name][0] + np.float32(0.1) * gradients[name]
        square: Any = np.float32(0.999) * adam[name][1] + np.float32(0.001) * np.square(gradients[name])
        adam[name] = mean, square
        rate = np.float32(_RATE * (1 - 0.999**step) ** 0.5 / (1 - 0.9**step))
        moved[name] = (values - rate * mean / (np.sqrt(square) + np.float32(1e-8))).astype(np.float32)
    return moved


def _float32(**weights: npt.NDArray[Any]) -> dict[str, Floats]:
    return {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in weights.items()}
