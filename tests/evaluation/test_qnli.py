"""Hold the ranking of question pairs to counting by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

stats = pytest.importorskip("scipy.stats", reason="needs the train extra")

from mirrorkit.errors import CorpusError
from mirrorkit.evaluation.qnli import (
    QuestionPairs,
    area_under_curve,
    best_threshold,
    read_qnli,
    score_qnli,
)


class Circle:
    """Read a string as an angle; the cosine of two strings is that of the angle between."""

    def encode(self, texts: Sequence[str], /) -> npt.NDArray[np.float32]:
        return np.array([[math.cos(float(t)), math.sin(float(t))] for t in texts], np.float32)


def counted(cosines: Sequence[float], answers: Sequence[bool]) -> float:
    wins = [
        (a > b) + (a == b) / 2
        for a, yes in zip(cosines, answers, strict=True)
        for b, no in zip(cosines, answers, strict=True)
        if yes and not no
    ]
    return sum(wins) / len(wins)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("steps", [4, 1000])
def test_auc_is_the_share_of_pairs_in_order_and_ties_count_half(seed: int, steps: int) -> None:
    rng = np.random.default_rng(seed)
    cosines, answers = rng.integers(0, steps, 60) / steps, rng.random(60) < 0.4
    assert area_under_curve(cosines, answers) == pytest.approx(counted(cosines.tolist(), answers.tolist()))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("steps", [3, 1000])
def test_the_threshold_is_the_lowest_of_the_best(seed: int, steps: int) -> None:
    rng = np.random.default_rng(seed)
    cosines, answers = rng.integers(0, steps, 25) / steps, rng.random(25) < 0.5
    distinct = sorted(set(cosines.tolist()))
    cuts = [-1.0, *((a + b) / 2 for a, b in pairwise(distinct)), 2.0]
    correct = [sum((c >= cut) == yes for c, yes in zip(cosines, answers, strict=True)) for cut in cuts]
    assert best_threshold(cosines, answers) == pytest.approx(cuts[correct.index(max(correct))])


@pytest.mark.parametrize(("answer", "threshold"), [(True, -1.0), (False, 2.0)])
def test_a_half_of_one_label_gets_a_threshold_that_says_so(answer: bool, threshold: float) -> None:
    assert best_threshold(np.array([0.1, 0.9]), np.array([answer, answer])) == threshold


def circle_pairs(count: int, seed: int) -> QuestionPairs:
    rng = np.random.default_rng(seed)
    answers = (rng.random(count) < 0.5).tolist()
    angles = [f"{rng.normal(0.5 if yes else 1.2, 0.4):.4f}" for yes in answers]
    return QuestionPairs("circle", ["0"] * count, angles, answers)


def test_the_accuracy_is_of_the_half_that_did_not_choose_the_threshold() -> None:
    pairs = circle_pairs(301, seed=3)
    score = score_qnli(Circle(), pairs, seed=7)
    cosines = [round(math.cos(float(angle)), 6) for angle in pairs.sentence]
    order = np.random.default_rng(7).permutation(301).tolist()
    dev, test = order[:150], order[150:]
    threshold = best_threshold(np.array([cosines[i] for i in dev]), np.array([pairs.answers[i] for i in dev]))
    right = sum((cosines[i] >= threshold) == pairs.answers[i] for i in test)
    assert score.threshold == pytest.approx(threshold, abs=2e-6)
    assert score.accuracy == pytest.approx(100 * right / 151)
    assert score.auc == pytest.approx(100 * counted(cosines, pairs.answers), abs=0.05)
    assert score.pairs == 301
    assert 60 < score.accuracy < 100


def test_a_perfect_encoder_scores_100_and_one_point_50() -> None:
    pairs = QuestionPairs("p", ["0"] * 40, ["0.1", "1.5"] * 20, [True, False] * 20)
    assert (score_qnli(Circle(), pairs).accuracy, score_qnli(Circle(), pairs).auc) == (100, 100)
    blind = QuestionPairs("p", ["0"] * 40, ["1"] * 40, [True, False] * 20)
    assert score_qnli(Circle(), blind).auc == 50


GLUE = 'index\tquestion\tsentence\tlabel\n0\tWho "did?\tHe did.\tentailment\n1\tWhen?\tThere.\tnot_entailment\n'


def test_glue_plain_and_csv_files_are_read(tmp_path: Path) -> None:
    glue, plain, commas = tmp_path / "dev.tsv", tmp_path / "plain.tsv", tmp_path / "dev.csv"
    glue.write_text(GLUE, encoding="utf-8")
    plain.write_text("".join(line.partition("\t")[2] for line in GLUE.splitlines(True)[1:]), encoding="utf-8")
    commas.write_text(
        'label,sentence,question\nentailment,He did.,"Who ""did?"\nNot_Entailment,There.,When?\n', encoding="utf-8"
    )
    for file in (glue, plain, commas):
        pairs = read_qnli(file)
        assert pairs.question == ['Who "did?', "When?"]
        assert pairs.sentence == ["He did.", "There."]
        assert pairs.answers == [True, False]
        assert pairs.name == file.stem


BAD = {
    "number": ("q\ts\t1\n", "line 1: the label '1' must be entailment or not_entailment; 0 and 1 mean opposite"),
    "unknown": (GLUE + "2\tq\ts\tmaybe\n", "line 4: the label 'maybe' must be entailment or not_entailment"),
    "width": (GLUE + "2\tq\tentailment\n", "line 4: has 3 tab-separated columns, wanted 4"),
    "one label": ("q\ts\tentailment\nr\tt\tentailment\n", "2 pairs; both labels are needed"),
    "empty": ("", "0 pairs; both labels are needed"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_row_is_named(tmp_path: Path, case: str) -> None:
    content, complaint = BAD[case]
    file = tmp_path / "dev.tsv"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(CorpusError) as caught:
        score_qnli(Circle(), read_qnli(file))
    assert complaint in str(caught.value)
    assert str(caught.value).startswith(str(file))
