"""The interval of a time that was measured in a few rounds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from mirrorkit.bench.result import Interval

# Student's t, two-sided 95 %, for 1, 2, … degrees of freedom; an expansion about the normal's serves beyond.
_T95 = (12.70620, 4.30265, 3.18245, 2.77645, 2.57058, 2.44691, 2.36462, 2.30600, 2.26216, 2.22814)
_Z95 = 1.959964


def t95(freedom: int) -> float:
    """Return how many standard errors a 95 % interval reaches to either side, for that many degrees of freedom."""
    if freedom <= len(_T95):
        return _T95[freedom - 1]
    z = _Z95
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def over_rounds(values: Sequence[float]) -> Interval:
    """Return the median of one positive figure a round, at least two rounds, with its 95 % interval.

    Calls within a process share its luck (memory layout, clock, neighbours), so a round counts as one observation.
    The interval is Student's t on the logarithms: with so few rounds a bootstrap over them would be far too narrow.
    """
    assert len(values) > 1
    assert min(values) > 0
    logs = [math.log(value) for value in values]
    middle, median = statistics.fmean(logs), statistics.median(values)
    reach = t95(len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return Interval(median, min(median, math.exp(middle - reach)), max(median, math.exp(middle + reach)))


def inverse(interval: Interval, numerator: float) -> Interval:
    """Return `numerator` over the figure: the rate that belongs to a time."""
    return Interval(numerator / interval.value, numerator / interval.high, numerator / interval.low)


def width(interval: Interval) -> float:
    """Return how far the interval reaches to either side, as a share of the figure."""
    return (interval.high - interval.low) / 2 / interval.value
