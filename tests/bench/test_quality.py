"""The quality figures of the benchmark, on models whose vectors are made up and so known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mirrorkit.bench.measure import quality
from mirrorkit.bench.measure.candidates import Candidate
from mirrorkit.bench.measure.plan import BenchPlan, Budget
from mirrorkit.bench.measure.quality import QualityRun, measure_quality
from mirrorkit.bench.measure.workload import Workload
from mirrorkit.bench.result import Interval, SetScore
from mirrorkit.errors import ConfigError, CorpusError, ModelError
from mirrorkit.evaluation.cut import Cut
from mirrorkit.evaluation.knn import LabelledTexts, score_knn
from mirrorkit.evaluation.pairs import GradedPairs, score_pairs
from mirrorkit.evaluation.search import SearchSet, score_search
from mirrorkit.evaluation.sets import QuerySet
from mirrorkit.formats.bundle import Bundle
from mirrorkit.text.ragged import Floats, Ints, RaggedIds

DIM = 16
BUDGET = Budget("try", seconds=1, min_rounds=2, max_rounds=2, texts=4, calls=3, resamples=100)
PLAN = BenchPlan(BUDGET, threads=1, seed=0)
LONGEST = 8  # tokens
REPEATED = "again " * 20


class MadeUp:
    """Vectors from the words of a text; `spoil` changes them."""

    max_length = 64
    pad_id = 0

    def __init__(self, spoil: Callable[[Floats], Floats], sees_company: float) -> None:
        self.spoil = spoil
        self.sees_company = sees_company  # change by whoever else is in the batch
        self.encoded: list[str] = []
        self.dim = DIM

    def encode(self, texts: Sequence[str], on_progress: Callable[[int], None] | None = None) -> Floats:
        self.encoded += texts
        if on_progress:
            on_progress(len(texts))
        return self.spoil(np.stack([self._vector(self._ids(text)) for text in texts]))

    def ids(self, texts: Sequence[str]) -> RaggedIds:
        return RaggedIds.from_blocks([[self._ids(text) for text in texts]])

    def batch(self, input_ids: Ints, mask: Ints) -> Floats:
        vectors = np.stack([self._vector(row[kept == 1].tolist()) for row, kept in zip(input_ids, mask, strict=True)])
        return vectors if len(vectors) == 1 else vectors + np.float32(self.sees_company)

    def _ids(self, text: str) -> list[int]:
        return [sum(word.encode()) % 500 for word in text.split()] or [0]

    def _vector(self, ids: list[int]) -> Floats:
        wide = np.sum([np.random.default_rng(i).normal(size=DIM) for i in ids], axis=0)
        return np.asarray(wide / float(np.linalg.norm(wide)), dtype=np.float32)


def candidate(name: str, precision: str = "fp32") -> Candidate:
    return Candidate(name, f"/{name}", "", precision, "torch", 1, True)


def noise(amount: float) -> Callable[[Floats], Floats]:
    """Return a spoiler that keeps the vectors' length at 1."""

    def spoil(vectors: Floats) -> Floats:
        moved = vectors + np.random.default_rng(7).normal(0, amount, vectors.shape)
        return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), dtype=np.float32)

    return spoil


@pytest.fixture
def workload() -> Workload:
    words = [f"word{i}" for i in range(40)]
    sets = []
    for name in ("one", "two"):
        data = GradedPairs(name, [], [], [])
        for i in range(60):
            left = [words[(i * 7 + j) % 40] for j in range(6)]
            right = [*left[: i % 7], *(words[(i * 11 + 3 * j + 1) % 40] for j in range(6 - i % 7))]
            data.append(float(i % 7), f"{name} {' '.join(left)}", f"{name} {' '.join(right)} {i}")
        sets.append(data)
    sets[0].append(6.0, REPEATED, REPEATED + "and once more")
    graded = list(dict.fromkeys(text for data in sets for side in (data.left, data.right) for text in side))
    return Workload(sets, graded, [*graded[10:], "a stray sentence", "and another one"], graded[:4])


@pytest.fixture
def measured(workload: Workload, monkeypatch: pytest.MonkeyPatch) -> Callable[..., QualityRun]:
    """Return a function that measures sources with the model that each one's name has in `models`."""

    def measure(models: dict[str, Any], *others: Candidate) -> QualityRun:
        monkeypatch.setattr(quality, "open_model", lambda one, threads: models[one.name])
        return measure_quality([candidate("baseline"), *others], PLAN, workload, LONGEST)

    return measure


def as_is(vectors: Floats) -> Floats:
    return vectors


def test_the_same_vectors_differ_in_nothing(measured: Callable[..., QualityRun], workload: Workload) -> None:
    model = MadeUp(as_is, 0.0)
    found = measured({"baseline": model, "fp32": MadeUp(as_is, 0.0)}, candidate("fp32")).qualities
    base, own = found["baseline"], found["fp32"]
    assert (base.set_differences, base.average_difference, base.golden_cosine_min) == ({}, None, None)
    assert own.sts == base.sts
    assert [(i.low, i.value, i.high) for i in own.set_differences.values()] == [(0, 0, 0)] * 2
    assert own.average_difference is not None
    assert own.average_difference.value == 0
    for figure in (own.cosine_mean, own.cosine_p1, own.cosine_min, own.neighbours):
        assert figure == pytest.approx(1.0, abs=1e-6)
    assert own.invariance == 0
    assert sorted(model.encoded) == sorted(set(model.encoded)) == sorted(workload.texts)  # each of them once


def test_scores_are_those_of_eval(measured: Callable[..., QualityRun], workload: Workload) -> None:
    found = measured({"baseline": MadeUp(as_is, 0.0)}).qualities["baseline"]
    expected = {name: score.spearman for name, score in score_pairs(MadeUp(as_is, 0.0), workload.sets).items()}
    assert found.sts == pytest.approx(expected, abs=1e-9)
    assert found.sts_average == pytest.approx(sum(expected.values()) / 2)


def test_noise_in_the_vectors_shows_in_every_figure(measured: Callable[..., QualityRun]) -> None:
    models = {"baseline": MadeUp(as_is, 0.0), "fp16": MadeUp(noise(0.02), 0.0), "fp32": MadeUp(noise(0.3), 0.01)}
    found = measured(models, candidate("fp16", "fp16"), candidate("fp32")).qualities
    little, much = found["fp16"], found["fp32"]
    assert 1 > little.cosine_mean > 0.99
    assert 0.8 > much.cosine_mean > much.cosine_p1 >= much.cosine_min
    assert 1 > little.neighbours > much.neighbours
    assert much.invariance == pytest.approx(0.01, rel=1e-3)
    assert much.average_difference is not None
    assert much.average_difference.high < 0
    for name, interval in much.set_differences.items():
        assert interval.low < interval.value == pytest.approx(much.sts[name] - found["baseline"].sts[name])


def test_vectors_that_are_not_of_length_one_show(measured: Callable[..., QualityRun]) -> None:
    models = {"baseline": MadeUp(as_is, 0.0), "fp32": MadeUp(lambda vectors: 5 * vectors, 0.0)}
    found = measured(models, candidate("fp32")).qualities
    assert found["fp32"].cosine_mean == pytest.approx(5)
    assert found["fp32"].sts == pytest.approx(found["baseline"].sts)


def test_texts_of_one_token_are_left_out_in_eight_bits_alone(measured: Callable[..., QualityRun]) -> None:
    def lost(vectors: Floats) -> Floats:  # a text that says repeats one token may end up anywhere
        towards = np.abs(vectors @ MadeUp(as_is, 0.0).encode(["again"])[0]) > 0.9
        return np.where(towards[:, None], -vectors, vectors)

    models = {"baseline": MadeUp(as_is, 0.0), "int8": MadeUp(lost, 0.0), "fp32": MadeUp(lost, 0.0)}
    found = measured(models, candidate("int8", "int8"), candidate("fp32"))
    assert found.left_out == {"baseline": 0, "int8": 2, "fp32": 0}
    assert found.qualities["int8"].cosine_min > 0.999
    assert found.qualities["fp32"].cosine_min < -0.999


def test_a_graph_that_stands_in_for_the_baseline_is_encoded_once(
    workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def open_once(one: Candidate, threads: int) -> MadeUp:
        opened.append(one.name)
        return MadeUp(as_is, 0.0)

    monkeypatch.setattr(quality, "open_model", open_once)
    monkeypatch.setattr(quality, "_golden", lambda *_: 0.5)
    same = [Candidate(name, "/b", "onnx/model.onnx", "fp32", "onnx", 1, True) for name in ("baseline", "fp32")]
    found = measure_quality(same, PLAN, workload, LONGEST).qualities
    assert opened == ["baseline"]
    assert found["fp32"].golden_cosine_min == 0.5


def test_baselines_that_cannot_be_compared_are_refused(measured: Callable[..., QualityRun]) -> None:
    narrow = MadeUp(lambda vectors: vectors[:, :4], 0.0)
    with pytest.raises(ConfigError, match="`baseline` has 4 dimensions, fp32 has 16"):
        measured({"baseline": narrow, "fp32": MadeUp(as_is, 0.0)}, candidate("fp32"))
    short = MadeUp(as_is, 0.0)
    short.max_length = 4
    with pytest.raises(ConfigError, match=r"lengths 8: .* takes at most 4 tokens"):
        measured({"baseline": short})


def test_vectors_of_no_numbers_and_texts_of_no_use_are_refused(measured: Callable[..., QualityRun]) -> None:
    with pytest.raises(ModelError, match="/baseline: gives vectors that hold NaN or infinity"):
        measured({"baseline": MadeUp(lambda vectors: vectors * np.float32("nan"), 0.0)})
    monotone = MadeUp(as_is, 0.0)
    monotone.ids = lambda texts: RaggedIds.from_blocks([[[7] * 30 for _ in texts]])  # type: ignore[method-assign]
    with pytest.raises(CorpusError, match="repeats one token"):
        measured({"baseline": MadeUp(as_is, 0.0), "int8": monotone}, candidate("int8", "int8"))


def test_progress_is_told_by_text(workload: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[object, ...]] = []

    class Told:
        def phase(self, name: str) -> None:
            told.append((name,))

        def advance(self, done: int, total: int | None, figures: str = "") -> None:
            told.append((done, total))

    monkeypatch.setattr(quality, "open_model", lambda one, threads: MadeUp(as_is, 0.0))
    measure_quality([candidate("baseline")], PLAN, workload, LONGEST, Told())
    count = len(workload.texts)
    assert told == [("quality: baseline",), (count, count), ("comparing the vectors",)]


def test_search_and_labels_are_scored_as_by_eval_and_compared_by_query(
    measured: Callable[..., QualityRun], workload: Workload
) -> None:
    texts = workload.graded
    search = SearchSet(
        "drawn",
        queries={f"q{i}": texts[i] for i in range(40)},
        documents={f"d{i}": text for i, text in enumerate(texts[40:120])},
        relevant={f"q{i}": {f"d{2 * i}": 1} for i in range(40)},
    )
    labels = LabelledTexts("drawn", texts[:60], [text.split()[1] for text in texts[:60]], None)
    workload.tasks.extend([QuerySet("retrieval", search), QuerySet("knn", labels)])
    models = {"baseline": MadeUp(as_is, 0.0), "fp32": MadeUp(as_is, 0.0), "int8": MadeUp(noise(0.5), 0.0)}
    found = measured(models, candidate("fp32"), candidate("int8", "int8")).qualities
    base, same, spoilt = (found[name].tasks for name in ("baseline", "fp32", "int8"))
    assert list(base) == ["retrieval:drawn", "knn:drawn"]
    scores = score_search(MadeUp(as_is, 0.0), search)
    assert base["retrieval:drawn"] == SetScore("retrieval", "ndcg_at_10", 40, scores.ndcg_at_10.value, None)
    assert base["knn:drawn"].score == score_knn(MadeUp(as_is, 0.0), labels).accuracy.value
    for name, one in same.items():
        assert (one.score, one.difference) == (base[name].score, Interval(0, 0, 0))
    for name, one in spoilt.items():
        assert one.difference is not None
        assert one.difference.low < one.difference.value == pytest.approx(one.score - base[name].score)
    assert found["fp32"].retrieval_difference == Interval(0, 0, 0)
    assert (found["int8"].knn_difference, found["int8"].search_difference) == (spoilt["knn:drawn"].difference, None)


def stretched(vectors: Floats) -> Floats:
    """Return vectors of other directions, each changed alike whatever stands beside it."""
    moved = vectors * np.linspace(1, 3, vectors.shape[1], dtype=np.float32)
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), dtype=np.float32)


def test_cut_vectors_score_as_short_vectors_do(
    workload: Workload, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    models = {"baseline": MadeUp(as_is, 0.0), "int8": MadeUp(stretched, 0.0), "static": MadeUp(as_is, 0.0)}
    monkeypatch.setattr(quality, "open_model", lambda one, threads: models[one.name])
    bundle = Bundle(tmp_path, "bert", DIM, 64, "mean", 0, {}, {}, truncate_dims=(3, 8))
    monkeypatch.setattr(quality, "_goldens", lambda chosen: {})
    others = [replace(candidate("int8", "int8"), bundle=bundle), replace(candidate("static", "static"), bundle=bundle)]
    found = measure_quality([candidate("baseline"), *others], PLAN, workload, LONGEST).qualities
    assert not found["static"].cuts  # which is another model
    for name in ("baseline", "int8"):
        assert list(found[name].cuts) == ["3", "8"]
        for length, cut in found[name].cuts.items():
            expected = {
                one: s.spearman for one, s in score_pairs(Cut(models[name], int(length)), workload.sets).items()
            }
            assert cut.sts == pytest.approx(expected, abs=0.1)  # unit length is taken in single precision there
            assert cut.difference.value == pytest.approx(cut.sts_average - found[name].sts_average)
            assert cut.difference.low <= cut.difference.value <= cut.difference.high
    plain = replace(bundle, truncate_dims=())
    without = [replace(one, bundle=plain) for one in others]
    measured = measure_quality([candidate("baseline"), *without], PLAN, workload, LONGEST).qualities
    assert [one.cuts for one in measured.values()] == [{}, {}, {}]
