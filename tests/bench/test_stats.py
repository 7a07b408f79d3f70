"""The intervals of the benchmark: held against scipy, and against data whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from mirrorkit.bench.measure.stats import (
    inverse,
    over_rounds,
    t95,
    width,
)
from mirrorkit.bench.result import Interval
from mirrorkit.correlation import spearman
from mirrorkit.evaluation.intervals import quantile_interval, resampled_spearman


def test_students_t_is_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for freedom in (*range(1, 40), 100, 1000):
        assert t95(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-4)


@pytest.mark.parametrize("rounds", [2, 3, 5, 12])
def test_the_interval_over_rounds_holds_the_truth_19_times_in_20(rounds: int) -> None:
    random = np.random.default_rng(rounds)
    runs = 3 * np.exp(random.normal(0, 0.05, (2000, rounds)))
    found = [over_rounds(run.tolist()) for run in runs]
    held = np.mean([one.low <= 3 <= one.high for one in found])
    assert 0.935 < held < 0.97
    assert all(one.low <= one.value <= one.high for one in found)


def test_the_figure_over_rounds_is_the_median_and_lies_in_its_interval() -> None:
    found = over_rounds([1.0, 1.0, 1.0, 9.0])
    assert (found.value, found.low < 1 < found.high) == (1.0, True)
    still = over_rounds([2.0, 2.0, 2.0])
    assert (still.low, still.high) == pytest.approx((2.0, 2.0))


def test_rates_and_widths() -> None:
    time = Interval(0.5, 0.4, 0.8)
    assert inverse(time, 2) == Interval(4.0, 2.5, 5.0)
    assert width(time) == pytest.approx(0.4)


def test_resamples_are_those_that_drawing_rows_gives() -> None:
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(1)
    gold = random.integers(0, 6, 60)
    measured = {"a": (gold + random.normal(size=60)).round(1), "b": random.normal(size=60)}
    found = resampled_spearman(gold, measured, resamples=40, seed=9)
    drawn = np.random.default_rng(9).integers(0, 60, (40, 60))
    for name, values in measured.items():
        expected = [stats.spearmanr(gold[rows], values[rows]).statistic for rows in drawn]
        np.testing.assert_allclose(found[name], expected, atol=1e-12)


def test_resamples_do_not_depend_on_how_many_are_held_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    gold, measured = np.arange(50.0), {"a": np.random.default_rng(0).normal(size=50)}
    whole = resampled_spearman(gold, measured, resamples=30, seed=2)["a"]
    monkeypatch.setattr("mirrorkit.evaluation.intervals._BLOCK", 50 * 7)
    np.testing.assert_array_equal(resampled_spearman(gold, measured, resamples=30, seed=2)["a"], whole)


def test_a_resample_of_one_value_alone_correlates_with_nothing() -> None:
    found = resampled_spearman([0.0, 1.0], {"a": np.array([0.0, 1.0])}, resamples=50, seed=0)["a"]
    assert set(found.tolist()) == {0.0, 1.0}


def test_the_interval_of_a_difference_holds_the_truth_and_pairing_narrows_it() -> None:
    random = np.random.default_rng(0)
    held, narrower = 0, 0
    for trial in range(150):
        truth = random.normal(size=200)
        shared = truth + random.normal(size=200)
        subjects = {name: shared + random.normal(0, 0.2, 200) for name in ("a", "b")}  # equally good, alike
        gold = truth.round(1)
        drawn = resampled_spearman(gold, subjects, resamples=200, seed=trial)
        apart = resampled_spearman(gold, {"b": subjects["b"]}, resamples=200, seed=1000 + trial)
        difference = spearman(gold, subjects["a"]) - spearman(gold, subjects["b"])
        paired = quantile_interval(difference, drawn["a"] - drawn["b"])
        unpaired = quantile_interval(difference, drawn["a"] - apart["b"])
        held += paired.low <= 0 <= paired.high
        narrower += paired.high - paired.low < 0.6 * (unpaired.high - unpaired.low)
    assert 0.89 < held / 150 < 0.99
    assert narrower > 140
