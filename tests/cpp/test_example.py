"""The C++ and Rust programs among the examples: they build against the library and give Python's cosine."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the export extra")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")

from mirrorkit import Encoder
from tests.cpp.building import ROOT, SOURCE, build, onnxruntime_library, run, succeed
from tests.lookups import lookup_bundle

pytestmark = pytest.mark.cpp
TEXTS = ["A man is playing a guitar.", "Somebody plays an instrument."]


@pytest.fixture(scope="module")
def bundle(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lookup_bundle(tmp_path_factory.mktemp("example") / "bundle", tiny)


def judge(program: Path, bundle: Path, variant: str) -> None:
    """Hold what a program prints against Python's cosine of that variant."""
    env = {"MIRRORKIT_ONNXRUNTIME": str(onnxruntime_library())}
    printed = float(succeed([program, bundle, *TEXTS], env=env))
    first, second = Encoder(bundle, variant).encode(TEXTS)
    assert printed == pytest.approx(float(np.dot(first, second)), abs=1e-4)
    done = run([program, bundle.parent / "nothing", *TEXTS], env=env)
    assert done.returncode == 1
    assert b"nothing: no such folder" in done.stderr
    assert run([program, bundle], env=env).returncode == 2


def test_the_example_in_cpp(bundle: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    library = build("tests", tmp_path_factory)
    found = sorted(library.rglob("libmirrorkit.so*")) or sorted(library.rglob("libmirrorkit.a"))
    program = tmp_path / "similarity"
    flags = ["-std=c++17", f"-I{SOURCE / 'include'}", f"-Wl,-rpath,{found[0].parent}", "-ldl", "-pthread"]
    succeed(["c++", ROOT / "examples" / "similarity.cpp", found[0], *flags, "-o", program])
    judge(program, bundle, "fp32")


def test_the_example_in_rust(bundle: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    if shutil.which("rustc") is None:
        pytest.skip("needs rustc")
    library = build("tests", tmp_path_factory)
    program = tmp_path / "similarity"
    flags: list[str | Path] = [
        "-O",
        "-D",
        "warnings",
        "-L",
        library,
        "-l",
        "mirrorkit",
        f"-Clink-arg=-Wl,-rpath,{library}",
    ]
    succeed(["rustc", "--edition", "2021", *flags, ROOT / "examples" / "similarity.rs", "-o", program])
    judge(program, bundle, "auto")
