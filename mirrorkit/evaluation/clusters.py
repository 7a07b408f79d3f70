"""k-means and the V-measure of its clusters, in numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mirrorkit.text.ragged import Floats

Labels = npt.NDArray[np.intp]

_ROUNDS = 100
_BLOCK = 1 << 22  # products held at a time: 16 MB


def kmeans(vectors: Floats, clusters: int, seed: int) -> Labels:
    """Return the cluster of each of `vectors`, float32 [n, dim], from starts drawn by `seed` as k-means++ does.

    Lloyd's rounds go on until no vector changes sides, 100 at most. A cluster that loses all its vectors takes the one
    that is farthest from its centre.
    """
    random = np.random.default_rng(seed)
    centres: Floats = _starts(vectors, clusters, random)
    assigned = np.full(len(vectors), -1)
    for _ in range(_ROUNDS):
        before, (assigned, distance) = assigned, _assign(vectors, centres)
        for cluster in np.setdiff1d(np.arange(clusters), assigned):
            shared = np.bincount(assigned, minlength=clusters)[assigned] > 1  # none may be left empty in its stead
            assigned[np.where(shared, distance, -np.inf).argmax()] = cluster
        if (assigned == before).all():
            break
        order = np.argsort(assigned, kind="stable")
        first = np.searchsorted(assigned[order], np.arange(clusters))
        sizes = np.bincount(assigned, minlength=clusters)
        sums = np.add.reduceat(vectors[order], first, axis=0)
        centres = (sums / sizes[:, None]).astype(np.float32)
    return assigned


def _starts(vectors: Floats, clusters: int, random: np.random.Generator) -> Floats:
    """Draw centres one after another, each with a chance that grows with the squared distance to those before it."""
    chosen = [int(random.integers(len(vectors)))]
    distance = np.full(len(vectors), np.inf)
    for _ in range(1, clusters):
        distance = np.minimum(distance, np.square(vectors - vectors[chosen[-1]]).sum(axis=1, dtype=np.float64))
        total = distance.sum()
        chances = distance / total if total > 0 else None  # all vectors are one: any will do
        chosen.append(int(random.choice(len(vectors), p=chances)))
    return vectors[chosen]


def _assign(vectors: Floats, centres: Floats) -> tuple[Labels, Floats]:
    """Return the nearest centre of each vector, and the squared distance to it less the vector's own square."""
    squares = np.square(centres).sum(axis=1)
    size = max(1, _BLOCK // len(centres))
    assigned = np.empty(len(vectors), np.intp)
    distance = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), size):
        far = squares - 2 * (vectors[start : start + size] @ centres.T)
        assigned[start : start + size] = far.argmin(axis=1)
        distance[start : start + size] = far.min(axis=1)
    return assigned, distance


def v_measure(labels: Labels, clusters: Labels) -> float:
    """Return the harmonic mean of homogeneity and completeness, 0 to 1 (Rosenberg & Hirschberg 2007).

    Homogeneity is 1 less the entropy of labels within clusters over that of labels, completeness the same the other way
    round, each 1 where there is no entropy to begin with.
    """
    table = np.zeros((labels.max() + 1, clusters.max() + 1))
    np.add.at(table, (labels, clusters), 1)
    table /= len(labels)
    by_label, by_cluster = _entropy(table.sum(axis=1)), _entropy(table.sum(axis=0))
    shared = by_label + by_cluster - _entropy(table.ravel())
    homogeneity = shared / by_label if by_label else 1.0
    completeness = shared / by_cluster if by_cluster else 1.0
    both = homogeneity + completeness
    return max(0.0, 2 * homogeneity * completeness / both) if both > 0 else 0.0


def _entropy(shares: npt.NDArray[np.float64]) -> float:
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum()) if len(shares) > 1 else 0.0
