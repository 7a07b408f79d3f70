"""The AAR that mobile/aar.py packs; no NDK is needed, since an ELF header says what a library is for."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import pytest

from tests.cpp.building import SOURCE, run, succeed

MACHINES = {"arm64-v8a": (2, 0xB7), "armeabi-v7a": (1, 0x28), "x86": (1, 0x03), "x86_64": (2, 0x3E)}
PACK = [sys.executable, str(SOURCE / "mobile" / "aar.py")]


def library(folder: Path, abi: str) -> Path:
    """Write what begins as an ELF file of that ABI does."""
    width, machine = MACHINES[abi]
    file = folder / abi / "libmirrorkit.so"
    file.parent.mkdir()
    file.write_bytes(b"\x7fELF" + bytes([width, 1, 1]) + bytes(9) + b"\x03\0" + bytes([machine, 0]) + abi.encode())
    return file


def test_every_abi_lies_where_gradle_and_prefab_look(tmp_path: Path) -> None:
    libraries = {abi: library(tmp_path, abi) for abi in MACHINES}
    for out in ("one.aar", "two.aar"):
        succeed([*PACK, tmp_path / out, "27", *libraries.values()])
    assert (tmp_path / "one.aar").read_bytes() == (tmp_path / "two.aar").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.aar") as archive:
        module = "prefab/modules/mirrorkit"
        for abi, file in libraries.items():
            assert archive.read(f"jni/{abi}/libmirrorkit.so") == file.read_bytes()
            assert archive.read(f"{module}/libs/android.{abi}/libmirrorkit.so") == file.read_bytes()
            about = json.loads(archive.read(f"{module}/libs/android.{abi}/abi.json"))
            assert about == {"abi": abi, "api": 24, "ndk": 27, "stl": "none"}
        assert archive.read(f"{module}/include/mirrorkit.h") == (SOURCE / "include" / "mirrorkit.h").read_bytes()
        assert json.loads(archive.read("prefab/prefab.json"))["name"] == "mirrorkit"
        assert "AndroidManifest.xml" in archive.namelist()


@pytest.mark.parametrize(
    ("content", "complaint"), [(b"MZ" * 20, "not a shared library"), (b"\x7fELF", "not a shared library")]
)
def test_what_is_no_library_is_one_line(content: bytes, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "libmirrorkit.so").write_bytes(content)
    done = run([*PACK, tmp_path / "out.aar", "27", tmp_path / "libmirrorkit.so"])
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert complaint in line
    assert not (tmp_path / "out.aar").exists()


def test_one_abi_given_twice_is_one_line(tmp_path: Path) -> None:
    twice = library(tmp_path, "x86_64")
    done = run([*PACK, tmp_path / "out.aar", "27", twice, twice])
    assert done.returncode == 1
    assert b"x86_64 was given twice" in done.stderr
