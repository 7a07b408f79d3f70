"""The figures and limits of verification, held against known answers. No torch and no graph here."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from mirrorkit.errors import ConfigError
from mirrorkit.formats.bundle import Precision
from mirrorkit.text.awkward import AWKWARD, even_sample, verification_texts
from mirrorkit.verification.measure import neighbour_overlap, parity
from mirrorkit.verification.thresholds import THRESHOLDS, thresholds_for


@pytest.mark.parametrize(
    "overrides", [{"cosine": 0.5}, {"cosine_min": 1.5}, {"cosine_mean": float("nan")}, {"max_abs": -1.0}]
)
def test_limits_that_make_no_sense_are_refused(overrides: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="threshold"):
        thresholds_for(Precision.INT8, overrides)


def test_overridden_limits_are_recorded() -> None:
    limits = thresholds_for(Precision.INT8, {"cosine_min": 0.5, "max_abs": 1.0})
    assert (limits.cosine_min, limits.max_abs, limits.overridden) == (0.5, 1.0, ("cosine_min", "max_abs"))
    assert limits.cosine_mean == THRESHOLDS[Precision.INT8].cosine_mean
    looser = [THRESHOLDS[precision] for precision in Precision if precision is not Precision.STATIC]
    assert all(a.cosine_p1 > b.cosine_p1 and a.cosine_mean > b.cosine_mean for a, b in pairwise(looser))


def test_overlap_counts_true_neighbours_and_forgives_ties() -> None:
    true = np.array([[1, 0.9, 0.5, 0.1], [0.9, 1, 0.2, 0.2], [0.5, 0.2, 1, 0.3], [0.1, 0.2, 0.3, 1]])
    assert neighbour_overlap(true, true, 2) == 1.0
    found = true.copy()
    found[0, 1], found[0, 3] = 0.1, 0.9  # of the two nearest of text 0 one is lost
    found[1, 2], found[1, 3] = 0.1, 0.3  # which of two equally near ones is taken is no loss
    assert neighbour_overlap(found, true, 2) == pytest.approx(7 / 8)


def test_parity_of_turned_vectors_is_known() -> None:
    vectors = np.eye(4, dtype=np.float32)
    turned = vectors.copy()
    turned[0, :2] = [0.8, 0.6]
    measured = parity(turned, vectors)
    assert measured.cosine_min == pytest.approx(0.8)
    assert measured.cosine_mean == pytest.approx(0.95)
    assert measured.max_abs == pytest.approx(0.6)
    assert measured.length_error == pytest.approx(0, abs=1e-6)


def test_texts_are_awkward_and_distinct() -> None:
    texts = verification_texts([f"text {n % 300}" for n in range(1000)], 64)
    assert len(texts) == len(set(texts)) == len(AWKWARD) + 1 + 256
    assert {"", "a", "[SEP] </s>"} <= set(texts)
    assert max(map(len, texts)) > 64 * 4
    assert even_sample(["a", "b", "a"], 5) == ["a", "b"]
    assert even_sample([str(n) for n in range(10)], 5) == ["0", "2", "4", "6", "8"]
