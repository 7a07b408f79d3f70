"""Where the time of a training step goes, by kind of operator, and what its products cost beside the machine's best.

python -m benchmarks.training.step                  # minilm-mlm on sentences_10k, the precision that `auto` picks
python -m benchmarks.training.step --autocast fp32  # another; --help has what can be chosen

The time of an operator is its own, without that of those it calls, on the thread that starts it. The arithmetic of the
products is counted by torch's profiler; the machine's best is that of two square matrices in the same precision, in the
same process, right after.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks import record as files
from benchmarks.training.runs import find_base, find_corpus
from mirrorkit.errors import ConfigError, MirrorkitError
from mirrorkit.formats.pooling import Pooling
from mirrorkit.machine.facts import usable_cores
from mirrorkit.machine.torch_device import autocast_name, pick_autocast
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.training.corpus import load_corpus
from mirrorkit.training.loop import train
from mirrorkit.training.recipes import OFFICIAL

PRODUCTS, REST = "matrix products", "everything else"
KINDS = {  # kind -> what the names of its operators contain, looked at in this order
    PRODUCTS: ("::mm", "::addmm", "::bmm", "::baddbmm", "mkldnn_linear", "_linear_pointwise"),
    "attention, fused": ("scaled_dot_product", "flash_attention"),
    "random bits and dropout": ("bernoulli", "random_", "dropout", "::ge_"),
    "copies, casts": ("::copy_", "::clone", "::cat", "::index", "::embedding"),
    "fills": ("::fill_", "::zero_"),
    "Gelu": ("gelu",),
    "norms, softmax": ("layer_norm", "softmax"),
    "sums, products of elements": ("::add", "::mul", "::sum", "::div", "::where", "::abs", "::all"),
    "AdamW": ("adamw",),
}
SIDE = 2048  # of the square matrices that stand for the machine's best
COLUMNS = ("kind of operator", "seconds of a step", "share")


def kind_of(operator: str) -> str:
    """Return the kind of an operator, by its name."""
    return next((kind for kind, parts in KINDS.items() if any(part in operator for part in parts)), REST)


def by_kind(operators: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the sum for each kind, largest first, of numbers of operators; what is of no kind comes last."""
    sums = dict.fromkeys((*KINDS, REST), 0.0)
    for name, number in operators:
        sums[kind_of(name)] += number
    return dict(sorted(sums.items(), key=lambda item: (item[0] == REST, -item[1])))


def best_rate(dtype: torch.dtype) -> float:
    """Return how many arithmetic operations a second two square matrices take, the best of five."""
    one, other = (torch.randn(SIDE, SIDE).to(dtype) for _ in range(2))
    times = []
    for _ in range(6):
        start = time.perf_counter()
        torch.mm(one, other)
        times.append(time.perf_counter() - start)
    return 2 * SIDE**3 / min(times[1:])


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Train the steps of the warm-up, then those that are looked at, and return what they say."""
    if min(args.steps, args.threads) < 1 or args.batch_size < 2:
        raise ConfigError(f"steps {args.steps}, threads {args.threads}, batch_size {args.batch_size}: too few")
    dtype = pick_autocast(args.autocast, "cpu")
    described = files.machine(None, "torch", "transformers", "numpy")
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as scratch:
        base, corpus = find_base(args.base), find_corpus(args.corpus, Path(scratch))
        strings = list(load_corpus(corpus).texts)
    cut, count = args.batch_size, args.batch_size * (args.steps + 1)
    if len(strings) < count:
        raise ConfigError(f"corpus {corpus.name}: has {len(strings)} distinct strings, {count} are needed")
    recipe = replace(OFFICIAL["sentence-bert"], batch_size=args.batch_size, pooling=Pooling.MEAN)
    encoder = SentenceEncoder.load(base, pooling=recipe.pooling, dropout=recipe.dropout)
    given: dict[str, Any] = {"seed": args.seed, "device": "cpu", "autocast": args.autocast}
    train(encoder, load_corpus(strings[:cut]), recipe, **given)
    with profile(activities=[ProfilerActivity.CPU], with_flops=True) as profiled:
        stats = train(encoder, load_corpus(strings[cut:count]), recipe, **given)
    operators = profiled.key_averages()
    return {
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        **described,
        "base": Path(base).name,
        "corpus": corpus.name,
        "threads": args.threads,
        "batch_size": args.batch_size,
        "precision": autocast_name(dtype),
        "steps": stats.steps,
        "pairs": stats.pairs,
        "seconds": stats.train_seconds,
        "kinds": by_kind((one.key, one.self_cpu_time_total / 1e6) for one in operators),
        "flops": float(sum(one.flops for one in operators if kind_of(one.key) == PRODUCTS)),
        "best_rate": best_rate(dtype),
    }


def step_section(results: Path) -> str:
    """Return the tables of all records in `results` as Markdown."""
    parts = [step_part(record) for record in files.read_json(results, "step_")]
    return "\n\n".join(parts) or "Nothing has been measured yet."


def step_part(record: files.Figures) -> str:
    """Return a heading, what the figures mean, and the table of one record."""
    hardware, kinds = record["hardware"], record["kinds"]
    whole, products, steps = sum(kinds.values()), kinds[PRODUCTS], record["steps"]
    rate, best, pairs = record["flops"] / products, record["best_rate"], record["pairs"]
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    told = (
        f"{hardware['cpu']}, {hardware['cores']} cores, {record['threads']} threads, load average"
        f" {hardware['load_average']:.2f} before; {versions}; {record['date']}. {record['corpus']}, batch"
        f" {record['batch_size']}, {record['precision']}, {steps} steps after one of warm-up, one process, profiled.",
        f"The products run at {rate / 1e9:,.0f} GFLOP/s, {rate / best:.0%} of the {best / 1e9:,.0f} that two matrices"
        f" of {SIDE:,} rows reach. {pairs / whole:.0f} pairs/s are trained here; **without anything but products it"
        f" would be {pairs / products:.0f}, and with those at that best {pairs * best / record['flops']:.0f}**.",
    )
    rows = [[kind, f"{seconds / steps:.2f}", f"{seconds / whole:.1%}"] for kind, seconds in kinds.items()]
    return "\n\n".join((f"### {record['base']}: where a step goes", *told, files.table(COLUMNS, rows)))


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="benchmarks.training.step", description=__doc__, formatter_class=plain)
    add = parser.add_argument
    add("--base", help="model folder or shipped name")
    add("--corpus", type=Path, help="one string a line")
    add("--autocast", choices=["auto", "fp32", "bf16"], default="auto")
    add("--threads", type=int, default=usable_cores(), help="default: all cores (%(default)s)")
    add("--steps", type=int, default=3)
    add("--batch-size", type=int, default=200, help="pairs (%(default)s)")
    add("--seed", type=int, default=42)
    add("--results", type=Path, default=files.RESULTS)
    add("--readme", type=Path, default=files.README)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the record, make the tables anew; return the exit code."""
    args = build_parser().parse_args(arguments)
    try:
        record = measure(args)
        machine = files.slug(f"{record['hardware']['cpu']} {record['threads']} threads")
        name = f"step_{files.slug(record['base'])}_{record['precision']}_{machine}.json"
        files.write_json(args.results / name, record)
        files.update_section(files.page_of(args.readme, "step"), "step", step_section(args.results))
    except MirrorkitError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    print(step_part(record))
    return 0


if __name__ == "__main__":
    sys.exit(main())
