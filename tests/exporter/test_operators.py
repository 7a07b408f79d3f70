"""The list of operators for a reduced build of ONNX Runtime: what is in it, and who can read it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

onnx = pytest.importorskip("onnx", reason="needs the export extra")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")

from onnx import TensorProto, helper, numpy_helper

from mirrorkit.cli.operators import operators
from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.exporter.operators import operators_of, required_operators, write_operators
from mirrorkit.formats.bundle import VARIANT_FILES, Bundle, Graph, Precision, Variant, read_bundle, record_files
from mirrorkit.formats.bundle_writer import write_manifest
from mirrorkit.formats.pooling import Pooling
from tests.bundles import bundle_of

RUN = CliRunner()
APP = typer.Typer()
VARIANTS = ("fp32", "int8")


@APP.callback()
def main(quiet: bool = False) -> None:
    """Stand for the command line around the command."""


APP.command()(operators)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that calls itself a bundle, of two small graphs with one operator that the other has not."""
    folder = tmp_path_factory.mktemp("operators") / "bundle"
    for name, last in zip(VARIANTS, ("Relu", "Sigmoid"), strict=True):
        save_products(folder / VARIANT_FILES[name], last)
    made = {n: Variant(n, VARIANT_FILES[n], Precision(n), Graph.ONNX) for n in VARIANTS}
    write_manifest(Bundle(folder, "bert", 4, 8, Pooling.MEAN, 0, made, record_files(folder)))
    return folder


def save_products(file: Path, last: str) -> None:
    """Write a graph in which ONNX Runtime fuses a transposition with the product after it."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["turned", "w"], ["product"]),
        helper.make_node(last, ["product"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "n"]) for name in "xy")
    weights = numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")
    graph = helper.make_graph(nodes, "products", [x], [y], [weights])
    file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), file)


def in_file(file: Path) -> set[tuple[str, str]]:
    return {(node.domain or "ai.onnx", node.op_type) for node in onnx.load(file, load_external_data=False).graph.node}


def names(needed: Any) -> set[tuple[str, str]]:
    return {(domain, name) for (domain, _), group in needed.items() for name in group}


def hold_to_the_graph(bundle: Path, variant: str, scratch: Path) -> None:
    import onnxruntime as ort

    found = required_operators(bundle, [variant])
    graph = bundle / VARIANT_FILES[variant]
    assert names(found.original) == in_file(graph)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.optimized_model_filepath = str(scratch / "optimized.onnx")
    options.log_severity_level = 4
    ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    assert names(found.optimized) == in_file(scratch / "optimized.onnx")
    assert names(found.all) == names(found.original) | names(found.optimized)
    assert ("com.microsoft", "FusedMatMul") in names(found.all) - names(found.original)


@pytest.mark.parametrize("variant", VARIANTS)
def test_all_that_the_graph_holds_and_all_that_is_left_of_it(variant: str, bundle: Path, tmp_path: Path) -> None:
    hold_to_the_graph(bundle, variant, tmp_path)


def test_nothing_runs_that_is_not_in_the_list(bundle: Path, tmp_path: Path) -> None:
    import onnxruntime as ort

    for level in (ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ort.GraphOptimizationLevel.ORT_ENABLE_ALL):
        options = ort.SessionOptions()
        options.graph_optimization_level = level
        options.enable_profiling = True
        options.profile_file_prefix = str(tmp_path / "profile")
        session = ort.InferenceSession(bundle / VARIANT_FILES["fp32"], options, providers=["CPUExecutionProvider"])
        session.run(None, {"x": np.eye(4, dtype=np.float32)})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        ran = {event["args"]["op_name"] for event in events if "op_name" in event.get("args", {})}
        assert ran
        assert ran <= {name for _, name in names(required_operators(bundle, ["fp32"]).all)}


@pytest.mark.slow
def test_the_graphs_of_a_bert(tiny: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the train extra")
    for variant in VARIANTS:
        hold_to_the_graph(bundle_of(tiny, VARIANTS, tmp_path_factory), variant, tmp_path)


def test_the_versions_are_those_of_the_graph(bundle: Path) -> None:
    imports = {e.domain or "ai.onnx": e.version for e in onnx.load(bundle / VARIANT_FILES["fp32"]).opset_import}
    found = required_operators(bundle, ["fp32"])
    assert set(found.original) == {("ai.onnx", imports["ai.onnx"])} == {("ai.onnx", 18)}
    assert ("ai.onnx", imports["ai.onnx"]) in found.optimized


def test_several_variants_are_joined(bundle: Path) -> None:
    both = required_operators(bundle)
    assert both.variants == VARIANTS
    each = [names(required_operators(bundle, [variant]).all) for variant in VARIANTS]
    assert names(both.all) == each[0] | each[1]
    assert each[0] != each[1]


def test_onnxruntimes_own_reader_takes_the_file(bundle: Path, tmp_path: Path) -> None:
    reader = pytest.importorskip("onnxruntime.tools.reduced_build_config_parser")
    found = required_operators(bundle)
    file = write_operators(found, tmp_path / "ops.config")
    parsed, types = reader.parse_config(str(file))
    assert types is None
    assert {(d, v): frozenset(group) for d, versions in parsed.items() for v, group in versions.items()} == found.all


def test_it_lies_beside_the_bundle_and_never_inside(bundle: Path, tmp_path: Path) -> None:
    home = tmp_path / "model"
    shutil.copytree(bundle, home)
    found = required_operators(home, ["fp32"])
    assert write_operators(found) == tmp_path / "model.required_operators.config"
    for inside in (home / "ops.config", home / "onnx" / "ops.config"):
        with pytest.raises(ConfigError, match="beside"):
            write_operators(found, inside)
        assert not inside.exists()


def test_the_command_writes_prints_and_refuses(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "ops.config"
    done = RUN.invoke(APP, ["operators", str(bundle), "-o", str(out), "--variants", "fp32", "--json"])
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert printed["file"] == str(out)
    assert printed["variants"] == ["fp32"]
    assert "MatMul" in next(iter(printed["operators"]["ai.onnx"].values()))
    assert "FusedMatMul" in printed["only_optimized"]["com.microsoft"]["1"]
    assert RUN.invoke(APP, ["operators", str(bundle), "-o", str(out)]).stdout.startswith(f"wrote {out}: ")
    for arguments in (["--variants", "int4"], ["-o", str(out / "below")]):
        done = RUN.invoke(APP, ["operators", str(bundle), *arguments])
        assert done.exit_code == 2
        assert len(done.stderr.splitlines()) == 1
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("ten years", encoding="utf-8")
    done = RUN.invoke(APP, ["operators", str(bundle), "-o", str(thesis), "--variants", "fp32"])
    assert (done.exit_code, thesis.read_text(encoding="utf-8")) == (2, "ten years")
    assert {path.name for path in tmp_path.iterdir()} == {"ops.config", "thesis.txt"}


def test_a_graph_that_cannot_be_read_is_one_clear_error(bundle: Path, tmp_path: Path) -> None:
    home = tmp_path / "model"
    shutil.copytree(bundle, home)
    (home / VARIANT_FILES["fp32"]).write_bytes(b"no graph")
    write_manifest(replace(read_bundle(bundle), folder=home, files=record_files(home)))
    with pytest.raises(BundleError, match=r"model\.onnx"):
        required_operators(home, ["fp32"])


def test_inner_graphs_and_functions_count_and_calls_do_not() -> None:
    inner = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["z"])],
        "inner",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1])],
    )
    choose = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    call = helper.make_node("own", ["y"], ["out"], domain="local")
    body = helper.make_node("Gelu", ["a"], ["b"], domain="com.microsoft")
    versions = [helper.make_opsetid("", 18), helper.make_opsetid("local", 1), helper.make_opsetid("com.microsoft", 1)]
    function = helper.make_function("local", "own", ["a"], ["b"], [body], versions)
    graph = helper.make_graph(
        [choose, call],
        "outer",
        [helper.make_tensor_value_info("c", TensorProto.BOOL, [1]), helper.make_tensor_value_info("x", 1, [1])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1])],
    )
    model = helper.make_model(graph, opset_imports=versions, functions=[function])
    assert operators_of(model) == {("ai.onnx", 18): {"If", "Neg"}, ("com.microsoft", 1): {"Gelu"}}
