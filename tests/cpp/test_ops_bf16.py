"""libmirrorkit_ops in bf16: what its operator computes, beside numpy, and what an encoder that asks for it gives."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from mirrorkit import check
from mirrorkit.bench.run import run_bench
from mirrorkit.cli.app import app
from mirrorkit.errors import ConfigError
from mirrorkit.formats.bundle import record_files
from mirrorkit.runtime.encoder import Encoder
from tests.bundles import add_goldens, bundle_of
from tests.conftest import REAL_TEXTS
from tests.cpp.encoder_layer import Array, layer_of
from tests.cpp.test_ops import batch, kernels, layers_in, opened
from tests.lookups import SHAPES, work_here

pytestmark = pytest.mark.cpp
onnx = pytest.importorskip("onnx", reason="needs the export extra")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")

KIND = "EncoderLayerBf16"
# Hidden, heads, inner. Rows of 64 bytes, which tiles take, in all matrices, in some, in none; panels full and not.
SIZES = [(128, 4, 192), (96, 3, 200), (48, 3, 70)]


@pytest.fixture(scope="module")
def library(built: Path) -> Path:
    found = built / "ops" / "libmirrorkit_ops.so"
    if not kernels(found, "bf16"):
        pytest.skip("this processor does not multiply in bf16")
    return found


def narrowed(values: Array) -> Array:
    """Return values as bf16 has them, in float64: the upper 16 bits of a float, to the nearest, to even of two."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.uint64)
    upper = (bits + 0x7FFF + (bits >> np.uint64(16) & np.uint64(1))) >> np.uint64(16) << np.uint64(16)
    return upper.astype(np.uint32).view(np.float32).astype(np.float64)


def layer(hidden: int, inner: int, *, between: bool = False) -> dict[str, Array]:
    """Return constants of a layer by name, in the order of its inputs; `between` two bf16 each weight."""
    draw = np.random.default_rng(0)

    def weight(rows: int, columns: int) -> Array:
        if between:  # 1 + (2 k + 1) / 256: bf16 has steps of 1 / 128 there
            values = (1 + (2 * draw.integers(0, 64, (rows, columns)) + 1) / 256) * draw.choice([-1, 1], (rows, columns))
        else:
            values = draw.normal(0, 1, (rows, columns))
        found: Array = (values * 2.0 ** -round(np.log2(rows) / 2)).astype(np.float32)
        return found

    def row(columns: int, mean: float = 0, spread: float = 0.3) -> Array:
        return draw.normal(mean, spread, columns).astype(np.float32)

    found = {f"in.{part}": weight(hidden, hidden) for part in ("queries", "keys", "values")}
    found["in.bias"] = row(3 * hidden)
    for name, (rows, columns) in {"out": (hidden, hidden), "up": (hidden, inner), "down": (inner, hidden)}.items():
        found |= {f"{name}.weight": weight(rows, columns), f"{name}.bias": row(columns)}
    for name in ("first", "second"):
        found |= {f"{name}.gamma": row(hidden, 1, 0.2), f"{name}.beta": row(hidden)}
    return found


def reference(of: dict[str, Array], x: Array, heads: int) -> Array:
    """Return the layer of one text [length, hidden]: operands of products rounded to bf16, all the rest in float64."""

    def product(values: Array, name: str) -> Array:
        parts = [f"in.{part}" for part in ("queries", "keys", "values")] if name == "in" else [f"{name}.weight"]
        found: Array = narrowed(values) @ np.concatenate([narrowed(of[part]) for part in parts], axis=1)
        return found + of[f"{name}.bias"]

    return layer_of(x, heads, product, of)


@pytest.mark.parametrize("between", [False, True])
@pytest.mark.parametrize(("hidden", "heads", "inner"), SIZES)
def test_every_length_comes_out_as_numpy_has_it(
    library: Path, monkeypatch: pytest.MonkeyPatch, hidden: int, heads: int, inner: int, between: bool
) -> None:
    constants = layer(hidden, inner, between=between)
    x, mask = batch([*range(1, 40), 63, 64, 65, 130], hidden=hidden)
    wanted = [reference(constants, row[: kept.sum()], heads) for row, kept in zip(x, mask, strict=True)]
    for name in kernels(library, "bf16"):
        monkeypatch.setenv("MIRRORKIT_OPS_KERNELS", name)
        (y,) = opened(library, constants, heads=heads, kind=KIND).run(None, {"x": x, "mask": mask})
        wrong = np.concatenate(
            [np.abs(row[: len(right)] - right).ravel() for row, right in zip(y, wanted, strict=True)]
        )
        # What lies at the very edge between two bf16 in a step before may go to either side: 2^-8 of one operand.
        assert np.median(wrong) < 2e-4, name
        assert wrong.max() < 0.02, name
        assert not any(row[kept == 0].any() for row, kept in zip(y, mask, strict=True))


@pytest.mark.parametrize(("hidden", "heads", "inner"), SIZES)
def test_a_text_is_the_same_alone_and_among_others_every_bit(
    library: Path, monkeypatch: pytest.MonkeyPatch, hidden: int, heads: int, inner: int
) -> None:
    constants = layer(hidden, inner)
    lengths = [1, 7, 33, 2, 64, 18, 5, 100, 26, 3, 15, 16, 17, 48]
    x, mask = batch(lengths, hidden=hidden)
    found = {}
    for name in kernels(library, "bf16"):
        monkeypatch.setenv("MIRRORKIT_OPS_KERNELS", name)
        one, two = (opened(library, constants, threads=threads, heads=heads, kind=KIND) for threads in (1, 2))
        (found[name],) = one.run(None, {"x": x, "mask": mask})
        assert np.array_equal(two.run(None, {"x": x, "mask": mask})[0], found[name])
        for i, length in enumerate(lengths):
            alone = {"x": x[i : i + 1, :length], "mask": mask[i : i + 1, :length]}
            for session in (one, two):
                assert np.array_equal(session.run(None, alone)[0][0], found[name][i, :length]), (name, length)
    first, *others = found.values()
    for other in others:  # another order of sums
        np.testing.assert_allclose(other, first, rtol=0, atol=0.02)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("in.keys", np.zeros((96, 95), np.float32), "another shape"),
        ("in.queries", np.zeros(96, np.float32), "two axes"),
        ("in.bias", np.zeros(96, np.float32), "another shape"),
        ("out.weight", np.zeros((95, 96), np.float32), "fit together"),
        ("up.weight", np.zeros((96, 200), np.float16), "Type 'tensor.float16.'"),
        ("second.beta", np.zeros(95, np.float32), "another shape"),
    ],
)
def test_constants_that_do_not_fit_are_an_error(library: Path, name: str, value: Array, said: str) -> None:
    with pytest.raises(Exception, match=said):
        opened(library, layer(96, 200) | {name: value}, kind=KIND)


@pytest.fixture(scope="module")
def bundle(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle with fp32 and fp32-fused, of two layers."""
    pytest.importorskip("torch", reason="needs the export extra")
    from mirrorkit import SentenceEncoder
    from mirrorkit.exporter.graph.fusion import fuse

    folder = bundle_of(tiny, ["fp32"], tmp_path_factory)
    config = SentenceEncoder.load(tiny).backbone.config
    fused = folder / "onnx" / "model_fused.onnx"
    heads, hidden = config.num_attention_heads, config.hidden_size
    fuse(folder / "onnx" / "model.onnx", fused, num_heads=heads, hidden_size=hidden)
    manifest = json.loads((folder / "mirrorkit.json").read_text(encoding="utf-8"))
    about = {"graph": "onnxruntime", "file": "onnx/model_fused.onnx", "data_files": ["onnx/model.onnx"]}
    manifest["variants"]["fp32-fused"] = manifest["variants"]["fp32"] | about
    manifest["files"] = {name: asdict(record) for name, record in record_files(folder).items()}
    manifest["preference"] = {"cpu": ["fp32-fused", "fp32"], "cuda": ["fp32"]}
    (folder / "mirrorkit.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def test_an_encoder_gives_nearly_the_vectors_of_fp32(
    library: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    texts = [text for text in REAL_TEXTS if text.strip()]
    without = Encoder(bundle, "fp32-fused", threads=1)
    expected = without.encode(texts)
    monkeypatch.setenv("MIRRORKIT_OPS", str(library))
    assert np.array_equal(Encoder(bundle, "fp32-fused", threads=1).encode(texts), expected)  # not without being asked
    with caplog.at_level("INFO"):
        encoder = Encoder(bundle, precision="bf16", threads=1)
    assert "2 encoder layers run by libmirrorkit_ops.so" in caplog.text
    assert encoder.variant == "ops-bf16"
    assert encoder.fingerprint != without.fingerprint
    vectors = encoder.encode(texts)
    cosines = (vectors * expected).sum(axis=1)
    assert cosines.mean() > 0.9999
    assert cosines.min() > 0.999
    assert not np.array_equal(vectors, expected)
    for again in (Encoder(bundle, "ops-bf16", threads=2), pickle.loads(pickle.dumps(encoder))):
        assert again.variant == "ops-bf16"
        assert np.array_equal(again.encode(texts), vectors)


def test_the_command_says_what_ran(
    library: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MIRRORKIT_OPS", str(library))
    (tmp_path / "texts.txt").write_text("A cat sits on the mat.\n", encoding="utf-8")
    words = ["encode", str(bundle), str(tmp_path / "texts.txt"), "-o", str(tmp_path / "v.npy"), "--precision", "bf16"]
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["variant"] == "ops-bf16"


def test_check_holds_it_to_the_limits_of_bf16(
    library: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    add_goldens(bundle, REAL_TEXTS)
    monkeypatch.delenv("MIRRORKIT_OPS", raising=False)
    without = check(bundle).variants
    assert "fp32-fused" in without
    assert "ops-bf16" not in without
    monkeypatch.setenv("MIRRORKIT_OPS", str(library))
    found = check(bundle)
    assert not [problem for problem in found.problems if problem.where == "ops-bf16"]
    assert set(found.variants) == {*without, "ops-bf16"}
    assert 0.999 < found.variants["ops-bf16"]["cosine_min"] < found.variants["ops-bf16"]["cosine_mean"] < 1


def test_bench_measures_it_beside_the_graph_it_is_made_of(
    library: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRRORKIT_OPS", str(library))
    monkeypatch.setattr("mirrorkit.bench.run.run_worker", work_here)
    result = run_bench(bundle, variants=["fp32-fused"], **SHAPES)
    assert [subject.name for subject in result.subjects] == ["baseline", "fp32-fused", "ops-bf16"]
    found = result.subject("ops-bf16")
    assert found is not None
    assert found.quality is not None
    assert 0.999 < found.quality.cosine_min < 1 - 1e-7


def test_layers_are_those_of_fp32_graphs_alone(library: Path, bundle: Path) -> None:
    fused, plain = (bundle / "onnx" / name for name in ("model_fused.onnx", "model.onnx"))
    found, graph = layers_in(fused.read_bytes(), library, "bf16")
    written = onnx.load_model_from_string(graph).graph.node
    assert found == sum(node.op_type == KIND for node in written) == 2
    assert not any(node.op_type == "MultiHeadAttention" for node in written)
    assert layers_in(fused.read_bytes(), library) == (0, b"")
    assert layers_in(plain.read_bytes(), library, "bf16") == (0, b"")
    assert layers_in(fused.read_bytes(), library, "fp16") == (-1, b"")
    assert kernels(library, "fp16") == []


def test_a_graph_in_which_a_layer_is_something_else_keeps_that_layer(library: Path, bundle: Path) -> None:
    def changed(change: Callable[[Any, Any], None]) -> int:
        model = onnx.load(str(bundle / "onnx" / "model_fused.onnx"), load_external_data=False)
        change(model.graph, next(node for node in model.graph.node if node.op_type == "MultiHeadAttention"))
        return layers_in(model.SerializeToString(), library, "bf16")[0]

    def made(graph: Any, value: str) -> Any:
        return next(node for node in graph.node if value in node.output)

    def causal(_: Any, attention: Any) -> None:
        attention.attribute.append(onnx.helper.make_attribute("unidirectional", 1))

    def shown(graph: Any, attention: Any) -> None:
        graph.output.append(onnx.helper.make_empty_tensor_value_info(attention.input[1]))

    def another_input(graph: Any, attention: Any) -> None:
        made(graph, attention.input[2]).input[0] = "embedding"

    def no_bias(_: Any, attention: Any) -> None:
        attention.input[3] = ""

    def computed(graph: Any, attention: Any) -> None:
        made(graph, attention.input[0]).input[1] = attention.input[1]

    def tanh(graph: Any, _: Any) -> None:
        next(node for node in graph.node if node.op_type == "BiasGelu").op_type = "FastGelu"

    assert changed(lambda *_: None) == 2
    assert [changed(change) for change in (causal, shown, another_input, no_bias, computed, tanh)] == [1] * 6


def test_bytes_that_are_no_graph_are_refused(library: Path, bundle: Path) -> None:
    graph = (bundle / "onnx" / "model_fused.onnx").read_bytes()
    assert layers_in(graph[:-1], library, "bf16") == (-1, b"")
    draw = np.random.default_rng(0)
    for size in draw.integers(1, len(graph), 100):
        spoilt = bytearray(graph)
        for at in draw.integers(0, len(graph), 20):
            spoilt[at] = draw.integers(256)
        for data in (graph[:size], bytes(spoilt)):
            assert -1 <= layers_in(data, library, "bf16")[0] <= 2


def test_what_has_no_such_layers_or_instructions_is_one_line(
    library: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRRORKIT_OPS", str(library))
    monkeypatch.setenv("MIRRORKIT_OPS_KERNELS", "avx2")
    with pytest.raises(
        ConfigError, match="MIRRORKIT_OPS_KERNELS names instructions that this processor lacks for bf16"
    ):
        Encoder(bundle, precision="bf16")
