"""Hold votes of neighbours and V-measure to scikit-learn, k-means to data whose clusters are known."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.evaluation.clusters import kmeans, v_measure
from mirrorkit.evaluation.knn import LabelledTexts, evaluate_knn, knn_scores, read_labelled, score_knn
from tests.evaluation.fakes import Drawn


def labelled(count: int, classes: int, *, split: bool, seed: int = 0) -> LabelledTexts:
    rng = np.random.default_rng(seed)
    labels = [f"label {n}" for n in rng.integers(0, classes, count)]
    scored = (rng.random(count) < 0.4).tolist() if split else None
    return LabelledTexts("drawn", [f"text {i}" for i in range(count)], labels, scored)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("classes", [2, 5, 30])
def test_votes_are_those_of_scikit_learn(classes: int, split: bool) -> None:
    neighbors = pytest.importorskip("sklearn.neighbors", reason="needs scikit-learn")
    data, encoder = labelled(300, classes, split=split), Drawn()
    vectors, labels = encoder.unit(data.texts).astype(np.float64), np.array(data.labels)
    expected = []
    for row in range(len(labels)):
        if split and not data.scored[row]:  # type: ignore[index]
            continue
        pool = ~np.array(data.scored) if split else np.arange(len(labels)) != row
        model = neighbors.KNeighborsClassifier(10, metric="cosine").fit(vectors[pool], labels[pool])
        expected.append(float(model.predict(vectors[row : row + 1])[0] == labels[row]))
    assert knn_scores(encoder, data).tolist() == expected
    score = score_knn(encoder, data)
    assert score.accuracy.value == pytest.approx(100 * float(np.mean(expected)), abs=1e-6)
    assert score.accuracy.low < score.accuracy.value < score.accuracy.high
    assert (score.texts, score.classes) == (len(expected), classes)
    assert score.searched == (300 - len(expected) if split else 300)


@pytest.mark.parametrize("seed", range(20))
def test_v_measure_is_that_of_scikit_learn(seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn")
    rng = np.random.default_rng(seed)
    labels, clusters = rng.integers(0, rng.integers(1, 9), 80), rng.integers(0, rng.integers(1, 9), 80)
    if seed % 3 == 0:
        clusters = np.where(rng.random(80) < 0.8, labels, clusters)
    assert v_measure(labels, clusters) == pytest.approx(metrics.v_measure_score(labels, clusters), abs=1e-9)
    assert v_measure(labels, labels) == pytest.approx(1)


def test_k_means_finds_clusters_that_lie_apart_the_same_ones_for_a_seed() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 400)
    vectors = (np.eye(8)[truth] + rng.normal(0, 0.05, (400, 8))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = [kmeans(vectors, 4, seed) for seed in range(10)]
    assert np.median([v_measure(truth, clusters) for clusters in found]) == pytest.approx(1)
    assert (kmeans(vectors, 4, 3) == found[3]).all()


def test_k_means_is_as_good_as_that_of_scikit_learn() -> None:
    cluster = pytest.importorskip("sklearn.cluster", reason="needs scikit-learn")
    vectors = Drawn().unit([f"text {i}" for i in range(500)])

    def spread(assigned: object) -> float:
        groups = [vectors[np.asarray(assigned) == c].astype(np.float64) for c in range(6)]
        return sum(float(np.square(group - group.mean(axis=0)).sum()) for group in groups)

    ours = [spread(kmeans(vectors, 6, seed)) for seed in range(10)]
    theirs = [spread(cluster.KMeans(6, n_init=1, random_state=seed).fit_predict(vectors)) for seed in range(10)]
    assert np.mean(ours) == pytest.approx(np.mean(theirs), rel=0.03)


def test_vectors_that_are_all_one_point_make_no_trouble() -> None:
    assert set(kmeans(np.ones((12, 3), np.float32), 3, 0)) == {0, 1, 2}


def rows(count: int = 12) -> list[str]:
    return [f"text {i}\t{'cats' if i % 3 else 'dogs'}" for i in range(count)]


def write(file: Path, lines: list[str]) -> Path:
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_the_formats(tmp_path: Path) -> None:
    plain = read_labelled(write(tmp_path / "a.tsv", rows()))
    assert (plain.name, plain.texts[1], plain.labels[:2], plain.scored) == ("a", "text 1", ["dogs", "cats"], None)
    commas = [f'"text {i}, and more",{label}' for i, label in enumerate(plain.labels)]
    assert read_labelled(write(tmp_path / "a.csv", commas)).texts[1] == "text 1, and more"
    named = ["id\tLabel\tText", *(f"7\t{label}\t{text}" for text, label in zip(plain.texts, plain.labels, strict=True))]
    read = read_labelled(write(tmp_path / "b.tsv", named))
    assert (read.texts, read.labels) == (plain.texts, plain.labels)


def test_a_split_and_what_repeats(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    split = [f"{row}\t{'train' if i < 12 else 'Test' if i < 16 else 'dev'}" for i, row in enumerate(rows(18))]
    with caplog.at_level(logging.WARNING, "mirrorkit"):
        data = read_labelled(write(tmp_path / "a.tsv", [*split, split[0]]))
    assert data.scored == [False] * 12 + [True] * 4
    assert len(data.texts) == 16
    assert "1 rows repeat one before them and are dropped" in caplog.text
    score = evaluate_knn(Drawn(), tmp_path / "a.tsv")
    assert (score.texts, score.searched, score.classes) == (4, 12, 2)


BAD = {
    "one label": ([f"text {i}\tcats" for i in range(12)], "12 texts with 1 label; at least 2 labels are needed"),
    "empty": ([], "0 texts with 0 label"),
    "header alone": (["text\tlabel"], "0 texts with 0 label"),
    "few": (rows(10), "10 texts to score, each among 9; there must be one and 10 at least"),
    "no test": ([f"{row}\ttrain" for row in rows()], "0 texts to score, each among 12"),
    "one label to score": (
        [*(f"{row}\ttrain" for row in rows()), "a\tcats\ttest", "b\tcats\ttest"],
        "all 2 texts of the split test have one label",
    ),
    "no such split": (
        [f"{row}\theld out" for row in rows()],
        "line 1: the split 'held out' must be train, test or dev",
    ),
    "one column": (["text"] * 12, "line 1: has 1 columns, wanted text, label and perhaps split, or a header"),
    "ragged": ([*rows(), "alone"], "line 13: has 1 tab-separated columns, wanted 2"),
    "blank text": ([*rows(), " \tcats"], "line 13: the text is blank"),
    "blank label": ([*rows(), "text\t "], "line 13: the label is blank"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_wrong_with_a_file_is_named(tmp_path: Path, kind: str) -> None:
    lines, complaint = BAD[kind]
    file = write(tmp_path / "a.tsv", lines)
    with pytest.raises(CorpusError, match=complaint) as caught:
        read_labelled(file)
    assert str(caught.value).startswith(str(file))
    with pytest.raises(CorpusError, match="no such file of labelled texts"):
        read_labelled(tmp_path / "none.tsv")


def test_neighbours_that_there_are_not() -> None:
    with pytest.raises(ConfigError, match="neighbours 30: must be from 1 to the 30 texts that are searched"):
        score_knn(Drawn(), labelled(30, 2, split=False), neighbours=30)
