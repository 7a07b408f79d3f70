"""The timing of the benchmark: rounds, rotation, stopping, and what becomes of the processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mirrorkit.bench.measure import processes, worker
from mirrorkit.bench.measure.candidates import Candidate
from mirrorkit.bench.measure.gemm import gemm_peaks
from mirrorkit.bench.measure.machine import environment, flops_per_token, resident_bytes
from mirrorkit.bench.measure.plan import BenchPlan, Budget, Shapes
from mirrorkit.bench.measure.processes import Outcome, WorkerError, run_worker
from mirrorkit.bench.measure.speed import measure_speed

BUDGET = Budget("try", seconds=1000, min_rounds=3, max_rounds=6, texts=4, calls=3)
SHAPES = Shapes(lengths=(8, 16), batches=(1, 4))
MINILM = {"model_type": "bert", "hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536}


def plan(budget: Budget = BUDGET) -> BenchPlan:
    return BenchPlan(budget, threads=2, seed=0)


def candidate(name: str, folder: str = "/nowhere") -> Candidate:
    return Candidate(name, folder, "onnx/model.onnx", "fp32", "onnx", 1, True)


class Machine:
    """Stands in for the processes: `pace[name]` seconds a call, times the luck of the round."""

    def __init__(self, pace: Mapping[str, float], luck: Callable[[str, int], float]) -> None:
        self.pace, self.luck = pace, luck
        self.jobs: list[tuple[str, str]] = []

    def __call__(self, job: Mapping[str, Any], subject: str) -> Outcome:
        self.jobs.append((job["task"], subject))
        if job["task"] == "gemm":
            return Outcome({"numpy": 1e9, "onnxruntime": 2e9}, 0.1)
        call = self.pace[subject] * self.luck(subject, self.jobs.count((job["task"], subject)))
        if job["task"] == "start":
            return Outcome({"dim": 8}, 50 * call)
        found = {
            "texts": len(job["texts"]),
            "tokens": 40,
            "short_tokens": 12,
            "ragged": [2 * call] * 3,
            "single": [call] * 5,
            "tokenise": [call / 2] * 3,
            "resident": 1000 * len(self.jobs),
            "peak": 2000 * len(self.jobs),
            "grid": [{"batch": b, "length": n, "times": [call * b * n]} for b, n in job["shapes"]],
        }
        return Outcome(found, 1.0)


def test_each_round_has_every_subject_once_and_begins_with_another(tmp_path: Path) -> None:
    machine = Machine({"baseline": 1.0, "int8": 0.5}, lambda *_: 1.0)
    found = measure_speed([candidate("baseline"), candidate("int8")], plan(), SHAPES, list("abcd"), "a", machine)
    assert machine.jobs[:2] == [("start", "baseline"), ("start", "int8")]  # for nothing
    timed = [name for task, name in machine.jobs if task == "speed"]
    assert timed == ["baseline", "int8", "int8", "baseline", "baseline", "int8"]
    assert (found.rounds, found.stopped) == (3, "narrow intervals")
    assert (found.gemm_peak, found.gemm_by, found.tokens, found.short_tokens) == (2e9, "onnxruntime", 40, 12)


def test_every_figure_is_what_the_calls_took() -> None:
    machine = Machine({"baseline": 1.0, "int8": 0.5}, lambda *_: 1.0)
    run = measure_speed([candidate("baseline"), candidate("int8")], plan(), SHAPES, list("abcd"), "a", machine)
    base, own = run.speeds["baseline"], run.speeds["int8"]
    assert (base.ratio, base.single_ratio, base.gemm_share) == (None, None, None)
    assert own.ratio is not None
    assert own.single_ratio is not None
    assert (own.ratio.value, own.single_ratio.value) == (0.5, 0.5)
    assert [(t.batch, t.length, t.calls) for t in own.grid] == [(1, 8, 3), (4, 8, 3), (1, 16, 3), (4, 16, 3)]
    assert own.grid[3].p50.value == own.grid[3].p99.value == 32
    assert own.grid[3].tokens_per_second.value == pytest.approx(2)
    assert (own.ragged.batch, own.ragged.length, own.ragged.calls) == (4, None, 9)
    assert (own.ragged.sentences_per_second.value, own.ragged.tokens_per_second.value) == (4, 40)
    assert (own.single.p50.value, own.single.tokens_per_second.value) == (0.5, 24)
    assert own.tokenise_share == 0.25
    assert own.start.value == 25
    assert own.peak_bytes == 2 * max(own.resident_bytes, own.peak_bytes / 2)


def test_a_ratio_is_paired_so_that_what_slows_a_whole_round_cancels_out() -> None:
    machine = Machine({"baseline": 1.0, "int8": 0.5}, lambda name, number: 1.0 + number % 2)
    run = measure_speed([candidate("baseline"), candidate("int8")], plan(), SHAPES, list("abcd"), "a", machine)
    own = run.speeds["int8"]
    assert own.ratio is not None
    assert (own.ratio.low, own.ratio.high) == pytest.approx((0.5, 0.5))
    assert own.ragged.p50.high / own.ragged.p50.low > 1.5
    assert (run.rounds, run.stopped) == (6, "largest number of rounds")


def test_no_round_begins_that_would_end_after_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 100))
    monkeypatch.setattr("mirrorkit.bench.measure.speed.time.monotonic", lambda: next(clock))
    machine = Machine({"baseline": 1.0}, lambda name, number: 1.0 + number % 3)
    budget = Budget("try", seconds=450, min_rounds=2, max_rounds=9, texts=4, calls=3)
    run = measure_speed([candidate("baseline")], plan(budget), SHAPES, list("abcd"), "a", machine)
    assert (run.rounds, run.stopped, run.seconds) == (4, "budget of time", 400)


def test_the_share_of_the_peak_is_that_of_the_best_shape(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(str(MINILM).replace("'", '"'), encoding="utf-8")
    machine = Machine({"baseline": 1e-3}, lambda *_: 1.0)
    run = measure_speed([candidate("baseline", str(tmp_path))], plan(), SHAPES, list("abcd"), "a", machine)
    work = flops_per_token(MINILM, 16)
    assert work is not None
    assert run.speeds["baseline"].gemm_share == pytest.approx(work / 1e-3 / 2e9)


def test_work_is_counted_where_the_matrices_are_known() -> None:
    assert flops_per_token(MINILM, 14) == pytest.approx(21.36e6, rel=1e-3)
    distil = {"model_type": "distilbert", "dim": 768, "n_layers": 6, "hidden_dim": 3072}
    bert = {"model_type": "bert", "hidden_size": 768, "num_hidden_layers": 6, "intermediate_size": 3072}
    assert flops_per_token(distil, 32) == flops_per_token(bert, 32)
    modern = {**bert, "model_type": "modernbert", "local_attention": 128}
    assert flops_per_token(modern, 129) is None
    assert (flops_per_token(modern, 128) or 0) > (flops_per_token(bert, 128) or 0)
    assert flops_per_token({**bert, "model_type": "deberta-v2"}, 8) is None
    assert flops_per_token({"model_type": "bert"}, 8) is None


def test_the_peak_is_measured_by_both_libraries() -> None:
    pytest.importorskip("onnxruntime", reason="needs the onnx extra")
    found = gemm_peaks(1, 0.02, sizes=(32, 64))
    assert set(found) == {"numpy", "onnxruntime"}
    assert all(1e6 < rate < 1e15 for rate in found.values())


def test_the_environment_tells_what_a_figure_needs() -> None:
    found = environment(3)
    assert found["threads"] == 3
    assert {"cpu", "flags", "cores", "governor", "load_average", "versions", "date", "revision"} < set(found)
    assert found["versions"]["mirrorkit"]
    taken = resident_bytes()
    assert taken is None or taken > 1_000_000


def test_warming_up_goes_on_while_calls_get_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0
    pace = iter([900, 500, 300, 200, 200, 199, 200, *[700] * 10])

    def call() -> None:
        nonlocal now
        now += next(pace)

    monkeypatch.setattr("mirrorkit.bench.measure.worker.time.perf_counter", lambda: now)
    assert worker.warm_up(call, seconds=100_000) == 7
    assert worker.time_calls(call, seconds=0, calls=10, least=3) == [700] * 3  # after one call, as time is up


def fake_worker(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    (folder / "fake_worker.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(processes, "_WORKER", "fake_worker")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise ValueError('odd\\nthing')", "int8: could not be measured: thing"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ended by SIGKILL, perhaps because memory ran out"),
        ("raise SystemExit(7)", "its process ended with exit code 7 and no message"),
    ],
)
def test_a_process_that_fails_is_one_line(
    code: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_worker(tmp_path, monkeypatch, code)
    with pytest.raises(WorkerError, match=message) as caught:
        run_worker({"task": "speed", "threads": 1, "texts": ["x" * 1_000_000]}, "int8")
    assert "\n" not in str(caught.value)


def test_an_error_in_a_process_comes_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime", reason="needs the onnx extra")
    job = {"task": "start", "threads": 1, "short": "x", "candidate": candidate("int8", str(tmp_path / "gone")).order()}
    with pytest.raises(WorkerError, match=r"int8: could not be measured: .*gone: no such folder"):
        run_worker(job, "int8")
    fake_worker(tmp_path, monkeypatch, BROKEN)
    with pytest.raises(WorkerError, match="could not be measured: KeyError: 'nothing of the kind'"):
        run_worker({"task": "break", "threads": 1}, "int8")


def test_threads_are_the_same_for_all_that_a_process_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_worker(tmp_path, monkeypatch, TELLING)
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    told = run_worker({"task": "told", "threads": 3}, "x").found
    assert told == {"OMP_NUM_THREADS": "3", "RAYON_NUM_THREADS": "3", "TOKENIZERS_PARALLELISM": None}


BROKEN = """
from mirrorkit.bench.measure import worker
worker.TASKS["break"] = lambda job: job["nothing of the kind"]
worker.main()
"""
TELLING = """
import os
from mirrorkit.bench.measure import worker

def told(job):
    print("noise on stdout")
    return {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "TOKENIZERS_PARALLELISM")}

worker.TASKS["told"] = told
worker.main()
"""
SLEEPER = """
import os, sys, time
from pathlib import Path
from mirrorkit.bench.measure import worker

def sleep(job):
    Path(job["note"]).write_text(str(os.getpid()))
    time.sleep(60)

worker.TASKS["sleep"] = sleep
worker.main()
"""
PARENT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell has its background jobs ignore
sys.path.insert(0, sys.argv[1])
from mirrorkit.bench.measure import processes
processes._WORKER = "sleeper"
processes.run_worker({"task": "sleep", "threads": 1, "note": sys.argv[2]}, "x")
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see whether a process is gone")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_the_run(how: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text(SLEEPER, encoding="utf-8")
    note = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), str(note)], stderr=subprocess.DEVNULL)
    wait_for(lambda: note.exists() and note.read_text() != "")
    child = int(note.read_text())
    assert alive(child)
    parent.send_signal(how)
    parent.wait()
    wait_for(lambda: not alive(child))


def alive(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def wait_for(true: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_the_worker_is_in_its_parents_environment() -> None:
    found = processes._environment(2)
    assert found["PYTHONPATH"].split(os.pathsep)[: len(sys.path)] == [entry or str(Path.cwd()) for entry in sys.path]
