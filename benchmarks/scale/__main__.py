"""How a job of shards grows: `python -m benchmarks.scale BUNDLE` measures it here and simulates it elsewhere.

The first worker's start, a shard's own cost and that of a text are measured with shards of several sizes, on one thread
each; `--from RECORD` simulates from an earlier measurement. Table and figure go to benchmarks/scale.md.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import record as files
from benchmarks.scale.measure import TYPES, Costs, bytes_of, costs_of, run_job, write_inputs
from benchmarks.scale.plot import draw
from benchmarks.scale.simulate import World, best_size, simulate
from mirrorkit.formats.json_file import read_object
from mirrorkit.training.corpus import load_corpus

PAGE = files.HERE / "scale.md"
SIZES = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
WORKERS = (10, 100, 1_000, 10_000)
TEXTS = tuple(10**n for n in range(6, 11))
SHARDS = 4  # of each measured run


def main() -> None:
    """Measure, simulate, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?")
    parser.add_argument("--from", dest="record", type=Path, help="an earlier measurement")
    parser.add_argument("--corpus", type=Path, default=files.SHARED / "data" / "corpora" / "sentences_10k.txt")
    parser.add_argument("--sizes", default="500,2000,8000", help="texts of a shard that are measured")
    parser.add_argument("--workers", default="1,2,4")
    parser.add_argument("--price", type=float, default=0.0435, help="dollars of a core for an hour")
    parser.add_argument("--out", type=Path, help="record to write (benchmarks/results/scale_*.json)")
    asked = parser.parse_args()
    if asked.record:
        measured = read_object(asked.record)
    elif asked.bundle:
        measured = measure(asked.bundle, asked.corpus, _numbers(asked.sizes), _numbers(asked.workers))
        cpu = files.slug(measured["machine"]["hardware"]["cpu"])
        out = asked.out or files.RESULTS / f"scale_{files.slug(measured['bundle'])}_{cpu}.json"
        files.write_json(out, measured)
        print(f"wrote {out}", file=sys.stderr)
    else:
        parser.error("give a bundle, or --from RECORD")
    report(measured, asked.price)


def measure(bundle: Path, corpus: Path, sizes: list[int], workers: list[int]) -> dict[str, Any]:
    """Run the jobs; each in a folder of its own."""
    texts = list(load_corpus(corpus).texts)
    machine = files.machine(None, "onnxruntime", "numpy", "pyarrow", "tokenizers")
    runs: list[dict[str, Any]] = []
    by_type: dict[str, list[dict[str, Any]]] = {kind: [] for kind in TYPES}
    with tempfile.TemporaryDirectory() as work:
        inputs = {size: Path(work) / f"in-{size}" for size in sizes}
        for size, folder in inputs.items():
            write_inputs(folder, texts, SHARDS, size)
        jobs = [(size, count, "float32") for size, count in itertools.product(sizes, workers)]
        jobs += [(size, 1, kind) for kind in TYPES[1:] for size in (min(sizes), sorted(sizes)[1])]
        for number, (size, count, kind) in enumerate(jobs):
            out = Path(work) / f"out-{number}"
            run = {"shard_texts": size, "output_type": kind}
            run |= run_job(bundle, inputs[size], out, count, "--output-type", kind)
            print(f"{size:,} texts a shard, {count} workers, {kind}: {run['seconds']:.1f} s", file=sys.stderr)
            by_type[kind].append(run)
            if kind == "float32":
                runs.append(run)
    each = {kind: bytes_of([r for r in found if r["workers"] == 1]) for kind, found in by_type.items()}
    return {
        "bundle": bundle.name,
        "corpus": corpus.name,
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "threads": 1,
        "shards": SHARDS,
        "machine": machine,
        "runs": runs,
        "costs": asdict(costs_of(runs, each)),
    }


def report(measured: dict[str, Any], price: float) -> None:
    """Simulate from what was measured; write the figure and the tables."""
    costs, world = Costs(**measured["costs"]), World()
    curves = {
        count: [simulate(10**8, size, count, costs, world) for size in SIZES if 10**8 // size <= 100_000]
        for count in WORKERS
    }
    draw(curves, files.RESULTS / "scale.png")
    hardware, versions = measured["machine"]["hardware"], measured["machine"]["versions"]
    told = ", ".join(f"{name} {number}" for name, number in versions.items())
    overhead = [
        [
            f"{run['shard_texts']:,}",
            f"{run['workers']}",
            f"{run['seconds']:.1f}",
            f"{run['texts'] / run['seconds']:,.0f}",
            f"{1 - run['texts'] * costs.text / run['cpu_seconds']:.0%}",
        ]
        for run in measured["runs"]
    ]
    growth = []
    for texts in TEXTS:
        count = min(10_000, max(10, texts // 10**5))
        best = best_size(texts, count, costs, world, SIZES)
        hours = best.paid_seconds / 3600
        growth.append(
            [
                f"10^{len(str(texts)) - 1}",
                f"{best.workers:,}",
                f"{best.shard_texts:,}",
                f"{best.shards:,}",
                _duration(best.seconds),
                f"{hours:,.1f}",
                f"{hours * price:,.2f}",
                f"{best.efficiency:.0%}",
                *(_bytes(texts * each + best.shards * costs.shard_bytes) for each in costs.text_bytes.values()),
            ]
        )
    about = (
        f"{measured['bundle']}, {measured['corpus']} with a number behind each; {hardware['cpu']}, {hardware['cores']} "
        f"cores, load average {hardware['load_average']} before, one thread a worker; {told}; {measured['date']}. "
        f"A worker starts in {costs.start:.2f} s; a shard costs {costs.shard:.3f} s, a text {costs.text * 1e3:.3f} ms."
    )
    columns = ["texts a shard", "workers here", "seconds", "texts/s", "CPU time that is not encoding"]
    head = ["texts", "workers", "texts a shard", "shards", "time", "core-hours", f"dollars at {price:g}", "encoding"]
    tables = [
        about,
        "### Measured",
        files.table(columns, overhead),
        "### Simulated",
        _world(world),
        files.table([*head, *costs.text_bytes], growth),
    ]
    files.update_section(PAGE, "scale", "\n\n".join(tables))


def _world(world: World) -> str:
    return (
        f"Workers fail {world.fails_per_hour:g} times an hour and are back after {world.back_after:g} s; "
        f"{world.slow_share:.0%} are {world.slow_factor:g} times as slow, the others' speed spreads by "
        f"{world.spread:.0%}; a request to the store takes {world.store_latency:g} s, its bytes "
        f"{world.store_bytes_per_second / 1e6:g} MB/s a worker. The size of shard is the one that costs least."
    )


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds > 5400 else f"{seconds / 60:.1f} min"


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


if __name__ == "__main__":
    main()
