"""A bundle in one file, in memory, or read by the program itself: in C and C++ the same bits as its folder gives."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the export extra")
pytest.importorskip("onnx", reason="needs the export extra")

from mirrorkit import Encoder, pack
from tests.bundles import add_goldens, bundle_of
from tests.conftest import REAL_TEXTS
from tests.cpp.building import onnxruntime_library, run, succeed
from tests.packing import SPOILT, with_shared_weights

pytestmark = pytest.mark.cpp

VARIANTS = ("fp32", "onnx/model.onnx")  # the first is the fused one, which has its weights from the file of the other


@pytest.fixture(scope="module")
def bundle(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of two graphs, one of which has its weights from the file of the other; do not write into it."""
    folder = tmp_path_factory.mktemp("packed") / "bundle"
    shutil.copytree(bundle_of(tiny, ["fp32"], tmp_path_factory), folder)
    with_shared_weights(folder)
    add_goldens(folder, REAL_TEXTS)
    return folder


@pytest.fixture(scope="module")
def file(bundle: Path) -> Path:
    pack(bundle, bundle.parent / "encoder.mkit")
    return bundle.parent / "encoder.mkit"


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_source_gives_the_same_bits(variant: str, built: Path, bundle: Path, file: Path) -> None:
    command: list[str | Path] = [built / "tests" / "sources_test", bundle, file, onnxruntime_library(), variant]
    assert succeed(command) == b"ok\n"


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_file_gives_the_bits_of_python(
    variant: str, built: Path, file: Path, bundle: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    texts = [text.replace("\n", " ") for text in REAL_TEXTS]
    (tmp_path / "in.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    vectors = {}
    for place in (bundle, file):
        out = tmp_path / f"{place.name}.npy"
        files: list[str | Path] = ["--input", tmp_path / "in.txt", "--format", "npy", "--output", out]
        options = ["--threads", "1", "--variant", variant, "--batch-tokens", "1"]
        succeed([built / "mirrorkit-cli", "encode", place, *files, *options], env=environment)
        vectors[place] = np.load(out)
    np.testing.assert_array_equal(vectors[file], vectors[bundle])
    expected = Encoder(file, variant, threads=1).encode(texts, batch_tokens=1)
    np.testing.assert_array_equal(vectors[file], expected)


def test_check_reads_the_goldens_inside(built: Path, file: Path, environment: dict[str, str]) -> None:
    out = succeed([built / "mirrorkit-cli", "check", file, "--threads", "1"], env=environment).decode()
    assert f"{len(REAL_TEXTS)} texts" in out
    assert "passed" in out


def test_a_spoilt_file_is_refused_in_a_line(built: Path, file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    spoilt = []
    for number, spoil in enumerate(SPOILT.values()):
        spoilt.append(tmp_path / f"{number}.mkit")
        spoilt[-1].write_bytes(spoil(whole))
    said = succeed([built / "tests" / "verdicts", file, *spoilt]).decode().split("\0")[:-1]
    assert said[0] == ""
    for how, line in zip(SPOILT, said[1:], strict=True):
        assert line, how
        assert "\n" not in line


def test_a_damaged_member_is_found(built: Path, file: Path, environment: dict[str, str], tmp_path: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[raw.index(b'"model"')] ^= 1  # of tokenizer.json
    (tmp_path / "damaged.mkit").write_bytes(raw)
    done = run([built / "mirrorkit-cli", "encode", tmp_path / "damaged.mkit"], data=b"a\n", env=environment)
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert "tokenizer.json: changed or damaged" in line
