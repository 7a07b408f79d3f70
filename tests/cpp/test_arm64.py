"""The C++ library on ARM64, cross-compiled and run by qemu: the same ids and vectors as here.

Needs Debian's g++-aarch64-linux-gnu and qemu-user, and in MIRRORKIT_ARM64_ONNXRUNTIME the libonnxruntime of an aarch64
wheel of onnxruntime, unpacked: `make test-cpp-all` sees to all three.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.bundles import bundle_of
from tests.conftest import REAL_TEXTS
from tests.cpp.building import build, framed, succeed

pytestmark = [pytest.mark.slow, pytest.mark.cpp]

TOLERANCE = 1e-5  # of a component, fp32
EMULATED = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", "-cpu", "cortex-a72"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("arm64", tmp_path_factory, "aarch64-linux-gnu-g++", "qemu-aarch64")


def test_token_ids(built: Path, tiny: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    reference = tokenizers.Tokenizer.from_file(str(tiny / "tokenizer.json"))
    reference.enable_truncation(64)
    command: list[str | Path] = [*EMULATED, built / "tests" / "token_ids", tiny / "tokenizer.json", "64"]
    numbers = np.frombuffer(succeed(command, data=framed(REAL_TEXTS)), dtype=np.int32)
    rows = [reference.encode(text).ids for text in REAL_TEXTS]
    assert numbers.tolist() == [number for row in rows for number in (len(row), *row)]


def test_vectors(built: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    library = os.environ.get("MIRRORKIT_ARM64_ONNXRUNTIME", "")
    if not library:
        pytest.skip("needs MIRRORKIT_ARM64_ONNXRUNTIME, the libonnxruntime of an aarch64 wheel")
    pytest.importorskip("torch", reason="needs the export extra")
    from mirrorkit.runtime.encoder import Encoder

    bundle = bundle_of(tiny, ["fp32"], tmp_path_factory)
    lines, out = tmp_path / "in.txt", tmp_path / "out.npy"
    lines.write_text("\n".join(REAL_TEXTS) + "\n", encoding="utf-8")
    options: list[str | Path] = [
        "--ort",
        library,
        "--threads",
        "1",
        "--format",
        "npy",
        "--input",
        lines,
        "--output",
        out,
    ]
    succeed([*EMULATED, built / "mirrorkit-cli", "encode", bundle, *options])
    expected = Encoder(bundle, "fp32", threads=1).encode(REAL_TEXTS)
    np.testing.assert_allclose(np.load(out), expected, rtol=0, atol=TOLERANCE)


def test_the_programs_are_for_arm64(built: Path) -> None:
    assert (built / "tests" / "token_ids").read_bytes()[18:20] == b"\xb7\x00"  # the machine of an ELF file
