"""Hold the encoding benchmark to what its tables claim, and run it once on a small bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("benchmarks", reason="benchmarks/ is not in sys.path: run python -m pytest from the checkout")
from benchmarks import encode, encode_report, record
from benchmarks.encode import Contestant
from mirrorkit.errors import ConfigError


def run_of(speed: float, p50: float) -> dict[str, Any]:
    return {"sentences_per_second": [speed / 2, speed], "p50_ms": p50, "p90_ms": p50, "load_seconds": 1.0}


RUNS: dict[str, list[dict[str, Any]]] = {
    "GEMM peak": [{"gflops": 100.0}, {"gflops": 90.0}],
    "sentence-transformers torch": [run_of(100, 10), run_of(50, 20)],
    "mirrorkit int8": [run_of(300, 2), run_of(200, 2)],
}
RECORD: dict[str, Any] = {
    "model": "some-model",
    "date": "2026-01-01",
    "hardware": {"cpu": "a cpu", "cores": 2, "gpu": None, "load_average": None},
    "versions": {"python": "3"},
    "texts": {"source": "lines", "count": 10, "short": "hello", "gflop": 2.0},
    "threads": 2,
    "rounds": 2,
    "passes": 2,
    "calls": 5,
    "likeness": {"mirrorkit int8": {"cosine_mean": 0.998, "cosine_min": 0.98}},
    "runs": RUNS,
    "starts": {"mirrorkit int8": [{"start_seconds": 0.4, "start_memory_bytes": 90e6}]},
}


def test_ratios_are_taken_within_a_round() -> None:
    names = ("mirrorkit int8", "sentence-transformers torch")
    assert encode_report.ratios(RUNS, *names, "sentences_per_second") == [3.0, 4.0]
    assert encode_report.ratios(RUNS, *names, "p50_ms") == pytest.approx([0.2, 0.1])


def test_the_table_says_what_was_measured() -> None:
    text = encode_report.encode_section([RECORD])
    # best 300 sentences/s of 0.2 GFLOP each, of a peak of 100 GFLOP/s
    assert "| mirrorkit int8 | 250 | 300 | **3.50** (3.00–4.00) | 60 % |" in text
    assert "| 2.00 | 2.00 | **0.15** (0.10–0.20) | 0.99800 / 0.98000 |" in text
    assert "| mirrorkit int8 | 0.40 | 0.40 | 90 |" in text
    assert "a cpu, 2 cores, 2 threads" in text


def test_every_contestant_starts_a_round_once() -> None:
    order: list[str] = []
    rows = [Contestant(name, "gemm", "python") for name in "abc"]

    def note(contestant: Contestant) -> dict[str, object]:
        order.append(contestant.name)
        return {"gflops": 1.0}

    runs = encode.race(rows, 3, note)
    assert "".join(order) == "abcbcacab"
    assert {name: len(values) for name, values in runs.items()} == {"a": 3, "b": 3, "c": 3}


def test_likeness_is_the_cosine_row_by_row(tmp_path: Path) -> None:
    reference = np.array([[1, 0], [0, 2]], dtype=np.float32)
    vectors = np.array([[3, 0], [1, 1]], dtype=np.float32)
    for name, values in (("a", vectors), ("b", reference)):
        values.tofile(tmp_path / name)
    found = encode.likeness(tmp_path / "a", tmp_path / "b", 2)
    assert found == pytest.approx({"cosine_mean": (1 + 0.5**0.5) / 2, "cosine_min": 0.5**0.5})


def test_a_contestant_that_fails_is_named() -> None:
    import sys

    broken = Contestant("mirrorkit fp32", "mirrorkit", sys.executable, "/no/such/bundle", "fp32")
    job = {"texts": "none", "short": "x", "threads": 1, "passes": 1, "calls": 1, "vectors": ""}
    with pytest.raises(ConfigError, match="mirrorkit fp32: exit code 1"):
        encode.run_worker(broken, job)


def test_the_readme_shows_the_committed_figures() -> None:
    section = record.README.read_text(encoding="utf-8").split("<!-- encode:begin -->\n")[1]
    shown = section.split("\n<!-- encode:end -->")[0]
    assert shown == encode_report.encode_section(encode_report.read_encode_records(record.RESULTS))


@pytest.mark.slow
def test_the_whole_command_on_a_small_model(tmp_path: Path, tiny: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("<!-- encode:begin -->\n<!-- encode:end -->\n", encoding="utf-8")
    pytest.importorskip("sentence_transformers")
    from mirrorkit import SentenceEncoder, export_bundle

    SentenceEncoder.load(tiny).save(tmp_path / "model")
    export_bundle(tmp_path / "model", tmp_path / "bundle", precision=("fp32",))
    names = ["GEMM peak", "sentence-transformers torch", "mirrorkit fp32", "bare onnxruntime + tokenizers"]
    small = ["--texts", "20", "--threads", "1", "--rounds", "1", "--passes", "1", "--calls", "3"]
    places = ["--results", str(tmp_path / "results"), "--readme", str(readme)]
    what = ["--model", str(tmp_path / "model"), "--bundle", str(tmp_path / "bundle"), "--only", ",".join(names)]
    assert encode.main([*small, *places, *what]) == 0
    (file,) = (tmp_path / "results").iterdir()
    written = json.loads(file.read_text(encoding="utf-8"))
    assert list(written["runs"]) == names[:3]
    assert list(written["starts"]) == names[1:]
    assert written["likeness"]["mirrorkit fp32"]["cosine_min"] > 0.99999
    assert encode_report.encode_section([written]) in readme.read_text(encoding="utf-8")
