"""Build engines with TensorRT-RTX, which needs no GPU for that; they are not run here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the export extra")
trt = pytest.importorskip("tensorrt_rtx", reason="needs the tensorrt-rtx extra")

from mirrorkit.errors import ConfigError, ExportError, OutputError
from mirrorkit.exporter.pipeline import export
from mirrorkit.exporter.tensorrt import build as tensorrt
from mirrorkit.exporter.tensorrt.build import build_engine, rebuild_engine
from mirrorkit.exporter.tensorrt.graph import source_graph
from mirrorkit.exporter.tensorrt.library import Library, build
from mirrorkit.exporter.tensorrt.presets import PRESETS, preset
from mirrorkit.formats.bundle import read_bundle
from mirrorkit.formats.engine import (
    MANIFEST,
    Backend,
    Gpu,
    Ids,
    Precision,
    Status,
    check_engine,
    mismatches,
    read_engine,
)
from mirrorkit.formats.profiles import Profile
from tests.exports import traced_once

RTX = Library(Backend.RTX, trt)
A10 = Gpu("NVIDIA A10", "8.6", "580.65")
SMALL = "min=1x1,opt=4x16,max=8x64"


@pytest.fixture(autouse=True)
def without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let these tests do the same on every machine."""
    monkeypatch.setattr(tensorrt, "current_gpu", lambda: None)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, tiny_random: Callable[[str], Path]) -> Iterator[Any]:
    """Return a function from a model type to its fp32 bundle; do not write into it."""
    home = tmp_path_factory.mktemp("build")

    def bundle_of(kind: str) -> Path:
        if not (home / kind).is_dir():
            export(tiny_random(kind), home / kind, precision=["fp32"], optimize=False)
        return home / kind

    with traced_once(tmp_path_factory):
        yield bundle_of


@pytest.fixture
def bundle(exported: Callable[[str], Path]) -> Path:
    return exported("bert")


def test_an_engine_is_published_with_all_that_is_known_of_it(bundle: Path, tmp_path: Path) -> None:
    result = build_engine(bundle, tmp_path / "engine", precision="fp16", target="sm86", profiles=[SMALL], ids="int32")
    engine = read_engine(tmp_path / "engine")
    assert engine == result.engine
    assert sorted(file.name for file in engine.folder.iterdir()) == [MANIFEST, "model.engine"]
    assert (engine.backend, engine.version) == (Backend.RTX, trt.__version__)
    assert (engine.target, engine.gpu, engine.precision, engine.ids) == ("sm86", None, Precision.FP16, Ids.INT32)
    assert engine.profiles == (Profile.parse(SMALL),)
    assert engine.status is Status.BUILT
    assert engine.report == {}
    assert engine.graph_report["cosine_min"] > 0.9995
    assert engine.options["compute_capabilities"] == ["sm86"]
    check_engine(engine, bundle=read_bundle(bundle), backend=Backend.RTX, version=trt.__version__, gpu=A10)
    shown = json.loads(json.dumps(result.as_dict()))
    assert shown["bytes"] == engine.path.stat().st_size > 10_000
    assert shown["status"] == "built, not run"
    assert shown["notes"] == ["built, not run: there is no GPU here"]


def test_the_parser_takes_the_types_that_the_graph_names(bundle: Path, tmp_path: Path) -> None:
    graph = source_graph(read_bundle(bundle), Precision.FP16, Ids.INT32, tmp_path)
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    assert network.get_flag(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    parser = trt.OnnxParser(network, logger)
    assert parser.parse_from_file(str(graph.file))
    kinds: dict[Any, set[Any]] = {}
    for layer in map(network.get_layer, range(network.num_layers)):
        kinds.setdefault(layer.type, set()).add(layer.get_output(0).dtype)
    assert kinds[trt.LayerType.MATRIX_MULTIPLY] == {trt.DataType.HALF}
    assert kinds[trt.LayerType.NORMALIZATION] == {trt.DataType.FLOAT}
    assert [network.get_input(i).dtype for i in range(network.num_inputs)] == [trt.DataType.INT32] * 2
    assert [network.get_output(i).dtype for i in range(network.num_outputs)] == [trt.DataType.FLOAT]


FAMILIES = ["bert", "roberta", "distilbert", "mpnet", "modernbert", "albert"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAMILIES)
def test_every_architecture_is_proved_and_built(exported: Callable[[str], Path], tmp_path: Path, kind: str) -> None:
    for precision, ids in (("fp32", "int64"), ("fp16", "int32")):
        out = tmp_path / precision
        result = build_engine(exported(kind), out, precision=precision, profiles=PRESETS[:2], ids=ids)
        assert result.engine.target == "portable"
        assert len(result.engine.profiles) == 3


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds(bundle: Path, tmp_path: Path, name: str) -> None:
    graph = source_graph(read_bundle(bundle), Precision.FP32, Ids.INT64, tmp_path)
    assert build(RTX, graph.file, preset(name, 64), "portable").engine


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int4"}, "precision 'int4': a TensorRT engine must be fp32 or fp16"),
        ({"ids": "int16"}, "ids 'int16': must be int32 or int64"),
        ({"target": "sm90"}, "target 'sm90': must be one of portable, sm75"),
        ({"target": "current"}, "target current: there is no GPU here; name one of portable"),
        ({"precision": "fp8"}, "holds fp32; an fp8 engine is made of int8: export the bundle with int8"),
        ({"backend": "cuda"}, "backend 'cuda': must be one of auto, tensorrt, tensorrt-rtx"),
        ({"profiles": ["min=1x8,opt=1x8,max=8x65"]}, "65 tokens are more than the 64 that this model takes"),
        ({"profiles": ["min=4x8,opt=1x8,max=8x64"]}, "min 4x8 is larger than opt 1x8"),
    ],
)
def test_options_that_cannot_be_met_are_named(
    bundle: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build_engine(bundle, tmp_path / "engine", **options)
    assert list(tmp_path.iterdir()) == []


def test_an_engine_lies_beside_the_bundle(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is inside the bundle; write engines beside it"):
        build_engine(bundle, bundle / "tensorrt")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / MANIFEST).write_text("{}", encoding="utf-8")
    with pytest.raises(OutputError, match="is not empty and holds no engine"):
        build_engine(bundle, tmp_path / "mine", overwrite=True)
    with pytest.raises(OutputError, match="exists and is not empty"):
        build_engine(bundle, tmp_path / "mine")


def test_an_engine_of_another_version_is_built_anew(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "engine"
    build_engine(bundle, out, precision="fp32", profiles=["1x8"], ids="int32")
    manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    (out / MANIFEST).write_text(json.dumps({**manifest, "version": "1.0"}), encoding="utf-8")
    (told,) = mismatches(read_engine(out), backend=Backend.RTX, version=trt.__version__)
    assert told == f"was built by tensorrt-rtx 1.0, this is {trt.__version__}"
    rebuild_engine(bundle, out)
    again = read_engine(out)
    assert mismatches(again, bundle=read_bundle(bundle), version=trt.__version__) == []
    assert (again.ids, again.precision, again.profiles) == (Ids.INT32, Precision.FP32, (Profile.parse("1x8"),))


def test_nothing_is_left_of_a_build_that_fails(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ExportError("tensorrt-rtx: cannot build the engine: out of memory")

    monkeypatch.setattr(tensorrt, "build", fail)
    with pytest.raises(ExportError, match="out of memory"):
        build_engine(bundle, tmp_path / "engine", profiles=["1x8"])
    assert list(tmp_path.iterdir()) == []


def test_tensorrts_own_calls_are_taken_too(bundle: Path, tmp_path: Path) -> None:
    """TensorRT itself cannot be installed without a GPU, but these bindings share its calls."""
    library = Library(Backend.TENSORRT, trt)
    graph = source_graph(read_bundle(bundle), Precision.FP16, Ids.INT64, tmp_path)
    for target, level, known in (("sm86", "none", b""), ("portable", "ampere_plus", b"of another version" * 9)):
        built = build(library, graph.file, [Profile.parse("1x8")], target, timing_cache=known)
        assert built.engine
        assert built.timing_cache
        assert built.options["hardware_compatibility"] == level


def test_what_the_parser_complains_of_is_shown_whole(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    node = helper.make_node("MatMulNBits", ["x", "x", "x"], ["y"], name="bits", domain="com.microsoft", K=8, N=8)
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [8, 8]) for name in "xy"]
    graph = helper.make_graph([node], "g", ports[:1], ports[1:])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), tmp_path / "x.onnx")
    with pytest.raises(ExportError, match=r"cannot read the graph: bits \(MatMulNBits\): \S+"):
        build(RTX, tmp_path / "x.onnx", [Profile.parse("1x8")], "portable")
    (tmp_path / "no.onnx").write_bytes(b"no graph")
    with pytest.raises(ExportError, match=r"cannot read the graph: \S.*Failed to parse the ONNX model"):
        build(RTX, tmp_path / "no.onnx", [Profile.parse("1x8")], "portable")
