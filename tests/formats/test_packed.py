"""A bundle in one file: any ZIP tool reads what is written, and nothing that is spoilt is ever opened."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from mirrorkit.errors import BundleError
from mirrorkit.formats import packed
from mirrorkit.formats.packed import ALIGNMENT, content, read_packed, write_packed
from tests.packing import SPOILT, archive

MANIFEST = b'{"dim": 3, "files": {}}'
FILES = [
    ("a.txt", b"text" * 2000),
    ("empty", b""),
    ("onnx/model.onnx", bytes(range(256)) * 40),
    ("ü/漢.json", b"[1, 2]"),
]


@pytest.fixture
def whole() -> bytes:
    return written()


def written() -> bytes:
    out = io.BytesIO()
    write_packed(out, MANIFEST, FILES)
    return out.getvalue()


def test_a_zip_reader_finds_every_file_as_it_is(whole: bytes, tmp_path: Path) -> None:
    file = tmp_path / "b.mkit"
    file.write_bytes(whole)
    with zipfile.ZipFile(file) as archived:
        assert archived.testzip() is None
        assert archived.namelist() == ["mirrorkit.json", *(name for name, _ in FILES)]
        for name, data in FILES:
            assert archived.read(name) == data
            assert whole[whole.index(data) :][: len(data)] == data
        assert archived.comment.decode() == f"mirrorkit bundle 1 sha256 {hashlib.sha256(MANIFEST).hexdigest()}"
    if shutil.which("unzip"):
        subprocess.run(["unzip", "-tq", file], check=True, capture_output=True)


def test_every_file_begins_at_a_page(whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "b.mkit").write_bytes(whole)
    for name, data in [("mirrorkit.json", MANIFEST), *FILES]:
        member = read_packed(tmp_path / "b.mkit").members[name]
        assert member == data
        assert not data or whole.index(data) % ALIGNMENT == 0


def test_the_same_files_make_the_same_bytes(whole: bytes) -> None:
    assert written() == whole


def test_a_path_may_lead_into_it(whole: bytes, tmp_path: Path) -> None:
    file = tmp_path / "b.mkit"
    file.write_bytes(whole)
    assert bytes(content(file / "onnx" / "model.onnx") or b"") == FILES[2][1]
    assert content(file) is None
    assert content(tmp_path / "nothing" / "there") is None
    with pytest.raises(BundleError, match="onnx/none is missing"):
        content(file / "onnx" / "none")


def test_numbers_of_64_bits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(packed, "_ROOM", 5000)  # as if no number of 32 bits could be larger
    (tmp_path / "b.mkit").write_bytes(written())
    assert dict(read_packed(tmp_path / "b.mkit").members) == {"mirrorkit.json": MANIFEST, **dict(FILES)}
    with zipfile.ZipFile(tmp_path / "b.mkit") as archived:
        assert archived.testzip() is None
        assert archived.read("a.txt") == FILES[0][1]


def test_the_spoilt_ones_are_made_of_what_is_sound(tmp_path: Path) -> None:
    (tmp_path / "b.mkit").write_bytes(archive([(b"mirrorkit.json", b"{}"), (b"a/b", b"text")]))
    assert set(read_packed(tmp_path / "b.mkit").members) == {"mirrorkit.json", "a/b"}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_one_is_refused_in_a_line(how: str, whole: bytes, tmp_path: Path) -> None:
    file = tmp_path / "b.mkit"
    file.write_bytes(SPOILT[how](whole))
    with pytest.raises(BundleError) as caught:
        read_packed(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


def test_every_cut_and_every_byte_of_its_lists(whole: bytes, tmp_path: Path) -> None:
    file = tmp_path / "b.mkit"
    start = whole.index(b"PK\x01\x02")
    for at in range(start, len(whole)):
        for spoilt in (whole[:at], whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]):
            file.write_bytes(spoilt)
            try:
                members = read_packed(file).members
            except BundleError:
                continue
            assert dict(members) == {"mirrorkit.json": MANIFEST, **dict(FILES)}  # a field that nobody reads
