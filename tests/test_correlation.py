"""Hold the correlations to scipy's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mirrorkit.correlation import pearson, ranks, spearman

stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize("digits", [0, 1, 3])
def test_correlations_are_those_of_scipy_ties_included(digits: int) -> None:
    random = np.random.default_rng(3)
    a = random.integers(0, 40, 500) / 10
    b = (random.normal(size=500) + a).round(digits)
    assert ranks(b) + 1 == pytest.approx(stats.rankdata(b))
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)
    assert pearson(a, b) == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-12)


def test_a_constant_row_has_no_correlation() -> None:
    a, same = np.arange(5.0), np.ones(5)
    for correlation in (spearman, pearson):
        assert correlation(a, same) == correlation(same, a) == 0.0
        assert math.isnan(correlation(a, same, undefined=math.nan))
