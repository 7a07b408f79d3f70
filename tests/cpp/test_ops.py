"""libmirrorkit_ops: what its operator computes, beside numpy, and which graphs it is put into."""

from __future__ import annotations

import ctypes
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.formats.bundle import record_files
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.runtime.session import OnnxSession
from tests.bundles import bundle_of
from tests.conftest import REAL_TEXTS
from tests.cpp.building import run, succeed
from tests.cpp.encoder_layer import EPSILON, SCALE, Array, layer_of

pytestmark = pytest.mark.cpp
onnx = pytest.importorskip("onnx", reason="needs the export extra")
ort = pytest.importorskip("onnxruntime", reason="needs the onnx extra")

HIDDEN, HEADS, INNER = 96, 3, 200  # heads of 32 channels; panels and groups of four that are not full
STEPS = {"in": 0.03, "out": 0.02, "up": 0.03, "down": 0.02}  # of a byte of the input


@pytest.fixture(scope="module")
def library(built: Path) -> Path:
    return built / "ops" / "libmirrorkit_ops.so"


def layer(seed: int = 0, *, factors: bool = True, hidden: int = HIDDEN, inner: int = INNER) -> dict[str, Array]:
    """Return the constants of a layer by name, in the order of its inputs."""
    draw = np.random.default_rng(seed)
    found: dict[str, Array] = {}
    products = {"in": (hidden, 3 * hidden), "out": (hidden, hidden), "up": (hidden, inner), "down": (inner, hidden)}
    for name, (rows, columns) in products.items():
        found |= {
            f"{name}.weight": draw.integers(-63, 64, (rows, columns), dtype=np.int8),
            f"{name}.weight_scale": draw.uniform(0.5, 2, columns).astype(np.float32) / np.float32(36 * rows**0.5),
            f"{name}.weight_zero": np.zeros(columns, np.int8),
            f"{name}.bias": draw.normal(0, 0.3, columns).astype(np.float32),
            f"{name}.factors": draw.uniform(0.5, 2, rows).astype(np.float32) if factors else np.array(1, np.float32),
            f"{name}.scale": np.array(STEPS[name], np.float32),
            f"{name}.zero": np.array(draw.integers(100, 150), np.uint8),
        }
    for name in ("first", "second"):
        found[f"{name}.gamma"] = draw.uniform(0.5, 1.5, hidden).astype(np.float32)
        found[f"{name}.beta"] = draw.normal(0, 0.2, hidden).astype(np.float32)
    return found


def opened(
    library: Path, constants: dict[str, Array], *, threads: int = 1, heads: int = HEADS, kind: str = "EncoderLayer"
) -> Any:
    """Return a session of one layer."""
    make = onnx.helper
    node = make.make_node(
        kind,
        ["x", "mask", *constants],
        ["y"],
        domain="mirrorkit",
        num_heads=heads,
        scale=SCALE,
        epsilon=EPSILON,
    )
    x, y = (make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in "xy")
    mask = make.make_tensor_value_info("mask", onnx.TensorProto.INT32, None)
    weights = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
    opsets = [make.make_opsetid("", 20), make.make_opsetid("mirrorkit", 1)]
    model = make.make_model(make.make_graph([node], "g", [x, mask], [y], weights), opset_imports=opsets, ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4
    options.register_custom_ops_library(str(library))
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def reference(constants: dict[str, Array], x: Array) -> Array:
    """Return the layer of one text [length, HIDDEN], in float64, with the same bytes in between."""
    of = {name: array.astype(np.float64) for name, array in constants.items()}

    def product(values: Array, name: str) -> Array:
        scale, zero = of[f"{name}.scale"], of[f"{name}.zero"]
        whole = np.clip(np.round(values * of[f"{name}.factors"] / scale) + zero, 0, 255)
        weight = of[f"{name}.weight"] * of[f"{name}.weight_scale"]
        found: Array = (whole - zero) * scale @ weight + of[f"{name}.bias"]
        return found

    return layer_of(x, HEADS, product, of)


def batch(lengths: list[int], seed: int = 1, hidden: int = HIDDEN) -> tuple[Array, Array]:
    draw = np.random.default_rng(seed)
    x = draw.normal(0, 1, (len(lengths), max(lengths), hidden)).astype(np.float32)
    mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int32)
    return x, mask


def kernels(library: Path, precision: str = "int8") -> list[str]:
    """Return the kinds of arithmetic that this processor can run in a precision."""
    loaded = ctypes.CDLL(str(library))
    loaded.mirrorkit_ops_kernels.restype = ctypes.c_char_p
    found = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("avx512-amx", "avx512-bf16", "avx512-vnni", "avx2", "plain"):
            patch.setenv("MIRRORKIT_OPS_KERNELS", name)
            if loaded.mirrorkit_ops_kernels(precision.encode()) is not None:
                found.append(name)
    return found


@pytest.mark.parametrize("factors", [True, False])
def test_every_length_comes_out_as_numpy_has_it(library: Path, monkeypatch: pytest.MonkeyPatch, factors: bool) -> None:
    constants = layer(factors=factors)
    x, mask = batch([*range(1, 40), 63, 64, 65, 130])
    wanted = [reference(constants, row[: kept.sum()]) for row, kept in zip(x, mask, strict=True)]
    for name in kernels(library):
        monkeypatch.setenv("MIRRORKIT_OPS_KERNELS", name)
        (y,) = opened(library, constants).run(None, {"x": x, "mask": mask})
        for row, kept, right in zip(y, mask, wanted, strict=True):
            # A value at the very edge between two bytes may fall to either side, and its token then differs a little.
            wrong = np.abs(row[: len(right)] - right).max(axis=1)
            assert np.median(wrong) < 2e-5, name
            assert wrong.max() < 0.1, name
            assert not row[kept == 0].any()


def test_a_text_is_the_same_alone_and_among_others_every_bit(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    constants = layer()
    lengths = [1, 7, 33, 2, 64, 18, 5, 100, 26, 3]
    x, mask = batch(lengths)
    for name in kernels(library):
        monkeypatch.setenv("MIRRORKIT_OPS_KERNELS", name)
        one, several = opened(library, constants), opened(library, constants, threads=2)
        (together,) = one.run(None, {"x": x, "mask": mask})
        assert np.array_equal(several.run(None, {"x": x, "mask": mask})[0], together)
        for i, length in enumerate(lengths):
            alone = {"x": x[i : i + 1, :length], "mask": mask[i : i + 1, :length]}
            for session in (one, several):
                assert np.array_equal(session.run(None, alone)[0][0], together[i, :length]), (name, length)


def test_tokens_between_masked_ones_are_as_if_those_were_not_there(library: Path) -> None:
    session = opened(library, layer())
    x, mask = batch([20])
    mask[0, [0, 5, 6, 19]] = 0
    (y,) = session.run(None, {"x": x, "mask": mask})
    kept = mask[0] != 0
    packed = np.ascontiguousarray(x[:, kept])
    (alone,) = session.run(None, {"x": packed, "mask": np.ones(packed.shape[:2], np.int32)})
    assert np.array_equal(y[0, kept], alone[0])
    assert not y[0, ~kept].any()
    (nothing,) = session.run(None, {"x": x, "mask": np.zeros_like(mask)})
    assert not nothing.any()
    (empty,) = session.run(None, {"x": x[:0], "mask": mask[:0]})
    assert empty.shape == (0, 20, HIDDEN)


@pytest.mark.parametrize(
    ("x", "mask"),
    [((1, 4, 95), (1, 4)), ((4, 96), (1, 4)), ((1, 4, 96), (1, 5)), ((2, 4, 96), (1, 4)), ((1, 4, 96), (1, 4, 1))],
)
def test_inputs_of_another_shape_are_an_error(library: Path, x: tuple[int, ...], mask: tuple[int, ...]) -> None:
    session = opened(library, layer())
    with pytest.raises(Exception, match="EncoderLayer: x must be"):
        session.run(None, {"x": np.zeros(x, np.float32), "mask": np.ones(mask, np.int32)})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("in.weight", np.zeros((96, 287), np.int8), "in.*|shape|fit"),
        ("out.weight", np.full((96, 96), 65, np.int8), "within 64"),
        ("out.weight", np.zeros((95, 96), np.int8), "another shape|fit together"),
        ("down.weight", np.zeros(96, np.int8), "two axes"),
        ("up.weight_zero", np.ones(INNER, np.int8), "all zero"),
        ("up.bias", np.zeros(3, np.float32), "another shape"),
        ("up.scale", np.array(0, np.float32), "above 0"),
        ("down.zero", np.array([0, 1], np.uint8), "another shape"),
        ("second.beta", np.zeros(95, np.float32), "another shape"),
    ],
)
def test_constants_that_do_not_fit_are_an_error(library: Path, name: str, value: Array, said: str) -> None:
    with pytest.raises(Exception, match=f"EncoderLayer.*({said})"):
        opened(library, layer() | {name: value})


@pytest.mark.parametrize("heads", [0, 5, 12, -3])
def test_heads_that_do_not_fit_are_an_error(library: Path, heads: int) -> None:
    with pytest.raises(Exception, match="channels of a head"):
        opened(library, layer(), heads=heads)


@pytest.fixture(scope="module")
def fused(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an int8-fused graph of two layers, and beside it the one that its weights lie in."""
    pytest.importorskip("torch", reason="needs the export extra")
    from mirrorkit import SentenceEncoder
    from mirrorkit.exporter.graph.fusion import fuse
    from mirrorkit.exporter.quantize.int8 import quantize_int8

    folder = tmp_path_factory.mktemp("fused")
    encoder = SentenceEncoder.load(tiny)
    plain = bundle_of(tiny, ["fp32"], tmp_path_factory) / "onnx" / "model.onnx"
    quantize_int8(plain, folder / "model_quantized.onnx", encoder.tokenize(REAL_TEXTS), pad_id=0)
    config = encoder.backbone.config
    fuse(
        folder / "model_quantized.onnx",
        folder / "model_fused_quantized.onnx",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
    )
    return folder / "model_fused_quantized.onnx"


def layers_in(graph: bytes, library: Path, precision: str = "int8") -> tuple[int, bytes]:
    """Return how many layers the library replaces in a graph, and the graph then."""
    loaded = ctypes.CDLL(str(library))
    loaded.mirrorkit_ops_free.argtypes = [ctypes.c_void_p]
    out, size = ctypes.c_void_p(), ctypes.c_size_t()
    found = loaded.mirrorkit_ops_rewrite(
        graph, ctypes.c_size_t(len(graph)), precision.encode(), ctypes.byref(out), ctypes.byref(size)
    )
    written = ctypes.string_at(out, size.value) if out else b""
    loaded.mirrorkit_ops_free(out)
    return found, written


def test_layers_of_an_exported_graph_are_replaced_and_give_its_vectors(
    library: Path, fused: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    draw = np.random.default_rng(3)
    ids = draw.integers(5, 8000, (24, 30))
    mask = (np.arange(30) < draw.integers(1, 31, (24, 1))).astype(np.int64)
    without = OnnxSession(fused, threads=1).batch(ids, mask)
    monkeypatch.setenv("MIRRORKIT_OPS", str(library))
    with caplog.at_level("INFO"):
        session = OnnxSession(fused, threads=1, ops=True)
    assert "2 encoder layers run by libmirrorkit_ops.so" in caplog.text
    vectors = session.batch(ids, mask)
    assert (vectors * without).sum(axis=1).min() > 0.999
    assert np.median(np.abs(vectors - without).max(axis=1)) < 1e-3
    for i, length in enumerate(mask.sum(axis=1)):
        alone = session.batch(ids[i : i + 1, :length], mask[i : i + 1, :length])
        np.testing.assert_allclose(alone[0], vectors[i], rtol=0, atol=1e-6)  # the pooling is ONNX Runtime's own


def test_a_graph_in_which_a_layer_is_something_else_keeps_that_layer(library: Path, fused: Path) -> None:
    def changed(change: Any) -> int:
        model = onnx.load(str(fused), load_external_data=False)
        attentions = [node for node in model.graph.node if node.op_type == "MultiHeadAttention"]
        change(model.graph, attentions)
        return layers_in(model.SerializeToString(), library)[0]

    def causal(_: Any, attentions: Any) -> None:
        attentions[0].attribute.append(onnx.helper.make_attribute("unidirectional", 1))

    def narrow_heads(_: Any, attentions: Any) -> None:
        next(a for a in attentions[0].attribute if a.name == "num_heads").i = 8

    def shown(graph: Any, attentions: Any) -> None:
        graph.output.append(onnx.helper.make_empty_tensor_value_info(attentions[1].output[0]))

    def tanh(graph: Any, _: Any) -> None:
        next(node for node in graph.node if node.op_type == "BiasGelu").op_type = "FastGelu"

    def bias(_: Any, attentions: Any) -> None:
        attentions[1].input.append("scores_bias")

    assert changed(lambda *_: None) == 2
    assert [changed(change) for change in (causal, narrow_heads, shown, tanh, bias)] == [1] * 5


def test_bytes_that_are_no_graph_are_refused(library: Path, fused: Path) -> None:
    graph = fused.read_bytes()
    assert layers_in(graph[:-1], library) == (-1, b"")
    assert layers_in(b"", library) == (0, b"")
    draw = np.random.default_rng(0)
    for size in draw.integers(1, len(graph), 100):
        spoilt = bytearray(graph)
        for at in draw.integers(0, len(graph), 20):
            spoilt[at] = draw.integers(256)
        for data in (graph[:size], bytes(spoilt)):
            assert -1 <= layers_in(data, library)[0] <= 2


def test_a_library_that_is_none_is_an_error(fused: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "text.so").write_text("no library", encoding="utf-8")
    for path in (tmp_path / "text.so", tmp_path / "missing.so"):
        monkeypatch.setenv("MIRRORKIT_OPS", str(path))
        with pytest.raises(ConfigError, match=f"MIRRORKIT_OPS {path}: is not a libmirrorkit_ops"):
            OnnxSession(fused, threads=1, ops=True)


def test_instructions_that_there_are_not_are_an_error(
    library: Path, fused: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRRORKIT_OPS", str(library))
    monkeypatch.setenv("MIRRORKIT_OPS_KERNELS", "mmx")
    with pytest.raises((ConfigError, BundleError), match="MIRRORKIT_OPS_KERNELS"):
        OnnxSession(fused, threads=1, ops=True)


@pytest.fixture
def bundle(tiny: Path, fused: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """Return a bundle whose only variant is the int8-fused graph."""
    folder = tmp_path / "bundle"
    shutil.copytree(bundle_of(tiny, ["fp32"], tmp_path_factory), folder)
    (folder / "onnx" / "model.onnx").unlink()
    for file in fused.parent.iterdir():
        shutil.copyfile(file, folder / "onnx" / file.name)
    manifest = json.loads((folder / "mirrorkit.json").read_text(encoding="utf-8"))
    about = {"precision": "int8", "graph": "onnxruntime", "file": f"onnx/{fused.name}"}
    variant = manifest["variants"]["fp32"] | about | {"data_files": ["onnx/model_quantized.onnx"]}
    files = {name: asdict(record) for name, record in record_files(folder).items()}
    manifest |= {"variants": {"int8-fused": variant}, "files": files}
    (folder / "mirrorkit.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def test_libmirrorkit_and_python_give_the_same_vectors_by_it(
    built: Path,
    library: Path,
    bundle: Path,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    texts = [text for text in REAL_TEXTS if text.strip() == text != ""]
    without = Encoder(bundle, "int8-fused", threads=1).encode(texts)
    monkeypatch.setenv("MIRRORKIT_OPS", str(library))
    vectors = Encoder(bundle, "int8-fused", threads=1).encode(texts)
    command: list[str | Path] = [
        built / "mirrorkit-cli",
        "encode",
        bundle,
        "--variant",
        "int8-fused",
        "--threads",
        "1",
        "--format",
        "npy",
    ]
    lines = "".join(f"{text}\n" for text in texts).encode()
    succeed([*command, "--output", tmp_path / "vectors.npy"], data=lines, env=environment)
    np.testing.assert_allclose(np.load(tmp_path / "vectors.npy"), vectors, rtol=0, atol=1e-6)
    assert not np.array_equal(vectors, without)
    assert (vectors * without).sum(axis=1).min() > 0.99
    for path in (tmp_path / "missing.so", built / "libmirrorkit.so"):
        monkeypatch.setenv("MIRRORKIT_OPS", str(path))
        done = run(command, data=lines, env=environment)
        assert done.returncode == 2
        assert b"MIRRORKIT_OPS" in done.stderr
