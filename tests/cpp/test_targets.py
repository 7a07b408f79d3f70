"""The C++ library built for other systems and run where something here runs their programs: the same ids and vectors.

Each needs a cross compiler and what runs its programs, and skips without: `make test-cpp-all` installs both and names
an ONNX Runtime for Windows in MIRRORKIT_WINDOWS_ONNXRUNTIME (the onnxruntime.dll of a wheel).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.bundles import bundle_of
from tests.conftest import REAL_TEXTS
from tests.cpp.building import build, framed, run, succeed

pytestmark = [pytest.mark.slow, pytest.mark.cpp]

TOLERANCE = 1e-5  # of a component, fp32
ARM32 = ["qemu-arm", "-L", "/usr/arm-linux-gnueabihf"]
Program = Sequence[str | Path]
WINE = {"WINEDEBUG": "-all", "WINEDLLOVERRIDES": "mscoree,mshtml="}


def named(variable: str) -> str:
    """Return what an environment variable names; skip without."""
    value = os.environ.get(variable, "")
    if not value:
        pytest.skip(f"needs {variable}")
    return value


def check_ids(program: Program, tiny: Path, env: dict[str, str] | None = None) -> None:
    """Hold the ids that a foreign token_ids gives against those of `tokenizers`."""
    tokenizers = pytest.importorskip("tokenizers")
    reference = tokenizers.Tokenizer.from_file(str(tiny / "tokenizer.json"))
    reference.enable_truncation(64)
    out = succeed([*program, tiny / "tokenizer.json", "64"], data=framed(REAL_TEXTS), env=env)
    rows = [reference.encode(text).ids for text in REAL_TEXTS]
    assert np.frombuffer(out, dtype=np.int32).tolist() == [number for row in rows for number in (len(row), *row)]


def test_arm32_gives_the_same_ids(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    built = build("arm32", tmp_path_factory, "arm-linux-gnueabihf-g++", "qemu-arm")
    program = built / "tests" / "token_ids"
    assert program.read_bytes()[4:5] == b"\x01"  # of 32 bits
    check_ids([*ARM32, program], tiny)


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("mingw", tmp_path_factory, "x86_64-w64-mingw32-g++-posix", "wine")


@pytest.fixture(scope="module")
def wine(windows: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return an environment with a Windows of its own, where programs of any folder find the library."""
    return {**WINE, "WINEPREFIX": str(tmp_path_factory.mktemp("wine")), "WINEPATH": str(windows)}


@pytest.fixture
def bundle(tiny: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """Return a bundle in a folder whose name no code page of the West can spell."""
    pytest.importorskip("torch", reason="needs the export extra")
    folder = tmp_path / "Bündel 文 ж"
    return Path(shutil.copytree(bundle_of(tiny, ["fp32"], tmp_path_factory), folder))


def test_windows_gives_the_same_ids(windows: Path, tiny: Path, wine: dict[str, str]) -> None:
    check_ids(["wine", windows / "tests" / "token_ids.exe"], tiny, wine)


def test_windows_gives_the_same_vectors(windows: Path, bundle: Path, wine: dict[str, str], tmp_path: Path) -> None:
    from mirrorkit.runtime.encoder import Encoder

    library = named("MIRRORKIT_WINDOWS_ONNXRUNTIME")
    elsewhere = tmp_path / "библиотека" / "onnxruntime.dll"
    elsewhere.parent.mkdir()
    shutil.copyfile(library, elsewhere)
    lines, out = tmp_path / "Zeilen ж.txt", tmp_path / "out ж.npy"
    lines.write_text("\n".join(REAL_TEXTS) + "\n", encoding="utf-8")
    program: Program = ["wine", windows / "mirrorkit-cli.exe"]
    expected = Encoder(bundle, "fp32", threads=1).encode(REAL_TEXTS)
    files: Program = ["--input", lines, "--output", out, "--format", "npy", "--threads", "1"]
    succeed([*program, "encode", bundle, "--ort", elsewhere, *files], env=wine)
    np.testing.assert_allclose(np.load(out), expected, rtol=0, atol=TOLERANCE)
    named_so = {**wine, "MIRRORKIT_ONNXRUNTIME": str(elsewhere)}
    done = succeed([*program, "encode", bundle, "--threads", "1"], data=lines.read_bytes(), env=named_so)
    assert b"\r" not in done
    rows = [line.split(b"\t") for line in done.splitlines()]
    np.testing.assert_allclose(np.array(rows, dtype=np.float32), expected, rtol=0, atol=TOLERANCE)


def test_windows_takes_bad_input_without_a_crash(windows: Path, bundle: Path, wine: dict[str, str]) -> None:
    library = named("MIRRORKIT_WINDOWS_ONNXRUNTIME")
    plain = bundle.with_name("bundle")  # what the C runtime makes of a program's words is not ours
    bundle.rename(plain)
    for program in ("api_test", "threads_test"):
        assert succeed(["wine", windows / "tests" / f"{program}.exe", plain, library], env=wine).split() == [b"ok"]


def test_windows_says_which_library_is_missing(windows: Path, bundle: Path, wine: dict[str, str]) -> None:
    program: Program = ["wine", windows / "mirrorkit-cli.exe", "encode", bundle]
    done = run([*program, "--ort", "Z:\\nowhere\\onnxruntime.dll"], data=b"a\n", env=wine)
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("mirrorkit-cli: ONNX Runtime: Z:\\nowhere\\onnxruntime.dll: ")
    done = run([*program, "--ort", "kernel32.dll"], data=b"a\n", env=wine)
    assert b"kernel32.dll: has no OrtGetApiBase" in done.stderr


def test_a_link_out_of_a_bundle_is_refused_on_windows(windows: Path, bundle: Path, wine: dict[str, str]) -> None:
    graph = bundle / "onnx" / "model.onnx"
    shutil.move(graph, bundle.parent / "outside.onnx")
    graph.symlink_to(bundle.parent / "outside.onnx")
    done = run(["wine", windows / "mirrorkit-cli.exe", "encode", bundle], data=b"a\n", env=wine)
    assert done.returncode == 2
    assert b"leads out of the bundle" in done.stderr
