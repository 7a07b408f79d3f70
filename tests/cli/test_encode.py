"""`mirrorkit encode` and `mirrorkit similarity` as a user types them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnx", reason="needs the export extra, to make what is run")
from typer.testing import CliRunner, Result

import mirrorkit
from mirrorkit.cli.app import app
from mirrorkit.runtime.encoder import Encoder
from tests.bundles import make_foreign, save_graph, table

TEXTS = ["The museum opens at nine.", "", "[red] is no colour here"]
COMMAND = [sys.executable, "-c", "from mirrorkit.cli.app import app; app()"]


@pytest.fixture(scope="module")
def folder(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_foreign(tmp_path_factory.mktemp("foreign"), tiny / "tokenizer.json")


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    file = tmp_path / "texts.txt"
    file.write_text("".join(text + "\n" for text in TEXTS), encoding="utf-8")
    return file


def command(*args: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], input=stdin)


def test_encode_writes_and_says_so(folder: Path, texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npy"
    result = command("encode", folder, texts, "-o", out, "--threads", 1)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"wrote {out}: 3 texts, 8 dimensions, fp32, ")
    np.testing.assert_allclose(np.load(out), Encoder(folder).encode(TEXTS), rtol=0, atol=1e-6)
    assert command("--quiet", "encode", folder, texts, "-o", out, "--overwrite").output == ""


def test_encode_loads_nothing_that_it_does_not_need(folder: Path, texts: Path, tmp_path: Path) -> None:
    code = f"""
import json, sys
from mirrorkit.cli.app import app
app(["encode", {str(folder)!r}, {str(texts)!r}, "-o", {str(tmp_path / "out.npy")!r}], standalone_mode=False)
print(json.dumps(sorted(sys.modules)))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert {"onnxruntime", "tokenizers", "numpy", "typer"} <= loaded
    assert loaded.isdisjoint(["torch", "transformers", "onnx", "scipy", "huggingface_hub", "pyarrow"])
    assert loaded.isdisjoint(["pydantic", "statistics", "importlib.metadata"])
    ours = ["cluster", "runtime.files.parts", "runtime.fixed", "runtime.tensorrt.options"]
    assert loaded.isdisjoint(f"mirrorkit.{name}" for name in ours)


def test_encode_reads_standard_input_and_prints_json(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    result = command("encode", folder, "-", "-o", out, "--json", stdin="one\n\nthree\n")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    fields = {"bundle", "variant", "out", "texts", "resumed", "dim", "fingerprint", "seconds", "understood"}
    fields |= {"long", "long_texts", "max_length"}
    assert set(report) == fields
    assert report["understood"] == "standard input: plain text, a line each, 3 rows, 1 empty"
    assert (report["texts"], report["dim"]) == (3, 8)
    assert [json.loads(line)["text"] for line in out.read_text(encoding="utf-8").splitlines()] == ["one", "", "three"]


def test_with_standard_output_closed_a_file_is_a_success_and_a_lost_result_is_not(
    folder: Path, texts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.npy"
    lost = "mirrorkit: standard output cannot be written (it is closed); the requested files, if any, were written\n"
    for args, code, said in (
        (("encode", folder, texts, "-o", out), 0, ""),
        (("encode", folder, texts, "-o", out, "--overwrite", "--json"), 2, lost),
        (("similarity", folder, "a", "b"), 2, lost),
        (("similarity", folder, "a", "b", "--json"), 2, lost),
        (("check", folder), 2, lost),
    ):
        shell = ["sh", "-c", '"$@" >&-', "sh", *COMMAND, *map(str, args)]
        done = subprocess.run(shell, stderr=subprocess.PIPE, text=True, check=False)
        assert (done.returncode, done.stderr) == (code, said)
        assert np.load(out).shape == (3, 8)


def test_encode_picks_a_column(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,body\n1,a\n2,b\n", encoding="utf-8")
    refused = command("encode", folder, tmp_path / "in.csv", "-o", tmp_path / "out.npy")
    assert refused.exit_code == 2
    assert refused.stderr == "mirrorkit: in.csv: choose with --text-column among id, body\n"
    chosen = command("encode", folder, tmp_path / "in.csv", "-o", tmp_path / "out.npy", "--text-column", "body")
    assert chosen.exit_code == 0, chosen.stderr
    assert np.load(tmp_path / "out.npy").shape == (2, 8)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--variant", "int8"], "holds fp32"),
        (["--device", "tpu"], "must be one of cpu, cuda"),
        (["--threads", "0"], "must be a whole number of at least 1"),
        (["--batch-tokens", "0"], "must be at least 1"),
        (["--resume"], "only a .parquet file can be resumed"),
        (["--rebuild"], "--rebuild needs --engine"),
        (["--variant", "tensorrt"], "variant tensorrt: give the folder of its engine too"),
        (["--provider", "openvino"], "provider 'openvino': must be tensorrt"),
        (["--provider", "tensorrt", "--device", "cpu"], "device cpu: TensorRT runs only on cuda"),
    ],
)
def test_bad_options_are_one_line(folder: Path, texts: Path, tmp_path: Path, options: list[str], words: str) -> None:
    result = command("encode", folder, texts, "-o", tmp_path / "out.npy", *options)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["texts.txt"]


def test_similarity(folder: Path) -> None:
    vectors = Encoder(folder).encode(TEXTS)
    cosines = vectors @ vectors.T
    result = command("similarity", folder, *TEXTS)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{cosines[0, 1]:.4f}  {TEXTS[1]}\n{cosines[0, 2]:.4f}  {TEXTS[2]}\n"
    report = json.loads(command("similarity", folder, *TEXTS, "--json").stdout)
    assert report["texts"] == TEXTS
    assert report["function"] == "cosine"
    np.testing.assert_allclose(report["values"], cosines, rtol=0, atol=1e-6)
    alone = command("similarity", folder, "one text")
    assert (alone.exit_code, alone.stderr) == (2, "mirrorkit: similarity needs at least two texts\n")


@pytest.mark.skipif(os.name == "nt", reason="signals as on POSIX")
def _heed_interrupts() -> None:
    for ignored in (signal.SIGINT, signal.SIGHUP):  # by a shell's background jobs, and by nohup
        signal.signal(ignored, signal.SIG_DFL)


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_stopping_leaves_no_result(folder: Path, tmp_path: Path, how: signal.Signals, code: int) -> None:
    out = tmp_path / "out.npy"
    child = subprocess.Popen(
        [*COMMAND, "encode", str(folder), "-", "-o", str(out)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=_heed_interrupts,  # noqa: PLW1509  (no thread of ours runs here)
    )
    try:
        deadline = time.monotonic() + 60  # the job waits for standard input once its draft is there
        while not list(tmp_path.glob(".out.npy.mirrorkit/new")) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.3)
        child.send_signal(how)
        _, stderr = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == code
    assert not out.exists()
    why = "interrupted" if how == signal.SIGINT else f"stopped by {how.name}"
    assert stderr.decode() == f"mirrorkit: {why}, nothing was written\n"
    assert list(tmp_path.iterdir()) == []


def test_the_encoder_is_a_public_name() -> None:
    assert mirrorkit.Encoder is Encoder


def test_check_tells_whether_stored_vectors_are_of_a_bundle(folder: Path, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("one\ntwo\n", encoding="utf-8")
    assert command("encode", folder, tmp_path / "texts.txt", "-o", tmp_path / "out.npy").exit_code == 0
    same = command("check", folder, "--against", tmp_path / "out.npy")
    assert (same.exit_code, same.stdout.splitlines()[0][:6]) == (0, "same: "), same.stderr
    other = make_foreign(tmp_path / "other", tiny / "tokenizer.json", dim="wide", kind="int32")
    assert command("check", other, "--against", tmp_path / "out.npy", "--json").exit_code == 0  # the same table
    (other / "onnx" / "model.onnx").unlink()
    save_graph(
        other / "onnx" / "model.onnx", table(9000)[::-1], ["input_ids", "attention_mask"], ["sentence_embedding"]
    )
    different = command("check", other, "--against", tmp_path / "out.npy")
    assert (different.exit_code, different.stdout.partition(":")[0]) == (1, "different"), different.stderr
    refused = command("check", folder, "--against", tmp_path / "out.npy", "--engine", "openvino")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    missing = command("check", folder, "--against", tmp_path / "no.npy")
    assert (missing.exit_code, missing.stderr.count("\n")) == (2, 1)
