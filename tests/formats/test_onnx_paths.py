"""Weights that a graph wants from outside its folder are refused before ONNX Runtime sees the graph."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

onnx = pytest.importorskip("onnx", reason="needs the export extra, to make graphs")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")

import numpy as np

from mirrorkit.errors import BundleError
from mirrorkit.formats.onnx_paths import check_graph_paths
from mirrorkit.runtime.ort import open_graph

SIZE = 64  # floats


def tensor(location: str | None) -> Any:
    made = onnx.numpy_helper.from_array(np.zeros(SIZE, dtype=np.float32), "w")
    if location is not None:
        made.ClearField("raw_data")
        made.data_location = onnx.TensorProto.EXTERNAL
        made.external_data.add(key="location", value=location)
    return made


def value(name: str) -> Any:
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [SIZE])


def plain(location: str | None) -> Any:
    node = onnx.helper.make_node("Add", ["x", "w"], ["y"])
    return onnx.helper.make_graph([node], "g", [value("x")], [value("y")], [tensor(location)])


def constant(location: str) -> Any:
    node = onnx.helper.make_node("Constant", [], ["w"], value=tensor(location))
    add = onnx.helper.make_node("Add", ["x", "w"], ["y"])
    return onnx.helper.make_graph([node, add], "g", [value("x")], [value("y")])


def nested(location: str) -> Any:
    branch = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["w"], ["b"])], "b", [], [value("b")])
    branch.initializer.append(tensor(location))
    condition = onnx.helper.make_node("Constant", [], ["c"], value_int=1)
    node = onnx.helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    return onnx.helper.make_graph([condition, node], "g", [value("x")], [value("y")])


def model(graph: Any) -> Any:
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)


def function(location: str) -> Any:
    made = model(plain(None))
    inner = onnx.helper.make_function(
        "own", "F", [], ["w"], [onnx.helper.make_node("Constant", [], ["w"], value=tensor(location))], []
    )
    made.functions.append(inner)
    return made


def sparse(location: str) -> Any:
    made = model(plain(None))
    made.graph.sparse_initializer.add().values.CopyFrom(tensor(location))
    return made


def training(location: str) -> Any:
    made = model(plain(None))
    made.training_info.add().initialization.initializer.append(tensor(location))
    return made


WHERE: dict[str, Callable[[str], Any]] = {
    "a weight": lambda location: model(plain(location)),
    "a constant": lambda location: model(constant(location)),
    "a branch": lambda location: model(nested(location)),
    "a function": function,
    "a sparse weight": sparse,
    "training": training,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return laid_out(tmp_path)


def laid_out(home: Path) -> Path:
    """Make a folder with weights in it, and with ways out of it."""
    inside = home / "folder"
    inside.mkdir()
    for place in (home, inside):
        (place / "data").write_bytes(bytes(4 * SIZE))
    (inside / "link").symlink_to(home / "data")
    (inside / "linked").symlink_to(home, target_is_directory=True)
    (inside / "loop").symlink_to("loop")
    address = inside / "*" / "_ORT_MEM_ADDR_" / "*"  # what ONNX Runtime takes for no file, even where there is one
    address.parent.mkdir(parents=True)
    address.write_bytes(bytes(4 * SIZE))
    return inside


def saved(folder: Path, proto: Any) -> Path:
    file = folder / "model.onnx"
    file.write_bytes(proto.SerializeToString())
    return file


def outside(folder: Path) -> list[str]:
    up = ["../data", "./../data", "x/../../data", f"{folder}/../data", str(folder / "data"), "link", "linked/data"]
    return [*up, "loop", "missing", "", ".", "/etc/passwd", "*/_ORT_MEM_ADDR_/*", "a\0b", "n" * 5000, "\\\\host\\share"]


@pytest.mark.parametrize("where", WHERE)
def test_what_leads_out_is_refused_wherever_it_stands(folder: Path, where: str) -> None:
    for location in outside(folder):
        file = saved(folder, WHERE[where](location))
        with pytest.raises(BundleError, match="not a file in its folder") as caught:
            open_graph(file)
        assert len(str(caught.value)) < 1000
        with pytest.raises(BundleError, match="not a file in its folder"):
            open_graph(file.read_bytes())
    check_graph_paths(saved(folder, WHERE[where]("data")))


def test_weights_in_the_folder_are_read(folder: Path) -> None:
    session = open_graph(saved(folder, model(plain("data"))))
    (found,) = session.run(None, {"x": np.ones(SIZE, dtype=np.float32)})
    np.testing.assert_array_equal(found, np.ones(SIZE, dtype=np.float32))


def test_the_cache_of_the_hub_is_made_of_links(tmp_path: Path) -> None:
    model_home = tmp_path / "models--some--name"
    snapshot = model_home / "snapshots" / "1234" / "onnx"
    for place in (snapshot, model_home / "blobs"):
        place.mkdir(parents=True)
    (model_home / "blobs" / "abcd").write_bytes(bytes(4 * SIZE))
    (snapshot / "data").symlink_to("../../../blobs/abcd")
    check_graph_paths(saved(snapshot, model(plain("data"))))
    (tmp_path / "secret").write_bytes(bytes(4 * SIZE))
    (snapshot / "data").unlink()
    (snapshot / "data").symlink_to(tmp_path / "secret")
    with pytest.raises(BundleError, match="not a file in its folder"):
        check_graph_paths(saved(snapshot, model(plain("data"))))


def test_binaries_made_elsewhere_and_other_formats_are_refused(folder: Path) -> None:
    made = model(plain(None))
    made.graph.node.append(onnx.helper.make_node("EPContext", ["x"], ["z"], domain="com.microsoft"))
    with pytest.raises(BundleError, match="EPContext"):
        open_graph(saved(folder, made))
    (folder / "model.ort").write_bytes(b"ORTM")
    with pytest.raises(BundleError, match="own format"):
        open_graph(folder / "model.ort")


def test_garbage_is_one_clear_error(folder: Path) -> None:
    whole = model(plain("data")).SerializeToString()
    texts = [b"", b"location", b"location" + os.urandom(100), whole[:-3], b"\xff" * 50 + b"location"]
    for text in texts:
        (folder / "model.onnx").write_bytes(text)
        with pytest.raises(BundleError):
            open_graph(folder / "model.onnx")
    with pytest.raises(BundleError, match="no such file"):
        open_graph(folder / "nowhere.onnx")


def test_graphs_without_end_are_refused(folder: Path) -> None:
    def wrapped(tag: int, body: bytes) -> bytes:
        size, head = len(body), bytearray([tag])
        while size > 0x7F:
            head.append(size & 0x7F | 0x80)
            size >>= 7
        return bytes([*head, size]) + body

    body = b"\x1a\x08location"
    for _ in range(200):
        body = wrapped(0x0A, wrapped(0x2A, wrapped(0x32, body)))  # a node's attribute that is a graph
    (folder / "model.onnx").write_bytes(wrapped(0x3A, body))
    with pytest.raises(BundleError, match="without end"):
        open_graph(folder / "model.onnx")
