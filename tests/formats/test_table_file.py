"""The table of a static variant on disk: what the safetensors library reads of it, and what is refused."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from mirrorkit.errors import BundleError
from mirrorkit.formats.table_file import TokenTable, read_table, rounded, write_table


@pytest.fixture
def table() -> TokenTable:
    vectors = np.random.default_rng(0).normal(size=(11, 6)).astype(np.float32)
    vectors[3] = 0  # a special token
    return rounded(vectors)


def test_rounding_keeps_a_component_to_half_a_step() -> None:
    vectors = np.random.default_rng(0).normal(size=(100, 32)).astype(np.float32)
    table = rounded(vectors)
    assert (np.abs(table.vectors() - vectors) <= table.scales[:, None] / 2 + 1e-6).all()
    assert np.abs(table.codes).max() == 127


def test_a_row_of_zeros_stays_one(table: TokenTable) -> None:
    assert not table.vectors()[3].any()


def test_it_is_read_as_it_was_written(table: TokenTable, tmp_path: Path) -> None:
    places = write_table(tmp_path / "t.safetensors", table)
    again = read_table(tmp_path / "t.safetensors")
    assert np.array_equal(again.codes, table.codes)
    assert np.array_equal(again.scales, table.scales)
    content = (tmp_path / "t.safetensors").read_bytes()
    assert content[places["codes"][0] :][: places["codes"][1]] == table.codes.tobytes()
    assert content[places["scales"][0] :][: places["scales"][1]] == table.scales.tobytes()
    assert places["scales"][0] % 64 == 0


def test_the_safetensors_library_reads_the_same(table: TokenTable, tmp_path: Path) -> None:
    numpy = pytest.importorskip("safetensors.numpy", reason="needs the train extra")
    write_table(tmp_path / "t.safetensors", table)
    found = numpy.load_file(tmp_path / "t.safetensors")
    assert set(found) == {"codes", "scales"}
    assert np.array_equal(found["codes"], table.codes)
    assert np.array_equal(found["scales"], table.scales)


def _file(header: object, data: bytes = b"\0" * 64) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


_CODES = {"dtype": "I8", "shape": [2, 3], "data_offsets": [8, 14]}
_SCALES = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 7,
        struct.pack("<Q", 1 << 40) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"\xff\xff",
        _file({"codes": _CODES}),
        _file({"codes": _CODES, "scales": {**_SCALES, "dtype": "F16"}}),
        _file({"codes": _CODES, "scales": {**_SCALES, "shape": [3]}}),
        _file({"codes": _CODES, "scales": {**_SCALES, "shape": [1], "data_offsets": [0, 4]}}),
        _file({"codes": {**_CODES, "data_offsets": [8, 1 << 40]}, "scales": _SCALES}),
        _file({"codes": {**_CODES, "data_offsets": [-6, 0]}, "scales": _SCALES}),
        _file({"codes": {**_CODES, "shape": [2, -3]}, "scales": _SCALES}),
        _file({"codes": {**_CODES, "shape": [0, 3], "data_offsets": [8, 8]}, "scales": {**_SCALES, "shape": [0]}}),
        _file({"codes": _CODES, "scales": _SCALES}, b"\0\0\xc0\x7f" * 16),  # NaN
    ],
)
def test_what_is_no_table_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "t.safetensors").write_bytes(content)
    with pytest.raises(BundleError, match=r"t\.safetensors: not a table of token vectors"):
        read_table(tmp_path / "t.safetensors")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for name in ("none", "."):
        with pytest.raises(BundleError, match="cannot be read"):
            read_table(tmp_path / name)
