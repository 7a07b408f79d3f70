"""What cutting vectors to the lengths that a bundle names costs: on its golden texts, and on the graded pairs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mirrorkit.assets.paths import GRADED
from mirrorkit.correlation import DIGITS, spearman
from mirrorkit.errors import BundleError
from mirrorkit.formats.bundle import Bundle, Variant
from mirrorkit.formats.golden import Goldens
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.text.ragged import Floats

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CutFigures:
    """Vectors of the first `dim` components beside whole ones.

    `spearman` is the rank correlation of the cosines of all pairs of golden texts with those of the whole vectors.
    `graded` is the agreement with people on the shipped graded pairs, Spearman × 100, by the variant `variant`, and
    `graded_whole` that of its whole vectors; all three are None where no graph could be run.
    """

    dim: int
    whole: int  # components of a whole vector
    spearman: float
    graded: float | None = None
    graded_whole: float | None = None
    variant: str | None = None

    def line(self) -> str:
        """Return what is told of it for people."""
        told = f"first {self.dim} of {self.whole}: order of cosines {self.spearman:.4f}"
        if self.graded is None or self.graded_whole is None:
            return told
        lost = self.graded - self.graded_whole
        return f"{told}, graded pairs {self.graded:.1f} ({lost:+.1f}, {self.variant})"


def measure_cuts(bundle: Bundle, goldens: Goldens, chosen: list[Variant]) -> tuple[CutFigures, ...]:
    """Measure each of the bundle's `truncate_dims`; the graded pairs by the first of `chosen` that `auto` prefers.

    A vector of which nothing is left has no direction, and pairs with it count as unlike.
    """
    dims = bundle.truncate_dims
    upper = np.triu_indices(len(goldens.vectors), k=1)

    def cosines(dim: int) -> Array:
        short = _unit(goldens.vectors[:, :dim])
        return np.asarray((short @ short.T)[upper].round(DIGITS))

    whole = cosines(bundle.dim)
    found = [CutFigures(dim, bundle.dim, spearman(cosines(dim), whole)) for dim in dims]
    usable = [variant for variant in bundle.preferred("cpu") if variant in chosen]
    if not usable:
        return tuple(found)
    name = usable[0].name
    try:
        scores, left, right = _graded(Encoder(bundle.folder, name))
    except BundleError:  # told already, where the graph was run
        return tuple(found)

    def graded(dim: int) -> float:
        products = (_unit(left[:, :dim]) * _unit(right[:, :dim])).sum(axis=1)
        return 100 * spearman(products.round(DIGITS), scores)

    of_all = graded(bundle.dim)
    return tuple(replace(one, graded=graded(one.dim), graded_whole=of_all, variant=name) for one in found)


def _graded(encoder: Encoder) -> tuple[list[float], Floats, Floats]:
    """Return human scores and the vectors of both sides of the graded pairs."""
    rows = [row.split("\t") for row in GRADED.read_text(encoding="utf-8").splitlines()]
    left, right = (encoder.encode([row[side] for row in rows]) for side in (1, 2))
    return [float(row[0]) for row in rows], left, right


def _unit(vectors: Floats) -> Array:
    wide = vectors.astype(np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))
