"""Fill a table on an NVIDIA GPU in ten minutes: `python -m benchmarks.gpu BUNDLE --base MODEL`.

Training speed (random BERT-base), then each variant by ONNX Runtime, with and without CUDA graphs, and by TensorRT-RTX
where it is installed: first vector, speed, cosine to fp32 on the CPU. What cannot be run is in the table with the
reason. A step that there is no time left for is not begun. Without a GPU it says so, exit code 2, and runs nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks import record as files
from benchmarks.gpu.worker import Job
from benchmarks.processes import Run, environment
from mirrorkit.assets.documents import document_sentences
from mirrorkit.errors import ConfigError, MirrorkitError
from mirrorkit.formats.bundle import read_bundle
from mirrorkit.machine.cores import default_threads
from mirrorkit.machine.gpu import current_gpu

PRECISIONS = ("fp32", "fp16", "int8")
STEPS, WARM_UP = 10, 3  # of training; the second are left out
STEP_SECONDS = 120.0  # of one step, at most; one that takes longer is stopped, and the table says so


@dataclass(frozen=True)
class Step:
    """One row of the table: its name, and the command that prints its figures."""

    name: str
    command: list[str]
    before: list[str] | None = None  # a command that prepares it


def main() -> int:
    """Run what there is time for, write the record, print the table."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__, formatter_class=plain)
    parser.add_argument("bundle", type=Path, help="folder of a bundle, with fp32 and whatever else is to be measured")
    parser.add_argument("--base", default="tiny", help="of its tokenizer the random BERT-base is made; default: tiny")
    parser.add_argument("--minutes", type=float, default=10.0, help="for all of it; default: 10")
    parser.add_argument("--out", type=Path, help="record to write (benchmarks/results/gpu_*.json)")
    asked = parser.parse_args()
    try:
        gpu = current_gpu()
        if gpu is None:
            raise ConfigError("there is no NVIDIA GPU here (no driver answers); nothing was run")
        if not 0 < asked.minutes < 24 * 60:
            raise ConfigError(f"`minutes` {asked.minutes:g}: must be above 0 and less than a day")
        bundle = read_bundle(asked.bundle)
        with tempfile.TemporaryDirectory() as scratch:
            steps = [*training(asked.base, Path(scratch)), *encoding(bundle.folder, [*bundle.variants], Path(scratch))]
            rows = run_all(steps, time.monotonic() + 60 * asked.minutes)
        record = {
            "bundle": bundle.folder.name,
            "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
            **files.machine(gpu.name, "torch", "transformers", "onnxruntime-gpu", "onnxruntime", "tensorrt-rtx"),
            "driver": gpu.driver,
            "compute_capability": gpu.compute_capability,
            "threads": default_threads(),
            "rows": rows,
        }
        out = asked.out or files.RESULTS / f"gpu_{files.slug(bundle.folder.name)}_{files.slug(gpu.name)}.json"
        files.write_json(out, record)
        print(table(record))
        print(f"wrote {out}", file=sys.stderr)
    except MirrorkitError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    return 0


def training(base: str, scratch: Path) -> Iterator[Step]:
    """Yield the steps of training a random BERT-base: pairs a second, batch 200, each precision of the card."""
    strings = list(dict.fromkeys(document_sentences()))[: 200 * (WARM_UP + STEPS)]
    sample = scratch / "sample.txt"
    sample.write_text("\n".join(strings), encoding="utf-8")
    model = scratch / "bert-base"
    make = (
        f"from benchmarks.training.runs import find_base, make_random as make; make('bert-base', find_base({base!r}), "
    )
    job = {"base": str(model), "sample": str(sample), "steps": STEPS, "warmup_steps": WARM_UP, "batch_size": 200}
    job |= {"max_length": 50, "pooling": "mean", "device": "cuda", "threads": default_threads(), "seed": 42}
    for number, variant in enumerate(("ours", "ours-fp32", "official")):
        told = json.dumps({"variant": variant, "loader_workers": 0, **job})
        before = None if number else ["-c", f"{make}__import__('pathlib').Path({str(model)!r}))"]
        yield Step(f"train, random BERT-base, {variant}", ["-m", "benchmarks.training.worker", told], before)


def encoding(bundle: Path, variants: list[str], scratch: Path) -> Iterator[Step]:
    """Yield the steps of encoding: ONNX Runtime, the same with CUDA graphs, TensorRT-RTX."""
    worker = ["-m", "benchmarks.gpu.worker"]
    there = [name for name in PRECISIONS if name in variants]
    for name in there:
        for graphs in (False, True):
            job = Job(str(bundle), name, cuda_graphs=graphs)
            yield Step(f"{name}, ONNX Runtime{', CUDA graphs' * graphs}", [*worker, json.dumps(asdict(job))])
    if "int8" in there:
        there.append("fp8")
    for name in there:
        engine = scratch / f"engine-{name}"
        build = ["-m", "mirrorkit", "-q", "engine", str(bundle), "-o", str(engine), "--precision", name]
        build += ["--target", "current", "--backend", "tensorrt-rtx"]
        job = Job(str(bundle), name, engine=str(engine))
        yield Step(f"{name}, TensorRT-RTX", [*worker, json.dumps(asdict(job))], build)


def run_all(
    steps: list[Step], end: float, run: Callable[[list[str], float], Run] | None = None
) -> list[dict[str, Any]]:
    """Return a row for each step: its figures, or why there are none; none is begun after `end`, of the clock."""
    rows: list[dict[str, Any]] = []
    for step in steps:
        left = end - time.monotonic()
        row: dict[str, Any] = {"name": step.name}
        if left < 1:
            row["why"] = "no time was left"
        else:
            try:
                for command in (step.before, step.command):
                    if command is not None:
                        limit = min(STEP_SECONDS, max(1.0, end - time.monotonic()))
                        row |= (run or _run)(command, limit)
            except MirrorkitError as err:
                row["why"] = str(err)
        rows.append(row)
        print(f"{step.name}: {row.get('why', 'measured')}", file=sys.stderr)
    return rows


def _run(command: list[str], seconds: float) -> Run:
    """Run a Python command of this checkout; return the JSON that its last line is, if it is any."""
    env = environment(default_threads(), PYTHONPATH=str(files.ROOT))
    try:
        done = subprocess.run(
            [sys.executable, *command],
            env=env,
            cwd=files.ROOT,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as err:
        raise ConfigError(f"stopped after {seconds:.0f} s") from err
    if done.returncode:
        raise ConfigError((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    try:
        found = json.loads((done.stdout.strip().splitlines() or [""])[-1])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def table(record: files.Figures) -> str:
    """Return the Markdown table, headed by what it was measured on."""
    hardware = record["hardware"]
    told = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    rows = []
    for row in record["rows"]:
        if "why" in row:
            rows.append([row["name"], row["why"], "", "", ""])
        elif "shapes" in row:
            speed = "; ".join(
                f"{shape['texts']} x {shape['words']}: {shape['per_second']:,.0f} ({shape['median_ms']:.2f} ms)"
                for shape in row["shapes"]
            )
            cosines = f"{row['cosine_mean']:.5f} / {row['cosine_min']:.5f}"
            rows.append([row["name"], f"{row['first_vector_seconds']:.2f}", speed, cosines, ""])
        else:
            rate = row.get("pairs_per_second")
            told_rate = f"{rate:,.0f} ({row['precision']})" if rate else "no figure was printed"
            rows.append([row["name"], "", "", "", told_rate])
    head = ["what", "first vector, s", "texts x words of a call: texts/s (median)", "cosine to fp32, mean / lowest"]
    about = (
        f"{record['bundle']}; {hardware['gpu']} ({record['compute_capability']}, driver {record['driver']}), "
        f"{hardware['cpu']}, {record['threads']} threads; {told}; {record['date']}; one run of each."
    )
    return f"{about}\n\n{files.table([*head, 'pairs/s'], rows)}"


if __name__ == "__main__":
    sys.exit(main())
