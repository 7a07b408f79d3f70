"""`--engine openvino` on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("openvino", reason="needs the openvino extra; `make test-consumers` has it")
pytest.importorskip("onnxruntime", reason="needs the onnx extra, to compare with")
pytest.importorskip("onnx", reason="needs the export extra, to make what is run")

from typer.testing import CliRunner

from mirrorkit import Encoder
from mirrorkit.cli.app import app
from tests.engines import lookup_bundle

TEXTS = ["a cat", "a dog", "some longer text about neither"]


@pytest.fixture
def folder(tiny: Path, tmp_path: Path, cache: Path) -> Path:
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    return lookup_bundle(tmp_path / "bundle", tiny / "tokenizer.json", ["fp32"])


def command(*words: object) -> Any:
    return CliRunner().invoke(app, [*map(str, words)])


def test_encode_writes_its_vectors(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npy"
    asked = ("--engine", "openvino", "--precision", "fp32", "--threads", 1, "--json")
    result = command("encode", folder, tmp_path / "texts.txt", "-o", out, *asked)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["variant"] == "openvino-fp32"
    np.testing.assert_allclose(np.load(out), Encoder(folder).encode(TEXTS), rtol=0, atol=1e-5)


def test_a_file_of_its_vectors_is_known_again(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npy"
    asked = ("--engine", "openvino", "--precision", "fp32")
    assert command("encode", folder, tmp_path / "texts.txt", "-o", out, *asked).exit_code == 0
    found = command("check", folder, "--against", out)
    assert (found.exit_code, found.stderr) == (0, "")
    assert "has the same fingerprint as the encoder" in " ".join(found.stdout.split())
    assert Encoder(folder, "openvino-fp32").fingerprint != Encoder(folder, "fp32").fingerprint


def test_similarity_is_that_of_onnx_runtime(folder: Path) -> None:
    by_openvino, plain = (
        json.loads(command("similarity", folder, *TEXTS, "--json", *more).stdout)
        for more in (["--engine", "openvino", "--precision", "fp32"], [])
    )
    assert by_openvino["variant"] == "openvino-fp32"
    np.testing.assert_allclose(by_openvino["values"], plain["values"], rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--engine", "openvino", "--precision", "fp64"], "--precision 'fp64': must be one of fp32, bf16, int8"),
        (["--precision", "int8"], "--precision 'int8': for ONNX Runtime must be bf16 or left out"),
        (["--engine", "openvino", "--device", "cuda"], "--device 'cuda': OpenVINO runs on one of cpu, gpu, npu"),
        (["--engine", "openvino", "--provider", "tensorrt"], "cannot be combined with TensorRT"),
    ],
)
def test_what_cannot_be_is_one_line(folder: Path, tmp_path: Path, options: list[str], words: str) -> None:
    result = command("encode", folder, tmp_path / "texts.txt", "-o", tmp_path / "out.npy", *options)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert words in result.stderr
    assert not (tmp_path / "out.npy").exists()


def test_a_job_of_another_engine_is_not_continued(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs the parquet extra")
    from mirrorkit.runtime.files.encode_file import encode_file

    class Stop:
        def phase(self, name: str) -> None: ...

        def advance(self, done: int, total: int | None, figures: str = "") -> None:
            raise KeyboardInterrupt

    out, texts = tmp_path / "out.parquet", str(tmp_path / "texts.txt")
    with pytest.raises(KeyboardInterrupt):
        encode_file(folder, texts, out, progress=Stop())
    refused = command("encode", folder, texts, "-o", out, "--resume", "--engine", "openvino", "--precision", "fp32")
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    assert command("encode", folder, texts, "-o", out, "--resume").exit_code == 0
