"""Is work linear, is memory flat? A power law fitted to what was measured, with the interval of its exponent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mirrorkit.extras import require

CONFIDENCE = 0.95
WORK_WITHIN = 0.1  # of the exponent: 1 ± 0.1 is linear, a quarter more or less for a tenfold
MEMORY_WITHIN = 0.02  # 0 ± 0.02 is flat: 5 % more or less for a tenfold


@dataclass(frozen=True)
class Slope:
    """The exponent of a power law y = c · x^slope, with its confidence interval."""

    slope: float
    low: float
    high: float
    points: int

    def __str__(self) -> str:
        return f"{self.slope:.3f} ({self.low:.3f} to {self.high:.3f})"

    def verdict(self, wanted: float, within: float, yes: str) -> str:
        """Return `yes`, `not` and `yes`, or `undecided`.

        The whole interval must lie within the margin for the first and outside of it for the second, as in a test of
        equivalence (Schuirmann 1987, two one-sided tests, at half the error).
        """
        low, high = wanted - within, wanted + within
        if low <= self.low and self.high <= high:
            return yes
        return f"not {yes}" if self.high < low or self.low > high else "undecided"


def fit(sizes: Sequence[float], values: Sequence[float]) -> Slope | None:
    """Return the slope of log(value) over log(size) by least squares, with its interval by Student's t.

    None for fewer than three measurements, or for one size alone: they have no interval.
    """
    if len(sizes) < 3 or len(set(sizes)) < 2:
        return None
    x, y = np.log(np.asarray(sizes, dtype=float)), np.log(np.asarray(values, dtype=float))
    centred = x - x.mean()
    spread = float(centred @ centred)
    slope = float(centred @ y) / spread
    left = y - y.mean() - slope * centred
    deviation = math.sqrt(float(left @ left) / (len(x) - 2) / spread)
    quantile = float(require("scipy.stats", extra="train").t.ppf(0.5 + CONFIDENCE / 2, len(x) - 2))
    return Slope(slope, slope - quantile * deviation, slope + quantile * deviation, len(x))


def each(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return by how much the value grows for one more, by least squares on a line."""
    return float(np.polyfit(np.asarray(sizes, dtype=float), np.asarray(values, dtype=float), 1)[0])
