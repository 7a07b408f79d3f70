"""Measure a job of shards: what a worker's start costs, what a shard, what a text, and how many bytes come of it."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import ProcessError, environment
from mirrorkit.cluster.records import MANIFEST

TYPES = ("float32", "int8", "binary")


@dataclass(frozen=True)
class Costs:
    """Seconds of one worker with one thread, and bytes; what a simulation goes by."""

    start: float  # from the start of the process to its first shard
    shard: float  # of each shard, whatever is in it
    text: float  # of each text
    shard_bytes: float  # of each file, whatever is in it
    text_bytes: dict[str, float]  # of each text, by type of vector


def write_inputs(folder: Path, texts: Sequence[str], shards: int, size: int) -> None:
    """Write `shards` files of `size` texts, the given ones over and over, each with a number of its own."""
    folder.mkdir(parents=True)
    for shard in range(shards):
        first = shard * size
        lines = (f"{texts[i % len(texts)]} {i}\n" for i in range(first, first + size))
        (folder / f"{shard:05}.txt").write_text("".join(lines), encoding="utf-8")


def run_job(bundle: Path, inputs: Path, out: Path, workers: int, *options: str) -> dict[str, Any]:
    """Encode a folder by so many processes, each its part on one thread, and finish it; return what that took."""
    command = [sys.executable, "-m", "mirrorkit", "-q", "encode", str(bundle), str(inputs), "-o", f"{out}/"]
    command += ["--threads", "1", *options]
    env = environment(1)
    before, start = _children(), time.perf_counter()
    parts = [[*command, "--part", f"{i}/{workers}"] for i in range(1, workers + 1)]
    running = [subprocess.Popen(part, env=env, stderr=subprocess.PIPE, text=True) for part in parts]
    for process in running:
        _, said = process.communicate()
        if process.returncode:
            raise ProcessError(f"a worker ended with {process.returncode}: {said.strip()[-300:]}")
    encoded = time.perf_counter() - start
    subprocess.run([*command, "--finish"], env=env, check=True, capture_output=True)
    seconds = time.perf_counter() - start
    found = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    return {
        "workers": workers,
        "texts": found["rows"],
        "bytes": found["bytes"],
        "encode_seconds": encoded,
        "seconds": seconds,
        "cpu_seconds": _children() - before,
        "shard_seconds": [shard["seconds"] for shard in found["shards"]],
    }


def costs_of(runs: Iterable[dict[str, Any]], bytes_by_type: dict[str, tuple[float, float]]) -> Costs:
    """Fit the costs to runs of one worker with shards of several sizes.

    The seconds of a shard are taken for a line over its texts, whose slope is what a text costs. Bytes are given as
    those of each file and of each text, by type of vector.
    """
    alone = [run for run in runs if run["workers"] == 1]
    sizes = [run["texts"] / len(run["shard_seconds"]) for run in alone]
    medians = [statistics.median(run["shard_seconds"]) for run in alone]
    # Seconds grow with the size, and so does their noise: each point has the weight of its relative error.
    slope, intercept = np.polyfit(sizes, medians, 1, w=[1 / seconds for seconds in medians])
    starts = [run["encode_seconds"] - sum(run["shard_seconds"]) for run in alone]
    return Costs(
        start=statistics.median(starts),
        shard=max(0.0, float(intercept)),
        text=float(slope),
        shard_bytes=bytes_by_type["float32"][0],
        text_bytes={name: each for name, (_, each) in bytes_by_type.items()},
    )


def bytes_of(runs: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """Return the bytes of each file and of each text, by the runs with the smallest shards and with the largest."""
    found = sorted((run["bytes"] / len(run["shard_seconds"]), _size(run)) for run in runs)
    (small, few), (large, many) = found[0], found[-1]
    each = (large - small) / (many - few)
    return max(0.0, small - each * few), each


def _size(run: dict[str, Any]) -> float:
    return float(run["texts"] / len(run["shard_seconds"]))


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
