"""The C++ program among the examples: it builds against the library and gives Python's cosine."""

from __future__ import annotations

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


def test_the_example_gives_the_cosine_of_python(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, tiny: Path
) -> None:
    library = build("tests", tmp_path_factory)
    found = sorted(library.rglob("libmirrorkit.so*")) or sorted(library.rglob("libmirrorkit.a"))
    program = tmp_path / "similarity"
    flags = ["-std=c++17", f"-I{SOURCE / 'include'}", f"-Wl,-rpath,{found[0].parent}", "-ldl", "-pthread"]
    succeed(["c++", ROOT / "examples" / "similarity.cpp", found[0], *flags, "-o", program])
    lookup_bundle(tmp_path / "bundle", tiny)
    env = {"MIRRORKIT_ONNXRUNTIME": str(onnxruntime_library())}
    printed = float(succeed([program, tmp_path / "bundle", *TEXTS], env=env))
    first, second = Encoder(tmp_path / "bundle", "fp32").encode(TEXTS)
    assert printed == pytest.approx(float(np.dot(first, second)), abs=1e-4)
    assert run([program, tmp_path / "nothing", *TEXTS], env=env).returncode == 1
