"""Hold the race of the peers to what its tables claim, with made-up figures and processes that cost nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("benchmarks", reason="benchmarks/ is not in sys.path: run python -m pytest from the checkout")
pytest.importorskip("matplotlib", reason="needs the demo extra")
from benchmarks import processes, record
from benchmarks.peers import __main__ as peers
from benchmarks.peers import lineup as peers_lineup
from benchmarks.peers import quality
from benchmarks.peers import report as peers_report
from benchmarks.peers import texts as peers_texts
from benchmarks.peers import worker as peers_worker
from benchmarks.peers.contestants import (
    ALL,
    BARE,
    COMPILED,
    GPU,
    OPTIMUM,
    TORCH_GPU,
    TRANSFORMERS,
    Contestant,
    LineUp,
    Sources,
)
from mirrorkit.errors import ConfigError
from mirrorkit.formats.bundle import read_bundle
from mirrorkit.runtime.opening import tokenizer_of
from tests.bundles import bundle_of

TORCH = "sentence-transformers torch"
EMPTY = "<!-- peers:begin -->\n<!-- peers:end -->\n"


def run_of(speed: float, p50: float) -> dict[str, Any]:
    return {"sentences_per_second": [speed / 2, speed], "p50_ms": p50, "p90_ms": p50, "peak_memory_bytes": 120e6}


RUNS: dict[str, list[dict[str, Any]]] = {
    TORCH: [run_of(100, 10), run_of(50, 20)],
    "mirrorkit int8": [run_of(300, 2), run_of(200, 2)],
}
RECORD: dict[str, Any] = {
    "model": "some-model",
    "date": "2026-01-01",
    "hardware": {"cpu": "a cpu", "cores": 2, "gpu": None, "load_average": None},
    "versions": {"python": "3"},
    "environments": {"optimum": {"torch": "2"}},
    "texts": {"count": 10, "short": "hello", "gflop": 2.0},
    "threads": 2,
    "rounds": 2,
    "passes": 2,
    "calls": 5,
    "sts_sets": {"sts12": 8, "sts13": 9},
    "scores": {TORCH: {"average": 78.5}, "mirrorkit int8": {"average": 78.25}},
    "likeness": {"mirrorkit int8": {"cosine_mean": 0.998, "cosine_min": 0.98}},
    "peak": {"torch": {"512": 90.0}, "onnxruntime": {"384": 100.0, "512": 95.0}},
    "bytes": {"mirrorkit int8": 23_000_000},
    "runs": RUNS,
    "starts": {"mirrorkit int8": [{"command_seconds": 0.4, "start_memory_bytes": 90e6}]},
    "absent": {"OpenVINO int8": "not set up (bash benchmarks/peers/setup openvino)"},
}


def sources(tmp_path: Path, bundle: Path) -> Sources:
    model, texts = tmp_path / "model", tmp_path / "texts.json"
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"weights")
    texts.write_text("[]", encoding="utf-8")
    return Sources(model, bundle, texts, tmp_path / "work", venvs=tmp_path)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mirrorkit.formats.bundle import Bundle, Graph, Precision, Variant, record_files
    from mirrorkit.formats.bundle_writer import write_manifest
    from mirrorkit.formats.pooling import Pooling

    folder = tmp_path_factory.mktemp("bundle")
    (folder / "onnx").mkdir()
    for name, size in (("model.onnx", 8), ("model_quantized.onnx", 3)):
        (folder / "onnx" / name).write_bytes(b"x" * size)
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    variants = {
        "fp32": Variant("fp32", "onnx/model.onnx", Precision.FP32, Graph.ONNX),
        "int8": Variant("int8", "onnx/model_quantized.onnx", Precision.INT8, Graph.ONNX),
    }
    write_manifest(Bundle(folder, "bert", 4, 8, Pooling.MEAN, 0, variants, record_files(folder)))
    return folder


def test_ratios_are_taken_within_a_round() -> None:
    names = ("mirrorkit int8", TORCH)
    assert peers_report.ratios(RUNS, *names, "sentences_per_second") == [3.0, 4.0]
    assert peers_report.ratios(RUNS, *names, "p50_ms") == pytest.approx([0.2, 0.1])


def test_the_tables_say_what_was_measured() -> None:
    text = peers_report.peers_section([RECORD])
    # best 300 sentences/s of 0.2 GFLOP each, of a peak of 100 GFLOP/s
    assert "| mirrorkit int8 | 250 | 300 | **3.50** (3.00–4.00) | 60 % | 2.00 | 2.00 | **0.15** (0.10–0.20) |" in text
    assert "100 GFLOP/s (onnxruntime, 384 × 384; asked: torch, onnxruntime)" in text
    assert "| mirrorkit int8 | 78.25 | -0.25 | 0.99800 / 0.98000 | – | 23.0 | 0.40 | 0.40 | 90 | 120 |" in text
    assert "| OpenVINO int8 | not set up (bash benchmarks/peers/setup openvino) | – |" in text
    assert "mean over 2 sets; pairs: sts12 8, sts13 9" in text
    assert "a cpu, 2 cores, 2 threads" in text
    assert "In .venv-optimum: torch 2." in text
    assert peers_report.peers_section([]) == "Nothing has been measured yet."


def test_the_readme_shows_the_committed_figures() -> None:
    section = record.page_of(record.README, "peers").read_text(encoding="utf-8").split("<!-- peers:begin -->\n")[1]
    shown = section.split("\n<!-- peers:end -->")[0]
    records = peers_report.read_peer_records(record.RESULTS)
    assert shown == peers_report.peers_section(records)
    for one in records:
        assert (record.RESULTS / f"{peers_report.record_stem(one)}.json").is_file()
        assert bool(one["scores"]) == (record.RESULTS / f"{peers_report.record_stem(one)}.png").is_file()


def no_weights(*_: object) -> str:
    raise processes.ProcessError("make_transformers.py: exit code 1: no weights")


def test_whoever_is_not_set_up_is_listed_and_nobody_is_dropped(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers_lineup, "run", no_weights)
    found = peers_lineup.line_up(sources(tmp_path, bundle), lambda _: True, gpu=None)
    names = [contestant.name for contestant in found.contestants]
    assert names == [TORCH, COMPILED, "mirrorkit fp32", "mirrorkit int8", BARE]
    assert {*names, *found.absent} == {*ALL}
    assert found.absent["fastembed"] == "not set up (bash benchmarks/peers/setup fastembed)"
    assert found.absent["CTranslate2 int8"] == "not set up (bash benchmarks/peers/setup ctranslate2)"
    assert found.absent[TRANSFORMERS] == "failed: make_transformers.py: exit code 1: no weights"
    assert found.absent["mirrorkit int4"] == "not in the bundle"
    assert found.absent["ONNX Runtime CUDA fp16"] == "not run: no NVIDIA GPU here"
    int8 = found.contestants[3]
    assert (int8.file, [file.stat().st_size for file in int8.artifacts]) == ("onnx/model_quantized.onnx", [3])


def test_with_a_gpu_its_rows_race(tmp_path: Path, bundle: Path) -> None:
    place = sources(tmp_path, bundle)
    place.python("gpu").parent.mkdir(parents=True)
    place.python("gpu").touch()
    names = (TORCH_GPU, *GPU)
    found = peers_lineup.line_up(place, lambda name: name in names, gpu="a gpu")
    assert [contestant.name for contestant in found.contestants] == [*names]
    assert found.contestants[1].file == "CUDAExecutionProvider:onnx/model_fp16.onnx"
    assert not found.absent


def test_what_is_made_once_is_not_made_again(tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Sequence[str]] = []

    def fake(command: Sequence[str], what: str, env: object) -> str:
        assert what == "make_static.py"
        made.append(command)
        (Path(command[-1]) / "model.safetensors").write_bytes(b"vectors")
        return ""

    monkeypatch.setattr(peers_lineup, "run", fake)
    place = sources(tmp_path, bundle)
    place.python("model2vec").parent.mkdir(parents=True)
    place.python("model2vec").touch()
    for _ in range(2):
        found = peers_lineup.line_up(place, lambda name: name == "model2vec static", gpu=None)
        assert Path(found.contestants[0].path, "model.safetensors").read_bytes() == b"vectors"
    assert len(made) == 1
    (place.model / "model.safetensors").write_bytes(b"other weights")
    peers_lineup.line_up(place, lambda name: name == "model2vec static", gpu=None)
    assert len(made) == 2


def test_an_environment_that_fails_is_listed_with_its_last_words(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fake(*_: object) -> str:
        raise processes.ProcessError("make_onnx.py: exit code 1: no memory")

    monkeypatch.setattr(peers_lineup, "run", fake)
    place = sources(tmp_path, bundle)
    place.python("optimum").parent.mkdir(parents=True)
    place.python("optimum").touch()
    found = peers_lineup.line_up(place, lambda name: name in OPTIMUM, gpu=None)
    assert found.absent == dict.fromkeys(OPTIMUM, "failed: make_onnx.py: exit code 1: no memory")


def test_every_contestant_starts_a_round_once() -> None:
    order: list[str] = []

    def note(name: str) -> dict[str, object]:
        order.append(name)
        return {}

    runs = processes.race("abc", 3, note, str)
    assert "".join(order) == "abcbcacab"
    assert {name: len(values) for name, values in runs.items()} == {"a": 3, "b": 3, "c": 3}


def test_a_process_is_read_to_its_last_line_and_named_when_it_fails() -> None:
    env = processes.environment(1)
    found = processes.run_json([sys.executable, "-c", "print('hello')\nprint('{\"a\": 1}')"], "it", env)
    assert found["a"] == 1
    assert found["command_seconds"] > 0
    with pytest.raises(processes.ProcessError, match=r"it: exit code 1: ValueError: too small"):
        processes.run([sys.executable, "-c", "raise ValueError('too small')"], "it", env)
    with pytest.raises(processes.ProcessError, match=r"it: ended with 'hello' where JSON was wanted"):
        processes.run_json([sys.executable, "-c", "print('hello')"], "it", env)
    broken = Contestant("mirrorkit fp32", "mirrorkit", sys.executable, "/no/such/bundle", "fp32")
    with pytest.raises(processes.ProcessError, match="mirrorkit fp32: exit code 1"):
        peers.run_worker(broken, {"stage": "start", "threads": 1})


class Stand:
    """Workers that are asked are written down; vectors are the lengths of the texts."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.broken: set[str] = set()  # names, or names with the stage in which they fail

    def __call__(self, contestant: Contestant, job: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(f"{contestant.name} {job['stage']}")
        if {contestant.name, self.asked[-1]} & self.broken:
            raise processes.ProcessError(f"{contestant.name}: exit code 1: no such operator")
        if job["stage"] == "start":
            return {"command_seconds": 1.0, "start_memory_bytes": 5}
        texts = json.loads(Path(job["texts"]).read_text(encoding="utf-8"))
        vectors = np.array([[1 + len(text), text.count("e")] for text in texts], dtype=np.float32)
        vectors.tofile(job["vectors"])
        return run_of(10, 1)


def test_the_whole_race(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand, place = Stand(), sources(tmp_path, bundle)
    two = [Contestant(name, "gemm", "python", artifacts=(place.texts,)) for name in (TORCH, "mirrorkit int8")]
    last = Contestant(BARE, "bare", "python", start_only=True)
    monkeypatch.setattr(peers, "run_worker", stand)
    monkeypatch.setattr(peers, "line_up", lambda *_: LineUp([*two, last], {"fastembed": "not set up"}))
    monkeypatch.setattr(peers, "measure_peak", lambda *_: {"torch": {"512": 10.0}})
    monkeypatch.setattr(peers, "pass_gflop", lambda *_: 1.0)
    monkeypatch.setattr(peers, "gpu_name", lambda: None)
    monkeypatch.setattr(peers, "peer_versions", lambda _: {})
    monkeypatch.setattr(quality, "STS", tmp_path / "no-sts")
    readme, results = tmp_path / "README.md", tmp_path / "results"
    readme.write_text(EMPTY, encoding="utf-8")
    options = ["--model", str(place.model), "--bundle", str(bundle), "--texts", "10", "--rounds", "2"]
    options += ["--results", str(results), "--readme", str(readme), "--sts-pairs", "6"]
    options += ["--work", str(tmp_path / "work"), "--shapes", "none"]
    assert peers.main(options) == 0, capsys.readouterr().err
    scored = [f"{TORCH} vectors", "mirrorkit int8 vectors"]
    assert stand.asked[:2] == scored
    assert stand.asked[2:] == [
        *(f"{name} time" for name in (TORCH, "mirrorkit int8", "mirrorkit int8", TORCH)),
        *(f"{name} start" for name in (TORCH, "mirrorkit int8", BARE)),
        *(f"{name} start" for name in ("mirrorkit int8", BARE, TORCH)),
    ]
    (file,) = results.glob("*.json")
    written = json.loads(file.read_text(encoding="utf-8"))
    assert file.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert written["likeness"]["mirrorkit int8"]["cosine_min"] == pytest.approx(1)
    assert written["bytes"] == {TORCH: 2, "mirrorkit int8": 2}
    assert peers_report.peers_section([written]) in readme.read_text(encoding="utf-8")

    monkeypatch.setattr(peers, "draw", lambda *_: None)  # seen once
    stand.asked.clear()
    assert peers.main(options) == 0
    assert not set(scored) & set(stand.asked)  # nothing that the scores depend on has changed
    stand.asked.clear()
    assert peers.main([*options, "--fresh"]) == 0
    assert stand.asked[:2] == scored
    assert [*json.loads((tmp_path / "work" / "scores.json").read_text(encoding="utf-8"))] == [TORCH, "mirrorkit int8"]

    for broken in ("mirrorkit int8", "mirrorkit int8 time"):
        stand.broken = {broken}
        monkeypatch.setattr(peers, "line_up", lambda *_: LineUp([*two, last]))
        assert peers.main([*options, "--fresh"]) == 1
        written = json.loads(file.read_text(encoding="utf-8"))
        assert written["absent"] == {"mirrorkit int8": "failed: mirrorkit int8: exit code 1: no such operator"}
        assert list(written["runs"]) == [TORCH]


def test_who_is_unknown_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="'nobody': must be of sentence-transformers torch, "):
        peers.pick("nobody")
    assert peers.main(["--only", "nobody"]) == 2
    assert capsys.readouterr().err.startswith("error: 'nobody': must be of ")


def test_every_engine_of_the_line_up_is_one_that_the_worker_has(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers_lineup, "run", no_weights)
    found = peers_lineup.line_up(sources(tmp_path, bundle), lambda _: True, gpu=None)
    engines = {c.engine for c in found.contestants} | {engine for engine, _ in OPTIMUM.values()}
    assert engines <= {*peers_worker.ENGINES}
    others = {"openvino-raw", "ctranslate2", "llama.cpp", "embed-anything", "transformers-export", "torch-compile"}
    assert {"openvino", "fastembed", "model2vec", "onnxruntime-gpu", *others} <= {*peers_worker.ENGINES}


def test_every_set_up_row_is_made_and_has_an_engine(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = sources(tmp_path, bundle)
    for venv in peers_lineup.VENVS:
        place.python(venv).parent.mkdir(parents=True)
        place.python(venv).touch()

    def fake(command: Sequence[str], what: str, _: object) -> str:
        for name in ("fp32.xml", "int8.xml", "model.bin", "f16.gguf", "q8_0.gguf", "model.onnx", "model.safetensors"):
            (Path(command[-1]) / name).touch()
        return ""

    monkeypatch.setattr(peers_lineup, "run", fake)
    found = peers_lineup.line_up(place, lambda _: True, gpu="a gpu")
    assert {c.engine for c in found.contestants} <= {*peers_worker.ENGINES}
    left_out = {name for name, why in found.absent.items() if why != "not in the bundle"}
    assert not left_out
    assert {c.name for c in found.contestants} | {*found.absent} == {*ALL}


def test_texts_of_each_kind(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    bundle = bundle_of(tiny, ("fp32",), tmp_path_factory)
    texts = [
        f"The {word} number {i} stands by the window." * (1 + i % 3) for i, word in enumerate(["chair", "lamp"] * 30)
    ]
    found = peers_texts.shaped_texts("short,sts,20,60", bundle, texts, 8)
    assert {name: len(some) for name, some in found.items()} == {"short": 8, "sts": 8, "20": 8, "60": 8}
    for tokens in (20, 60):
        lengths = tokenizer_of(read_bundle(bundle), 1000).ids(found[str(tokens)]).lengths
        assert abs(lengths - tokens).max() <= tokens // 4
    assert peers_texts.shaped_texts("none", bundle, texts, 8) == {}
    with pytest.raises(ConfigError, match="shapes 'long': must be short, sts or a number of tokens"):
        peers_texts.shaped_texts("long", bundle, texts, 8)
    assert peers_texts.whole_numbers("1,8") == [1, 8]
    for wrong in ("", "0", "1,,2", "a", "-1"):
        with pytest.raises(ConfigError, match="batches"):
            peers_texts.whole_numbers(wrong)


def test_the_worker_times_every_shape() -> None:
    job = {"batches": [1, 4], "batch_calls": 2}
    sizes: list[int] = []

    def encode(texts: list[str]) -> None:
        sizes.append(len(texts))

    found = peers_worker._shape(encode, ["a"] * 8, job)
    assert sizes == [4, 8, 1, 1, 4, 4]
    assert set(found) == {"bulk_ms", "bulk_cpu_ms", "1_ms", "4_ms"}


def test_likeness_of_vectors_of_another_width_is_their_order(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    vectors.tofile(tmp_path / "a")
    np.hstack([vectors, np.zeros((20, 2), np.float32)]).tofile(tmp_path / "b")
    assert quality.likeness(tmp_path / "b", tmp_path / "a", 20) == {"spearman": pytest.approx(1)}
    same = quality.likeness(tmp_path / "a", tmp_path / "a", 20)
    assert same == {name: pytest.approx(1) for name in ("cosine_mean", "cosine_min", "spearman")}
