"""JavaScript looks itself which files a graph makes ONNX Runtime open, and refuses what Python refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

onnx = pytest.importorskip("onnx", reason="needs the export extra, to make graphs")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")

from mirrorkit.formats.bundle import VARIANT_FILES
from tests.conftest import ROOT
from tests.formats.test_onnx_paths import WHERE, laid_out, model, outside, plain
from tests.lookups import describe, lookup_bundle

REFUSED = "which mirrorkit.json does not name with it"


def said_of(files: list[Path]) -> list[str]:
    program = shutil.which("node")
    if program is None:
        pytest.skip("needs node")
    command = [program, str(Path(__file__).with_name("verdicts.mjs")), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("where", WHERE)
def test_what_the_manifest_does_not_name_is_refused_wherever_it_stands(tmp_path: Path, where: str) -> None:
    folder = laid_out(tmp_path)
    locations = ["data", *outside(folder), "./data", "data2", "onnx/data", "Data"]
    files = [folder / f"{number}.onnx" for number in range(len(locations))]
    for file, location in zip(files, locations, strict=True):
        file.write_bytes(WHERE[where](location).SerializeToString())
    named, *others = said_of(files)
    assert named == ""
    assert all(REFUSED in one and len(one) < 1000 and one.isprintable() for one in others), others


def test_garbage_and_binaries_are_refused_in_a_line(tmp_path: Path) -> None:
    whole = model(plain("data")).SerializeToString()
    binary = model(plain(None))
    binary.graph.node.append(onnx.helper.make_node("EPContext", ["x"], ["z"], domain="com.microsoft"))
    deep = b"\x1a\x08location"
    for tag in (0x32, 0x2A, 0x0A) * 200:  # a node's attribute that is a graph
        deep = wrapped(tag, deep)
    number = b"\x3a\x02\x28\x01"  # where a weight of a graph should be
    bad = [b"", b"\x0b" * 100, whole[:-3], b"\xff" * 50, b"\x3a\xff\xff\xff\xff\x0f", wrapped(0x3A, deep), number]
    texts = [*bad, binary.SerializeToString(), whole, model(plain(None)).SerializeToString()]
    files = [tmp_path / f"{number}.onnx" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_bytes(text)
    said = said_of(files)
    assert "EPContext" in said[len(bad)]
    assert said[len(bad) + 1 :] == ["", ""]
    assert "is empty" in said[0]
    assert all("not a readable ONNX file" in one and len(one) < 300 for one in said[1 : len(bad)]), said
    assert "without end" in said[5]


def wrapped(tag: int, body: bytes) -> bytes:
    size, head = len(body), bytearray([tag])
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*head, size]) + body


@pytest.mark.slow
@pytest.mark.web
def test_node_starts_no_graph_that_reads_another_file(node: str, tiny: Path, tmp_path: Path) -> None:
    bundle = lookup_bundle(tmp_path / "bundle", tiny)
    graph = bundle / VARIANT_FILES["fp32"]
    proto = onnx.load(graph)
    onnx.save_model(
        proto, graph, save_as_external_data=True, location="weights", size_threshold=1024, convert_attribute=False
    )
    describe(bundle)
    assert "does not name" in embedded(node, bundle)
    manifest = json.loads((bundle / "mirrorkit.json").read_text(encoding="utf-8"))
    manifest["variants"]["fp32"]["data_files"] = ["onnx/weights"]
    (bundle / "mirrorkit.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert embedded(node, bundle) == ""


def embedded(node: str, bundle: Path) -> str:
    program: list[Any] = [node, ROOT / "export" / "node" / "embed.mjs", bundle, "--variant", "fp32", "a text"]
    done = subprocess.run([*map(str, program)], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if line.startswith("embed.mjs")]  # ONNX Runtime warns of the toy
    assert (done.returncode, len(said)) in ((0, 0), (2, 1)), done.stderr
    return "".join(said)
