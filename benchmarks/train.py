"""Race our trainer against the official Mirror-BERT procedure and sentence-transformers: same machine, model, corpus.

bash benchmarks/peers/setup trainer                         # once: sentence-transformers with its trainer
python -m benchmarks.train                                  # pairs per second over a few steps
python -m benchmarks.train --whole-run                      # seconds of the whole command, with load and save
python -m benchmarks.train --device cuda --random bert-base # the whole command, random weights of that shape
python -m benchmarks.train --study size                     # how cost grows; --study all for every study
python -m benchmarks.train --study layers                   # CPU seconds of a step with --train-layers, on 12 layers

Each variant runs in a fresh process, in an order that rotates from round to round. A study writes each figure to its
record at once and goes on from there when it is started again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from benchmarks import record as files
from benchmarks import report
from benchmarks.processes import Run, race
from benchmarks.training import report as tables
from benchmarks.training.runs import (
    DEFAULT_BASE,
    DEFAULT_CORPUS,
    PEER_PYTHON,
    PEERS,
    SHAPES,
    draw_sample,
    find_base,
    find_corpus,
    make_random,
    run_steps,
    run_whole,
)
from benchmarks.training.studies import STUDIES, run_study
from benchmarks.training.worker import PRECISIONS
from mirrorkit.errors import ConfigError, MirrorkitError
from mirrorkit.machine.facts import usable_cores
from mirrorkit.machine.torch_device import pick_device
from mirrorkit.training.corpus import load_corpus

ORDINARY = {"rounds": 3, "steps": 10, "warmup_steps": 2, "batch_size": 200}  # a study has its own


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="benchmarks.train", description=__doc__, formatter_class=plain)
    add = parser.add_argument
    add("--base", help=f"model folder or shipped name; default: {DEFAULT_BASE.name}, else tiny")
    add("--corpus", type=Path, help=f"one string a line; default: {DEFAULT_CORPUS.name}, else the demo corpus")
    add("--random", choices=SHAPES, help="random weights of this shape, tokenizer of --base; implies --whole-run")
    add("--whole-run", action="store_true", help="time the commands from start to saved model, over the whole corpus")
    add("--study", choices=[*STUDIES, "all"], help="measure how cost or quality depends on one thing")
    add("--values", help="comma-separated points of the study instead of its own; of seeds: the seeds")
    add("--variants", help=f"comma-separated; default: {','.join(PRECISIONS)}, or the study's own")
    add("--device", choices=["cpu", "cuda"], default="cpu")
    add("--threads", type=int, default=usable_cores(), help="default: all cores (%(default)s)")
    add("--rounds", type=int, help=f"default: {ORDINARY['rounds']}; of a study: 1")
    add("--steps", type=int, help=f"timed steps of a round ({ORDINARY['steps']}; of a study 2); not for --whole-run")
    add("--warmup-steps", type=int, help=f"steps before them, left out ({ORDINARY['warmup_steps']}; of a study 1)")
    add("--batch-size", type=int, help=f"pairs ({ORDINARY['batch_size']}, or the study's own)")
    add("--max-length", type=int, default=50, help="tokens (%(default)s)")
    add("--strings", type=int, default=1000, help="distinct strings of the studies phases and seeds (%(default)s)")
    add("--seeds", type=int, default=3, help="of the study seeds (%(default)s)")
    add("--sts-pairs", type=int, default=200, help="of each STS set, for the study seeds; 0: all (%(default)s)")
    add("--most-minutes", type=float, default=10, help="leave out what would take longer in study size (%(default)s)")
    add("--fresh", action="store_true", help="begin the study anew")
    add("--pooling", choices=["mean", "cls"], default="mean", help="the official mean counts padding in")
    add("--loader-workers", type=int, default=0, help="processes of the official data loader")
    add("--seed", type=int, default=42)
    add("--results", type=Path, default=files.RESULTS)
    add("--readme", type=Path, default=files.README)
    return parser


def check(args: argparse.Namespace) -> list[str]:
    """Fill in what was left open and return the variants; refuse what cannot be measured before any time is spent."""
    pick_device(args.device)
    for name, value in ORDINARY.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    least = {"threads": 1, "rounds": 1, "steps": 1, "warmup_steps": 0, "batch_size": 2, "max_length": 3}
    for name, lowest in least.items():
        if getattr(args, name) < lowest:
            raise ConfigError(f"{name} {getattr(args, name)}: must be at least {lowest}")
    only_ours = args.whole_run or args.random is not None or args.device != "cpu"
    known = [*PRECISIONS, *([] if only_ours else PEERS)]
    variants = [name.strip() for name in (args.variants or ",".join(known)).split(",")]
    if unknown := set(variants) - set(known):
        raise ConfigError(f"variant {sorted(unknown)[0]!r}: must be of {', '.join(known)}")
    if (peers := set(variants) & set(PEERS)) and not PEER_PYTHON.exists():
        if args.variants:
            raise ConfigError(f"variant {sorted(peers)[0]!r}: run `bash benchmarks/peers/setup trainer` first")
        variants = [name for name in variants if name not in peers]
    return list(dict.fromkeys(variants))


def check_study(args: argparse.Namespace) -> None:
    """Refuse options that do not go with a study."""
    if args.whole_run or args.random:
        raise ConfigError("--whole-run and --random are not for --study; give --study model --values bert-base")
    if args.study == "all" and (args.values or args.variants):
        raise ConfigError("--values and --variants go with one study, not with --study all")


def tell(run: Run) -> str:
    """Describe a run."""
    return f"{run['pairs_per_second']:.1f} pairs/s, command {run['command_seconds']:.1f} s"


def benchmark(args: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Measure what the command line asks for and return the record of it."""
    variants = check(args)
    whole = args.whole_run or args.random is not None
    base, corpus = find_base(args.base), find_corpus(args.corpus, scratch)
    name = Path(base).name
    strings = load_corpus(corpus)
    described = files.machine(
        None, "torch", "transformers", "tokenizers", "numpy"
    )  # before the race, so that the load is other people's
    if args.random:
        base, name = make_random(args.random, base, scratch / "random"), f"random {args.random}"
    if whole:
        runs = race(variants, args.rounds, lambda variant: run_whole(variant, base, corpus, args), tell)
    else:
        sample = draw_sample(corpus, args, scratch)
        if not args.variants and args.device == "cpu" and not set(PEERS) & set(variants):
            print("sentence-transformers' trainer is left out: bash benchmarks/peers/setup trainer", file=sys.stderr)
        runs = race(variants, args.rounds, lambda variant: run_steps(variant, base, sample, args), tell)
    if args.device == "cuda":
        described["hardware"]["gpu"] = torch.cuda.get_device_name()
    settings = ("threads", "rounds", "batch_size", "max_length", "pooling", "device", "seed", "loader_workers")
    return {
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        **described,
        "base": name,
        "corpus": {"name": corpus.name, "sha256": strings.sha256, "strings": len(strings), "rows": strings.rows},
        "whole_run": whole,
        **{name: getattr(args, name) for name in settings},
        **({} if whole else {"steps": args.steps, "warmup_steps": args.warmup_steps}),
        "summary": tables.summarise(runs, "command_seconds" if whole else "pairs_per_second"),
        "runs": runs,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the JSON file, make tables and plots in the README anew; return the exit code."""
    args = build_parser().parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            if args.study:
                check_study(args)
                for study in STUDIES if args.study == "all" else [args.study]:
                    run_study(study, args, Path(scratch))
            else:
                tables.write_record(benchmark(args, Path(scratch)), args.results)
        report.update(args.results, args.readme, ("train", "studies") if args.study else ("train",))
    except MirrorkitError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    print(f"wrote to {args.results} and the tables in {args.readme}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
