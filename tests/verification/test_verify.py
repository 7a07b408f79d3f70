"""Verify good graphs, and catch each kind of bad one in the stage that is there for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the export extra")

from onnx import TensorProto, helper

from mirrorkit import SentenceEncoder
from mirrorkit.formats.bundle import Graph, Precision
from mirrorkit.formats.plain import plain
from mirrorkit.formats.pooling import Pooling
from mirrorkit.text.awkward import verification_texts
from mirrorkit.verification.problem import Problem, Stage
from mirrorkit.verification.proof import ALL_LIMITS, Reference, Verification
from mirrorkit.verification.thresholds import THRESHOLDS, Thresholds
from mirrorkit.verification.verify import Contract, verify_graph
from tests.exports import after_pooling, edited, noisy

LOOSE = Thresholds(cosine_min=-1, cosine_p1=-1, cosine_mean=-1, max_abs=2, spearman=-1, overlap=0, invariance=1e-3)


class Case:
    """A model, its graph, and its vectors."""

    def __init__(self, folder: Path, model: Path) -> None:
        from mirrorkit.exporter.graph.trace import export_onnx

        self.encoder = SentenceEncoder.load(model, pooling="mean")
        self.file = folder / "model.onnx"
        export_onnx(self.encoder, self.file)
        texts = verification_texts([f"the {word} number {n}" for n in range(75) for word in ("a", "bb", "ccc")], 64)
        self.texts = [*texts, *(f"{text} again" for text in texts[:20])]
        self.reference = Reference(self.encoder.tokenize(self.texts), self.encoder.encode(self.texts))
        self.contract = Contract(self.encoder.dim, self.encoder.max_length, Pooling.MEAN, 0, self.encoder.width)

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
        ("vectors with NaN or infinity in them", len(case.texts))
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
    assert plain(problem)["severity"] == "error"
