"""Verify good graphs, and catch each kind of bad one in the stage that is there for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the export extra")

from exports import after_pooling, edited, noisy
from onnx import TensorProto, helper

from mirrorkit import SentenceEncoder
from mirrorkit.bundle import Graph, Precision
from mirrorkit.errors import ConfigError
from mirrorkit.layout import Pooling
from mirrorkit.verification.measure import neighbour_overlap, parity, spearman
from mirrorkit.verification.problem import Problem, Stage
from mirrorkit.verification.texts import AWKWARD, even_sample, verification_texts
from mirrorkit.verification.thresholds import THRESHOLDS, Thresholds, thresholds_for
from mirrorkit.verification.verify import ALL_LIMITS, Contract, Reference, Verification, verify_graph

LOOSE = Thresholds(cosine_min=-1, cosine_p1=-1, cosine_mean=-1, max_abs=2, spearman=-1, overlap=0, invariance=1e-3)


class Case:
    """A model, its graph, and its vectors."""

    def __init__(self, folder: Path, model: Path) -> None:
        from mirrorkit.exporter.graph import export_onnx

        self.encoder = SentenceEncoder.load(model, pooling="mean")
        self.file = folder / "model.onnx"
        export_onnx(self.encoder, self.file)
        texts = verification_texts([f"the {word} number {n}" for n in range(75) for word in ("a", "bb", "ccc")], 64)
        self.texts = [*texts, *(f"{text} again" for text in texts[:20])]
        self.reference = Reference(self.encoder.tokenize(self.texts), self.encoder.encode(self.texts))
        self.contract = Contract(self.encoder.dim, self.encoder.max_length, Pooling.MEAN, 0)

    def verify(self, file: Path | None = None, limits: Thresholds = THRESHOLDS[Precision.FP32], **more: Any) -> Any:
        kind = more.pop("kind", Graph.ONNX)
        reference = more.pop("reference", self.reference)
        return verify_graph(file or self.file, kind, self.contract, reference, limits, **more)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory, tiny_random: Callable[[str], Path]) -> Case:
    return Case(tmp_path_factory.mktemp("graph"), tiny_random("bert"))


def stages(verified: Verification) -> set[Stage]:
    return {problem.stage for problem in verified.problems}


def test_a_true_graph_passes_and_everything_is_measured(case: Case) -> None:
    verified = case.verify()
    assert verified.problems == ()
    assert verified.passed
    assert set(verified.figures) == set(ALL_LIMITS)
    assert verified.figures["cosine_min"] > 0.999999
    assert 0 < verified.figures["max_abs"] < 1e-5
    report = verified.report()
    assert report["allowed"] == THRESHOLDS[Precision.FP32].limits()
    assert report["texts"] == len(case.texts) >= 256
    assert report["overridden"] == []


@pytest.mark.parametrize("amount", [1e-3, 3e-2])
def test_a_perturbed_weight_is_caught_by_the_numbers(case: Case, tmp_path: Path, amount: float) -> None:
    verified = case.verify(edited(case.file, tmp_path / "m.onnx", noisy(amount)))
    assert stages(verified) == {Stage.NUMBERS}
    (largest,) = (p for p in verified.problems if p.what == "max_abs")
    assert isinstance(largest.measured, float)
    assert largest.measured > 1e-4
    assert largest.allowed == "at most 0.0001"


def test_another_pooling_is_caught_by_the_numbers(case: Case) -> None:
    case.encoder.pooling = Pooling.CLS
    try:
        reference = Reference(case.reference.ids, case.encoder.encode(case.texts))
    finally:
        case.encoder.pooling = Pooling.MEAN
    assert stages(case.verify(reference=reference)) == {Stage.NUMBERS}


def test_pooling_that_consumers_cannot_repeat_is_caught(case: Case) -> None:
    case.contract = replace(case.contract, pooling=Pooling.MAX)
    try:
        verified = case.verify()
    finally:
        case.contract = replace(case.contract, pooling=Pooling.MEAN)
    assert [p.what for p in verified.problems] == ["sentence_embedding against max pooling of last_hidden_state"]


def test_missing_normalisation_is_caught_by_the_numbers(case: Case, tmp_path: Path) -> None:
    longer = edited(case.file, tmp_path / "m.onnx", after_pooling(("Mul", ["x", "three"], {})))
    verified = case.verify(longer, LOOSE)
    assert "distance of a vector's length from 1" in [p.what for p in verified.problems]
    assert stages(verified) == {Stage.NUMBERS}


def test_a_graph_that_looks_at_the_batch_is_caught_by_invariance(case: Case, tmp_path: Path) -> None:
    looks = after_pooling(
        ("ReduceMax", ["x"], {"keepdims": 0}),  # over the whole batch
        ("Mul", ["x", "little"], {}),
        ("Add", ["raw_embedding", "x"], {}),
        ("LpNormalization", ["x"], {"axis": -1, "p": 2}),
    )
    verified = case.verify(edited(case.file, tmp_path / "m.onnx", looks), LOOSE)
    assert stages(verified) == {Stage.INVARIANCE, Stage.NUMBERS}
    assert [p.what for p in verified.problems if p.stage is Stage.NUMBERS] == [
        "sentence_embedding against mean pooling of last_hidden_state"
    ]
    assert verified.figures["invariance"] > 1e-3


def test_a_graph_that_sees_its_padding_is_caught_by_invariance(case: Case, tmp_path: Path) -> None:
    """The mask of the first layer is inverted for nobody but padding: all tokens are seen."""

    def blind(model: Any) -> None:
        ones = [
            helper.make_node("Shape", ["attention_mask"], ["mask_shape"]),
            helper.make_node(
                "ConstantOfShape",
                ["mask_shape"],
                ["all_ones"],
                value=helper.make_tensor("one", TensorProto.INT64, [1], [1]),
            ),
        ]
        for node in model.graph.node:
            names = ["all_ones" if name == "attention_mask" else name for name in node.input]
            del node.input[:]
            node.input.extend(names)
        for position, node in enumerate(ones):
            model.graph.node.insert(position, node)

    verified = case.verify(edited(case.file, tmp_path / "m.onnx", blind))
    assert Stage.INVARIANCE in stages(verified)


def test_random_numbers_are_caught_by_determinism(case: Case, tmp_path: Path) -> None:
    shaken = after_pooling(
        ("RandomNormalLike", ["x"], {"scale": 1e-5}),
        ("Add", ["raw_embedding", "x"], {}),
    )
    verified = case.verify(edited(case.file, tmp_path / "m.onnx", shaken), LOOSE)
    assert stages(verified) == {Stage.DETERMINISM}


def test_no_number_is_caught_before_anything_is_measured(case: Case, tmp_path: Path) -> None:
    nothing = after_pooling(("Sub", ["x", "x"], {}), ("Div", ["x", "x"], {}))
    verified = case.verify(edited(case.file, tmp_path / "m.onnx", nothing), LOOSE)
    assert [(p.what, p.measured) for p in verified.problems] == [
        ("vectors with values that are no numbers", len(case.texts))
    ]


def swap_outputs(model: Any) -> None:
    first, second = (model.graph.output.pop() for _ in range(2))
    model.graph.output.extend([first, second])


def rename_input(model: Any) -> None:
    for node in model.graph.node:
        names = ["ids" if name == "input_ids" else name for name in node.input]
        del node.input[:]
        node.input.extend(names)
    model.graph.input[0].name = "ids"


def fix_batch(model: Any) -> None:
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 2


def name_axis(model: Any) -> None:
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"


def drop_hidden(model: Any) -> None:
    del model.graph.output[0]


@pytest.mark.parametrize("change", [swap_outputs, rename_input, fix_batch, name_axis, drop_hidden])
def test_other_names_order_or_axes_break_the_contract(
    case: Case, tmp_path: Path, change: Callable[[Any], None]
) -> None:
    verified = case.verify(edited(case.file, tmp_path / "m.onnx", change))
    assert stages(verified) == {Stage.CONTRACT}
    assert verified.figures == {}
    for problem in verified.problems:
        assert isinstance(problem.measured, str)
        assert problem.measured != problem.allowed


def lie_about_width(model: Any) -> None:
    model.graph.output[1].type.tensor_type.shape.dim[1].dim_value = 33


def foreign_operator(model: Any) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    for node in model.graph.node:
        if node.op_type == "Gelu":
            node.domain = "com.microsoft"


def weights_elsewhere(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret")


def unconnected(model: Any) -> None:
    model.graph.node[-1].input[0] = "nowhere"


@pytest.mark.parametrize("change", [lie_about_width, foreign_operator, weights_elsewhere, unconnected])
def test_a_graph_that_is_not_sound_is_not_run(case: Case, tmp_path: Path, change: Callable[[Any], None]) -> None:
    import onnx

    model = onnx.load(str(case.file))
    change(model)
    file = tmp_path / "m.onnx"
    file.write_bytes(model.SerializeToString())
    verified = case.verify(file)
    assert stages(verified) == {Stage.GRAPH}
    assert verified.figures == {}


@pytest.mark.parametrize("keep", [0, 1000, 0.5])
def test_a_damaged_file_is_one_problem(case: Case, tmp_path: Path, keep: float) -> None:
    whole = case.file.read_bytes()
    file = tmp_path / "m.onnx"
    file.write_bytes(whole[: int(len(whole) * keep) if keep < 1 else int(keep)])
    assert stages(case.verify(file)) == {Stage.GRAPH}


def test_too_few_texts_prove_nothing(case: Case) -> None:
    few = Reference(case.encoder.tokenize(case.texts[:50]), case.reference.vectors[:50])
    (problem,) = case.verify(reference=few).problems
    assert (problem.stage, problem.measured, problem.allowed) == (Stage.NUMBERS, 50, "at least 256")


def test_a_problem_says_what_was_measured_and_what_is_allowed() -> None:
    problem = Problem(Stage.NUMBERS, "max_abs", 0.25, "at most 0.1", where="int8")
    assert problem.line() == "int8: max_abs: 0.25 (allowed: at most 0.1)"
    assert problem.as_dict()["severity"] == "error"


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
    looser = list(THRESHOLDS.values())
    assert all(a.cosine_min > b.cosine_min and a.max_abs < b.max_abs for a, b in pairwise(looser))


def test_rank_correlation_is_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(3)
    a, b = random.integers(0, 40, 500) / 10, random.normal(size=500).round(3)
    b = (b + a).round(3)
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)
    assert spearman(a, np.ones(500)) == 0.0


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
