"""C++ looks itself which files a graph makes ONNX Runtime open, and refuses what Python refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="needs the export extra")
from tests.cpp.building import succeed
from tests.formats.test_onnx_paths import WHERE, laid_out, outside

pytestmark = pytest.mark.cpp


def said_of(built: Path, files: list[Path]) -> list[str]:
    return succeed([built / "tests" / "verdicts", *files]).decode().split("\0")[:-1]


@pytest.mark.parametrize("where", WHERE)
def test_what_leads_out_is_refused_wherever_it_stands(built: Path, tmp_path: Path, where: str) -> None:
    folder = laid_out(tmp_path)
    files = []
    for number, location in enumerate(["data", *outside(folder)]):
        files.append(folder / f"{number}.onnx")
        files[-1].write_bytes(WHERE[where](location).SerializeToString())
    inside, *refused = said_of(built, files)
    assert inside == ""
    assert all("not a file in its folder" in one and len(one) < 1000 for one in refused)
    assert len(refused) == len(outside(folder))


def test_garbage_and_binaries_are_refused_in_a_line(built: Path, tmp_path: Path) -> None:
    whole = WHERE["a weight"]("data").SerializeToString()
    deep = b""
    for _ in range(400):  # a graph with a node with an attribute with a graph ...
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            deep = tag + size(len(deep)) + deep
    deep = b"\x3a" + size(len(deep)) + deep
    ends = [b"", b"\x0b" * 100, whole[:-3], b"\xff" * 50, b"\x3a\xff\xff\xff\xff\x0f", deep]
    files = [tmp_path / f"{number}.onnx" for number in range(len(ends))]
    for file, text in zip(files, ends, strict=True):
        file.write_bytes(text)
    (tmp_path / "own.ort").write_bytes(whole)
    for one in said_of(built, [*files, tmp_path / "own.ort", tmp_path / "absent.onnx"]):
        assert one.startswith(str(tmp_path))
        assert "\n" not in one


def size(count: int) -> bytes:
    """Return a number as protobuf has it."""
    found = bytearray()
    while count > 0x7F:
        found.append(count & 0x7F | 0x80)
        count >>= 7
    return bytes([*found, count])
