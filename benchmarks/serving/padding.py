"""How much of what the server computes is padding: ragged traffic, replayed on its own queue.

python -m benchmarks.serving.padding BUNDLE        # table and record; --help has what can be chosen

Requests of sentences and of documents come at random times (Poisson) and are batched by `mirrorkit.serving.queue` as
they are in a server, in simulated time: a pass takes what its like took here on one thread, by a fit to a grid of
shapes. The batches of some policies are then run for real, in turns, and the processor's seconds are what counts.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import record as files
from benchmarks.serving.traffic import MIXES, Arrival, Cost, policy, replay, traffic
from mirrorkit.assets.paths import DOCUMENTS
from mirrorkit.bench.measure.processes import rotated
from mirrorkit.errors import ConfigError, MirrorkitError
from mirrorkit.serving.served import Served, open_served
from mirrorkit.serving.settings import Named, Settings

LOADS = (0.3, 0.9, 3.0)  # of what the threads can do in one pass a text; above 1 the queue only grows
RUN_AT = 0.9  # the load whose batches are run for real


def measure_cost(run: Callable[[int, int], float]) -> Cost:
    """Return what passes cost here by least squares on relative errors; `run` gives the seconds of rows x width."""
    shapes = [
        (rows, width) for width in (4, 8, 16, 32, 64, 128, 256) for rows in (1, 2, 4, 8, 16) if rows * width < 600
    ]
    seconds = np.array([min(run(*shape) for _ in range(5)) for shape in shapes])
    terms = np.array([[1.0, rows * width, rows * width**2] for rows, width in shapes])
    found, *_ = np.linalg.lstsq(terms / seconds[:, None], np.ones(len(shapes)), rcond=None)
    return Cost(*map(float, found))


def runner_of(served: Served) -> Callable[[int, int], float]:
    """Return what runs a batch of random ids on one thread and tells the processor's seconds."""
    runner = served.encoding.runner
    rng = np.random.default_rng(0)

    def run(rows: int, width: int) -> float:
        ids = rng.integers(1_000, 20_000, (rows, width))
        mask = np.ones_like(ids)
        began = time.process_time()
        runner.batch(ids, mask)
        return time.process_time() - began

    return run


def lengths_of(served: Served, corpus: Path | None) -> tuple[list[int], list[int]]:
    """Return the tokens of sentences and of documents."""
    corpus = corpus or files.SHARED / "data" / "corpora" / "sentences_10k.txt"
    sentences = corpus.read_text(encoding="utf-8").splitlines()[:4_000]
    with gzip.open(DOCUMENTS, "rt", encoding="utf-8") as lines:
        documents = [json.loads(line)["text"] for line in lines]
    return ([len(ids) for ids in served.tokens(sentences)], [len(ids) for ids in served.tokens(documents)])


def main() -> int:
    """Simulate, run, tell."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving.padding", description=__doc__, formatter_class=plain
    )
    parser.add_argument("bundle", help="folder of a bundle")
    parser.add_argument("--corpus", type=Path, help="sentences, one a line; default: those beside the checkout")
    parser.add_argument("--policies", default="now,alone,arrival,buckets,pad-0,pad-4,pad-8,pad-32,pad-64")
    parser.add_argument("--run", default="now,alone,arrival", help="policies whose batches are run for real")
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3, help="each with traffic of its own seed")
    parser.add_argument("--threads", type=int, default=2, help="of the simulated server")
    parser.add_argument("--out", type=Path, default=files.RESULTS / "serving_padding.json")
    asked = parser.parse_args()
    try:
        if asked.requests < 1 or asked.rounds < 1 or asked.threads < 1:
            raise ConfigError("`requests`, `rounds` and `threads`: must be at least 1")
        if "now" not in asked.policies.split(","):
            raise ConfigError("`policies`: must have now among them, which the others are set against")
        record = measure(asked)
    except (MirrorkitError, OSError) as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    files.write_json(asked.out, record)
    print(table(record))
    return 0


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Return the record of all loads, policies and rounds."""
    names = asked.policies.split(",")
    settings = Settings((Named("model", asked.bundle),), threads=1)
    served = open_served(settings.bundles[0], "auto", settings)
    run = runner_of(served)
    cost = measure_cost(run)
    sentences, documents = lengths_of(served, asked.corpus)
    runs: list[dict[str, Any]] = []
    for number, mix, load in product(range(asked.rounds), MIXES, LOADS):
        arrivals = traffic(sentences, documents, mix, asked.requests, 1.0, seed=number)
        texts = sum(len(one.lengths) for one in arrivals)
        alone_seconds = sum(cost(1, n) for one in arrivals for n in one.lengths)
        squeeze = alone_seconds / texts / asked.threads / load  # seconds between two texts
        timed = [Arrival(one.seconds * squeeze, one.client, one.lengths) for one in arrivals]
        for name in rotated(names, number):
            with policy(name) as kind:
                found = replay(timed, served, kind(), cost, asked.threads)
            real = load == RUN_AT and name in asked.run.split(",")
            ranked = sorted(found.latencies)
            runs.append(
                {
                    "mix": mix,
                    "load": load,
                    "policy": name,
                    "round": number,
                    "texts": texts,
                    "tokens": found.tokens,
                    "passes": len(found.batches),
                    "padding": found.padding,
                    "expected_seconds": sum(cost(*shape) for shape in found.batches),
                    "cpu_seconds": sum(run(*shape) for shape in found.batches) if real else None,
                    "latency_p50": ranked[len(ranked) // 2],
                    "latency_p99": ranked[len(ranked) * 99 // 100],
                }
            )
            print(f"{number} {mix} {load:g} {name}: {found.padding:.1%}", file=sys.stderr)
    return {
        "bundle": Path(asked.bundle).name,
        "variant": served.variant,
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        **files.machine(None, "onnxruntime", "numpy", "tokenizers"),
        "threads": asked.threads,
        "cost": {"pass": cost.a_pass, "token": cost.a_token, "token_times_width": cost.a_square},
        "runs": runs,
    }


def table(record: files.Figures) -> str:
    """Return a Markdown table: a row a policy and load, means over the rounds."""
    rows = []
    cells: dict[tuple[str, float, str], dict[int, files.Figures]] = {}
    for run in record["runs"]:
        cells.setdefault((run["mix"], run["load"], run["policy"]), {})[run["round"]] = run
    for mix, load, name in sorted(cells, key=lambda key: key[:2]):
        runs, now = [*cells[mix, load, name].values()], cells[mix, load, "now"]
        real = [_ratio(run, now, "cpu_seconds") for run in runs if run["cpu_seconds"] is not None]
        told = [_ratio(run, now, "expected_seconds") for run in runs]
        rows.append(
            [
                mix,
                f"{load:g}",
                name,
                f"{statistics.fmean(run['padding'] for run in runs):.1%}",
                f"{sum(run['texts'] for run in runs) / sum(run['passes'] for run in runs):.2f}",
                f"{statistics.fmean(told):.3f}",
                f"{statistics.fmean(real):.3f} ({min(real):.3f}–{max(real):.3f})" if real else "–",
                f"{statistics.fmean(run['latency_p50'] for run in runs) * 1e3:.1f}",
                f"{statistics.fmean(run['latency_p99'] for run in runs) * 1e3:.1f}",
            ]
        )
    head = ["traffic", "load", "policy", "padding", "texts a pass", "CPU of now's, by the fit", "run (lowest–highest)"]
    return files.table([*head, "median latency, ms", "99 of 100 within, ms"], rows)


def _ratio(run: files.Figures, now: dict[int, files.Figures], figure: str) -> float:
    return float(run[figure] / now[run["round"]][figure])


if __name__ == "__main__":
    sys.exit(main())
