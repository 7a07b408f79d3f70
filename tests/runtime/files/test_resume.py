"""A parquet job that was stopped goes on where it was, with the same input and bundle only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs the onnx extra")
pytest.importorskip("onnx", reason="needs the export extra, to make what is run")
pytest.importorskip("pyarrow", reason="needs the parquet extra")
from pyarrow import parquet

from mirrorkit.errors import BundleError, OutputError
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.runtime.encoding import Encoding
from mirrorkit.runtime.files import encode_file as job
from mirrorkit.runtime.files.encode_file import encode_file
from mirrorkit.runtime.fingerprint import CANARIES
from tests.bundles import make_foreign
from tests.progress import Told

ROWS = [f"sentence number {i}" for i in range(50)]


@pytest.fixture(scope="module")
def folder(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_foreign(tmp_path_factory.mktemp("foreign"), tiny / "tokenizer.json")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return rewrite(tmp_path / "rows.txt", ROWS)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.parquet"


@pytest.fixture
def stopped(folder: Path, rows: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leave a job of 50 rows after 3 parts of 8; return the folder of its parts."""
    monkeypatch.setattr(job, "CHUNK", 8)

    def stop(done: int, _: int | None) -> None:
        if done == 24:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_file(folder, str(rows), out, progress=Told(stop))
    parts = out.with_name(".out.parquet.parts")
    assert len(list(parts.glob("part-*.parquet"))) == 3
    assert not out.exists()
    return parts


def rewrite(file: Path, rows: list[str]) -> Path:
    file.write_text("".join(row + "\n" for row in rows), encoding="utf-8")
    return file


def check(out: Path, folder: Path, rows: list[str]) -> None:
    table = parquet.read_table(out)
    assert table["text"].to_pylist() == rows
    expected = Encoder(folder, threads=1).encode(rows)
    np.testing.assert_allclose(np.array(table["embedding"].to_pylist()), expected, rtol=0, atol=1e-6)


def test_the_rest_alone_is_encoded(
    stopped: Path, folder: Path, rows: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    run = Encoding.encode

    def counted(self: Encoding, texts: Any, *args: Any, **options: Any) -> Any:
        encoded.append(len(texts))
        return run(self, texts, *args, **options)

    monkeypatch.setattr(Encoding, "encode", counted)
    result = encode_file(folder, str(rows), out, resume=True)
    assert encoded[len(CANARIES) :] == [8, 8, 8, 2]
    assert (result.texts, result.resumed) == (50, 24)
    assert "50 texts, 24 of them by an earlier run, 8 dimensions, fp32, " in result.line()
    assert not stopped.exists()
    check(out, folder, ROWS)
    assert parquet.ParquetFile(out).num_row_groups == 7


def test_rows_may_be_added_meanwhile(stopped: Path, folder: Path, rows: Path, out: Path) -> None:
    more = [*ROWS, "one more", ""]
    rewrite(rows, more)
    assert encode_file(folder, str(rows), out, resume=True).resumed == 24
    check(out, folder, more)


@pytest.mark.parametrize(
    ("changed", "row"), [([*ROWS[:10], "other", *ROWS[11:]], 11), (ROWS[1:], 1), (ROWS[:20], 21), ([], 1)]
)
def test_another_input_is_refused(
    stopped: Path, folder: Path, rows: Path, out: Path, changed: list[str], row: int
) -> None:
    rewrite(rows, changed)
    with pytest.raises(OutputError, match=rf"out.parquet: row {row} of the input has changed .*`overwrite=True`"):
        encode_file(folder, str(rows), out, resume=True)
    rewrite(rows, ROWS)
    assert encode_file(folder, str(rows), out, resume=True).resumed == 24  # nothing was lost by the attempt


def test_another_bundle_is_refused(stopped: Path, rows: Path, out: Path, tmp_path: Path, tiny: Path) -> None:
    other = make_foreign(tmp_path / "other", tiny / "tokenizer.json", max_position_embeddings=32)
    with pytest.raises(OutputError, match="was begun with another bundle or variant"):
        encode_file(other, str(rows), out, resume=True)


def test_a_stopped_job_is_not_thrown_away_by_accident(stopped: Path, folder: Path, rows: Path, out: Path) -> None:
    with pytest.raises(OutputError, match="half-way; continue with `resume=True` or start again with `overwrite=True`"):
        encode_file(folder, str(rows), out)
    assert len(list(stopped.glob("part-*.parquet"))) == 3
    assert encode_file(folder, str(rows), out, overwrite=True).resumed == 0
    check(out, folder, ROWS)


def test_damaged_parts_are_named(stopped: Path, folder: Path, rows: Path, out: Path) -> None:
    part = stopped / "part-000001.parquet"
    part.write_bytes(part.read_bytes()[:-5])
    with pytest.raises(OutputError, match=r"part-000001.parquet: damaged; start again with `overwrite=True`"):
        encode_file(folder, str(rows), out, resume=True)
    (stopped / "job.json").write_text("{", encoding="utf-8")
    with pytest.raises(OutputError, match=r"job.json: damaged; start again"):
        encode_file(folder, str(rows), out, resume=True)


def test_nothing_to_resume(folder: Path, rows: Path, out: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert encode_file(folder, str(rows), out, resume=True).resumed == 0
    assert "there is no job to resume" in caplog.text
    check(out, folder, ROWS)


def test_two_jobs_at_one_place(folder: Path, rows: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fcntl", reason="no file locks of this kind here")
    monkeypatch.setattr(job, "CHUNK", 8)
    refused = []

    def second(done: int, _: int | None) -> None:
        if done == 8:
            with pytest.raises(OutputError, match=f"is being written by process {os.getpid()} on "):
                encode_file(folder, str(rows), out, resume=True)
            refused.append(done)

    encode_file(folder, str(rows), out, progress=Told(second))
    assert refused == [8]
    check(out, folder, ROWS)


def test_an_index_in_an_error_counts_from_the_first_row(
    stopped: Path, folder: Path, rows: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Any, input_ids: Any, attention_mask: Any) -> Any:
        return np.full((len(input_ids), 8), np.nan, dtype=np.float32)

    monkeypatch.setattr("mirrorkit.runtime.session.OnnxSession.batch", broken)
    with pytest.raises(BundleError, match=r"texts\[24\] holds NaN or infinity"):
        encode_file(folder, str(rows), out, resume=True)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_a_killed_job_goes_on(folder: Path, rows: Path, out: Path) -> None:
    code = f"""
import time
from mirrorkit.runtime.files import encode_file as job
job.CHUNK = 8
from tests.progress import Told
wait = lambda done, total: time.sleep(60 if done == 16 else 0)
job.encode_file({str(folder)!r}, {str(rows)!r}, {str(out)!r}, progress=Told(wait))"""
    child = subprocess.Popen([sys.executable, "-c", code])
    try:
        second = out.with_name(".out.parquet.parts") / "part-000001.parquet"
        deadline = time.monotonic() + 60
        while not second.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        child.kill()
        child.wait(60)
    assert not out.exists()
    assert encode_file(folder, str(rows), out, resume=True).resumed == 16
    check(out, folder, ROWS)
    assert sorted(file.name for file in out.parent.iterdir()) == ["out.parquet", "rows.txt"]
