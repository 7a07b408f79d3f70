"""The graph that TensorRT is given: one output, standard operators, typed, and the same vectors in ONNX Runtime."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the export extra")
import onnx
import onnx_ir as ir

from mirrorkit.errors import BundleError, ConfigError, ExportError
from mirrorkit.exporter.pipeline import export
from mirrorkit.exporter.tensorrt import graph as tensorrt_graph
from mirrorkit.exporter.tensorrt.graph import SourceGraph, choose_variant, source_graph
from mirrorkit.exporter.tensorrt.proof import prove, reference_of
from mirrorkit.formats import bundle as bundles
from mirrorkit.formats.bundle import INPUTS, MANIFEST, Bundle, Graph, read_bundle
from mirrorkit.formats.engine import OUTPUT, Ids, Precision
from mirrorkit.runtime.session import open_session
from mirrorkit.verification.problem import Stage
from mirrorkit.verification.proof import WITHOUT_RANKS, Reference
from tests.exports import edited, noisy, traced_once

FLOAT, HALF, INT32, INT64 = (getattr(onnx.TensorProto, name) for name in ("FLOAT", "FLOAT16", "INT32", "INT64"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, tiny_random: Callable[[str], Path]) -> Iterator[Bundle]:
    with traced_once(tmp_path_factory):
        folder = tmp_path_factory.mktemp("graph") / "bundle"
        export(tiny_random("bert"), folder, precision=["fp32", "fp16"], optimize=False)
        yield read_bundle(folder)


@pytest.fixture(scope="module")
def reference(bundle: Bundle) -> Reference:
    return reference_of(bundle)


@pytest.fixture(scope="module")
def only_fp32(bundle: Bundle) -> Bundle:
    return replace(bundle, variants={"fp32": bundle.variants["fp32"]})


def types_of(graph: SourceGraph) -> dict[str, int]:
    """Return the element type of every value of the graph, as strict shape inference finds it."""
    model = onnx.shape_inference.infer_shapes(onnx.load(str(graph.file)), check_type=True, strict_mode=True)
    values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    kinds = {value.name: value.type.tensor_type.elem_type for value in values}
    return kinds | {tensor.name: tensor.data_type for tensor in model.graph.initializer}


def nodes_of(graph: SourceGraph) -> list[Any]:
    return list(onnx.load(str(graph.file)).graph.node)


@pytest.mark.parametrize("ids", list(Ids))
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_it_takes_ids_and_gives_the_pooled_vector_alone(
    bundle: Bundle, reference: Reference, tmp_path: Path, precision: str, ids: Ids
) -> None:
    graph = source_graph(bundle, Precision(precision), ids, tmp_path)
    model = onnx.load(str(graph.file)).graph
    assert [value.name for value in model.output] == [OUTPUT]
    assert [value.name for value in model.input] == list(INPUTS)
    kinds = types_of(graph)
    assert {kinds[name] for name in INPUTS} == {INT32 if ids is Ids.INT32 else INT64}
    assert kinds[OUTPUT] == FLOAT
    assert graph.variant == precision
    proof = prove(open_session(graph.file), bundle, reference, Precision(precision))
    assert proof.problems == ()
    assert proof.texts > 256
    assert proof.figures["max_abs"] < (1e-5 if precision == "fp32" else 2e-3)


def test_half_precision_keeps_the_delicate_parts_in_full(bundle: Bundle, tmp_path: Path) -> None:
    graph = source_graph(bundle, Precision.FP16, Ids.INT64, tmp_path)
    kinds = types_of(graph)
    of_kind: dict[str, Counter[int]] = {}
    for node in nodes_of(graph):
        of_kind.setdefault(node.op_type, Counter()).update(kinds[name] for name in node.output)
    assert set(of_kind["MatMul"]) == {HALF}
    for operator in ("LayerNormalization", "ReduceL2"):
        assert set(of_kind[operator]) == {FLOAT}
    summed = [node for node in nodes_of(graph) if node.op_type == "Div"]
    assert {kinds[name] for node in summed[-2:] for name in node.output} == {FLOAT}  # pooling, then normalising
    for node in nodes_of(graph):
        floats = {kinds[name] for name in node.input if kinds.get(name) in (FLOAT, HALF)}
        assert len(floats) <= 1, node.name


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_nothing_but_the_mask_stands_between_scores_and_softmax(bundle: Bundle, tmp_path: Path, precision: str) -> None:
    nodes = nodes_of(source_graph(bundle, Precision(precision), Ids.INT64, tmp_path))
    makers = {name: node for node in nodes for name in node.output}
    softmaxes = [node for node in nodes if node.op_type == "Softmax"]
    assert len(softmaxes) == 2  # one a layer
    for softmax in softmaxes:
        masked = makers[softmax.input[0]]
        assert masked.op_type == "Add"
        (scores,) = (makers[name] for name in masked.input if makers[name].op_type == "MatMul")
        assert makers[scores.input[0]].op_type == "Mul"  # the queries, scaled


def test_half_precision_can_be_made_of_the_fp32_graph(
    bundle: Bundle, only_fp32: Bundle, reference: Reference, tmp_path: Path
) -> None:
    made = source_graph(only_fp32, Precision.FP16, Ids.INT64, tmp_path)
    assert made.variant == "fp32"
    assert list(made.files) == ["onnx/model.onnx"]
    assert Counter(types_of(made).values())[HALF] > 20
    assert made.file.stat().st_size < 0.7 * bundle.files["onnx/model.onnx"].bytes
    assert prove(open_session(made.file), bundle, reference, Precision.FP16).passed


def test_a_graph_that_gives_other_vectors_does_not_pass(bundle: Bundle, reference: Reference, tmp_path: Path) -> None:
    graph = source_graph(bundle, Precision.FP32, Ids.INT64, tmp_path)
    spoilt = edited(graph.file, tmp_path / "spoilt.onnx", noisy(0.05))
    proof = prove(open_session(spoilt), bundle, reference, Precision.FP32)
    assert {problem.stage for problem in proof.problems} == {Stage.NUMBERS}
    assert proof.worst is not None
    assert prove(open_session(spoilt), bundle, reference, Precision.FP32, own_limits={"max_abs": 2.0}).problems


class Odd:
    """A session that answers as `answer` says."""

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self.answer = answer

    def batch(self, input_ids: Any, attention_mask: Any) -> Any:
        return self.answer(input_ids)


def test_what_no_vector_may_be_is_named(bundle: Bundle, reference: Reference) -> None:
    nothing = Odd(lambda ids: np.full((len(ids), bundle.dim), np.nan, dtype=np.float32))
    (problem,) = prove(nothing, bundle, reference, Precision.FP32).problems
    assert "NaN or infinity" in problem.what
    narrow = Odd(lambda ids: np.zeros((len(ids), 3), dtype=np.float32))
    (problem,) = prove(narrow, bundle, reference, Precision.FP32).problems
    assert problem.what == "shape of the vectors"
    random = np.random.default_rng(0)
    restless = Odd(lambda ids: random.normal(size=(len(ids), bundle.dim)).astype(np.float32))
    stages = {problem.stage for problem in prove(restless, bundle, reference, Precision.FP32).problems}
    assert stages == {Stage.NUMBERS, Stage.INVARIANCE, Stage.DETERMINISM}
    (problem,) = prove(restless, bundle, reference, Precision.FP32, longest=1).problems
    assert problem.what == "texts to measure on"


def test_only_on_a_gpu_may_the_batch_move_int8_by_more_than_a_thousandth(bundle: Bundle, reference: Reference) -> None:
    known = {tuple(row): vector for row, vector in zip(_rows(reference), reference.vectors, strict=True)}

    def moved(by: float) -> Odd:
        def answer(ids: Any) -> Any:  # as a GPU does, whose sums come in another order for another shape
            rows = [tuple(row[row != bundle.pad_token_id].tolist()) for row in ids]
            vectors = np.stack([known.get(row, np.eye(bundle.dim)[0]) for row in rows]).astype(np.float32)
            vectors[:, 0] += by * (len(ids) % 2)
            return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

        return Odd(answer)

    def stages(by: float, *, on_gpu: bool) -> set[Stage]:
        found = prove(moved(by), bundle, reference, Precision.INT8, on_gpu=on_gpu)
        return {problem.stage for problem in found.problems}

    assert Stage.INVARIANCE not in stages(0.02, on_gpu=True)
    assert Stage.INVARIANCE in stages(0.02, on_gpu=False)
    assert Stage.INVARIANCE in stages(0.09, on_gpu=True)


def _rows(reference: Reference) -> list[list[int]]:
    return [reference.ids[row].tolist() for row in range(len(reference.ids))]


def test_without_the_fp32_graph_the_golden_texts_are_what_there_is(bundle: Bundle, tmp_path: Path) -> None:
    alone = replace(bundle, variants={"fp16": bundle.variants["fp16"]})
    reference = reference_of(alone)
    assert len(reference.ids) == 64
    graph = source_graph(alone, Precision.FP16, Ids.INT64, tmp_path)
    proof = prove(open_session(graph.file), alone, reference, Precision.FP16)
    assert proof.passed
    assert set(WITHOUT_RANKS) <= set(proof.figures)


def test_a_bundle_of_int8_alone_is_refused(bundle: Bundle) -> None:
    int8 = replace(bundle.variants["fp32"], name="int8", precision=bundles.Precision.INT8)
    with pytest.raises(ConfigError, match="is made of fp16 or fp32: export the bundle with fp16"):
        choose_variant(replace(bundle, variants={"int8": int8}), Precision.FP16)
    fused = replace(bundle.variants["fp32"], graph=Graph.ONNXRUNTIME)
    with pytest.raises(ConfigError, match="an fp32 engine is made of fp32"):
        choose_variant(replace(bundle, variants={"fp32": fused}), Precision.FP32)
    with pytest.raises(ConfigError, match="an int8 engine is made of int8: export the bundle with int8"):
        choose_variant(bundle, Precision.INT8)
    with pytest.raises(ConfigError, match="an fp8 engine is made of int8: export the bundle with int8"):
        choose_variant(bundle, Precision.FP8)


def test_operators_that_tensorrt_does_not_know_are_named() -> None:
    from onnx import helper

    nodes = [
        helper.make_node("MatMulInteger", ["a", "b"], ["c"]),
        helper.make_node("MatMulInteger", ["a", "c"], ["d"]),
        helper.make_node("MatMulNBits", ["d"], ["e"], domain="com.microsoft"),
        helper.make_node("Add", ["d", "e"], ["f"]),
    ]
    model = helper.make_model(helper.make_graph(nodes, "g", [], []))
    with pytest.raises(ExportError, match=r"x\.onnx: .* operators MatMulInteger \(2\), com\.microsoft\.MatMulNBits"):
        tensorrt_graph.check_operators(ir.from_proto(model), "x.onnx")
    del nodes[:3]
    plain = helper.make_model(helper.make_graph(nodes, "g", [], []))
    tensorrt_graph.check_operators(ir.from_proto(plain), "x.onnx")


def test_a_changed_source_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    forged = json.loads((bundle.folder / MANIFEST).read_text(encoding="utf-8"))["files"]["onnx/model.onnx"]
    file = replace(bundle.files["onnx/model.onnx"], sha256="0" * 64)
    assert forged["sha256"] != file.sha256
    with pytest.raises(BundleError, match="changed or damaged"):
        source_graph(
            replace(bundle, files={**bundle.files, "onnx/model.onnx": file}), Precision.FP32, Ids.INT64, tmp_path
        )
