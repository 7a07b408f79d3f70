"""Race our trainer against the official Mirror-BERT procedure: same machine, model, corpus and hyper-parameters.

python -m benchmarks.train                                  # pairs per second over a few steps
python -m benchmarks.train --whole-run                      # seconds of the whole command, with load and save
python -m benchmarks.train --device cuda --random bert-base # the whole command, random weights of that shape

Each variant runs in a fresh process, in an order that rotates from round to round.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks import record as files
from benchmarks import report
from benchmarks.train_worker import PRECISIONS, Job
from mirrorkit.backbone import QuietTransformers
from mirrorkit.demo.corpus import collect_sentences
from mirrorkit.device import pick_device
from mirrorkit.environment import usable_cores
from mirrorkit.errors import ConfigError, MirrorkitError, TrainingError
from mirrorkit.hub import locate_model
from mirrorkit.training.corpus import load_corpus

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
DEFAULT_BASE = SHARED / "models" / "minilm-mlm"
DEFAULT_CORPUS = SHARED / "data" / "corpora" / "sentences_10k.txt"

SHAPES = {
    "bert-base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
    "bert-tiny": {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512},
}
BERT_VOCABULARY = 30_522  # the embedding table is that large even for a tokenizer of fewer pieces

Run = dict[str, Any]


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="benchmarks.train", description=__doc__, formatter_class=plain)
    add = parser.add_argument
    add("--base", help=f"model folder or shipped name; default: {DEFAULT_BASE.name}, else tiny")
    add("--corpus", type=Path, help=f"one string a line; default: {DEFAULT_CORPUS.name}, else the demo corpus")
    add("--random", choices=SHAPES, help="random weights of this shape, tokenizer of --base; implies --whole-run")
    add("--whole-run", action="store_true", help="time the commands from start to saved model, over the whole corpus")
    add("--variants", default=",".join(PRECISIONS), help="comma-separated; default: %(default)s")
    add("--device", choices=["cpu", "cuda"], default="cpu")
    add("--threads", type=int, default=usable_cores(), help="default: all cores (%(default)s)")
    add("--rounds", type=int, default=3)
    add("--steps", type=int, default=10, help="timed steps of a round; not for --whole-run")
    add("--warmup-steps", type=int, default=2, help="steps before them, left out")
    add("--batch-size", type=int, default=200, help="pairs")
    add("--pooling", choices=["mean", "cls"], default="mean", help="the official mean counts padding in")
    add("--loader-workers", type=int, default=0, help="processes of the official data loader")
    add("--seed", type=int, default=42)
    add("--results", type=Path, default=files.RESULTS)
    add("--readme", type=Path, default=files.README)
    return parser


def check(args: argparse.Namespace) -> list[str]:
    """Return the variants; refuse what cannot be measured before any time is spent."""
    pick_device(args.device)
    for name, least in (("threads", 1), ("rounds", 1), ("steps", 1), ("warmup_steps", 0), ("batch_size", 2)):
        if getattr(args, name) < least:
            raise ConfigError(f"{name} {getattr(args, name)}: must be at least {least}")
    variants = [name.strip() for name in args.variants.split(",")]
    if unknown := set(variants) - set(PRECISIONS):
        raise ConfigError(f"variant {sorted(unknown)[0]!r}: must be of {', '.join(PRECISIONS)}")
    return list(dict.fromkeys(variants))


def find_base(asked: str | None) -> str:
    """Return the folder of the base model; say so when the default is not there."""
    if asked is None and not DEFAULT_BASE.is_dir():
        print(f"{DEFAULT_BASE} is not there: measuring the shipped model, tiny", file=sys.stderr)
        asked = "tiny"
    return str(locate_model(asked or DEFAULT_BASE).resolve())


def find_corpus(asked: Path | None, scratch: Path) -> Path:
    """Return the corpus file; say so when the default is not there."""
    if asked is not None or DEFAULT_CORPUS.is_file():
        return (asked or DEFAULT_CORPUS).resolve()
    print(f"{DEFAULT_CORPUS} is not there: measuring on the demo corpus", file=sys.stderr)
    file = scratch / "demo-corpus.txt"
    file.write_text("\n".join(collect_sentences()) + "\n", encoding="utf-8")
    return file


def make_random(shape: str, tokenizer_of: str, folder: Path) -> str:
    """Write a BERT of random weights with the tokenizer of another model."""
    with QuietTransformers():
        tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer_of, local_files_only=True)
        vocabulary = max(BERT_VOCABULARY, len(tokenizer))
        config = transformers.BertConfig(vocab_size=vocabulary, pad_token_id=tokenizer.pad_token_id, **SHAPES[shape])
        transformers.BertModel(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return str(folder)


def draw_sample(corpus: Path, args: argparse.Namespace, scratch: Path) -> Path:
    """Write the distinct strings that every variant trains on, just enough for the steps."""
    needed = (args.warmup_steps + args.steps) * args.batch_size
    texts = load_corpus(corpus, limit=needed, seed=args.seed).texts
    if len(texts) < needed:
        raise ConfigError(
            f"{corpus.name}: {len(texts)} distinct strings, but {args.warmup_steps} + {args.steps} steps of "
            f"{args.batch_size} need {needed}; lower --steps or --batch-size"
        )
    sample = scratch / "sample.txt"
    sample.write_text("\n".join(texts), encoding="utf-8")
    return sample


def run_process(command: Sequence[str], what: str, threads: int) -> Run:
    """Run a command that prints JSON; add the wall seconds from its start to its end."""
    count = str(threads)
    env = os.environ | {"OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "RAYON_NUM_THREADS": count}
    env.pop("TOKENIZERS_PARALLELISM", None)  # whatever the caller's shell says must not decide the result
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        last = (done.stderr.strip() or "nothing on stderr").splitlines()[-1]
        raise TrainingError(f"{what}: exit code {done.returncode}: {last}")
    figures: Run = json.loads(done.stdout)
    return figures | {"command_seconds": seconds}


def run_steps(variant: str, base: str, sample: Path, args: argparse.Namespace) -> Run:
    """Time a few steps of one variant."""
    names = ("steps", "warmup_steps", "batch_size", "pooling", "device", "threads", "seed", "loader_workers")
    job = Job(variant=variant, base=base, sample=str(sample), **{name: getattr(args, name) for name in names})
    return run_process(["-m", "benchmarks.train_worker", json.dumps(asdict(job))], variant, args.threads)


def run_whole(variant: str, base: str, corpus: Path, args: argparse.Namespace) -> Run:
    """Time one variant's own command, which leaves a model in a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [base, str(corpus), "--out", f"{scratch}/model", "--device", args.device, "--pooling", args.pooling]
        command += ["--batch-size", str(args.batch_size), "--seed", str(args.seed)]
        if variant == "official":
            command = ["-m", "benchmarks.official", *command, "--loader-workers", str(args.loader_workers)]
        else:
            ours = ["--recipe", "sentence-bert", "--precision", str(PRECISIONS[variant]), "--json"]
            command = ["-c", "from mirrorkit.cli import app; app()", "--quiet", "finetune", *command, *ours]
        figures = run_process(command, variant, args.threads)
    kept = ("steps", "pairs", "loss", "precision", "seconds", "peak_memory_bytes", "peak_device_memory_bytes")
    trained = figures["seconds"]["tokenise"] + figures["seconds"]["train"]
    speed = {"variant": variant, "pairs_per_second": figures["pairs"] / trained}
    return speed | {name: figures[name] for name in (*kept, "command_seconds")}


def race(variants: Sequence[str], rounds: int, measure: Callable[[str], Run]) -> dict[str, list[Run]]:
    """Measure every variant once a round, starting with another one each time."""
    runs: dict[str, list[Run]] = {variant: [] for variant in variants}
    for number in range(rounds):
        turn = number % len(variants)
        for variant in [*variants[turn:], *variants[:turn]]:
            run = measure(variant)
            runs[variant].append(run)
            print(
                f"round {number + 1} of {rounds}, {variant}: {run['pairs_per_second']:.1f} pairs/s, "
                f"command {run['command_seconds']:.1f} s",
                file=sys.stderr,
            )
    return runs


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
        runs = race(variants, args.rounds, lambda variant: run_whole(variant, base, corpus, args))
    else:
        sample = draw_sample(corpus, args, scratch)
        runs = race(variants, args.rounds, lambda variant: run_steps(variant, base, sample, args))
    if args.device == "cuda":
        described["hardware"]["gpu"] = torch.cuda.get_device_name()
    settings = ("threads", "rounds", "batch_size", "pooling", "device", "seed", "loader_workers")
    return {
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        **described,
        "base": name,
        "corpus": {"name": corpus.name, "sha256": strings.sha256, "strings": len(strings), "rows": strings.rows},
        "whole_run": whole,
        **{name: getattr(args, name) for name in settings},
        **({} if whole else {"steps": args.steps, "warmup_steps": args.warmup_steps}),
        "summary": report.summarise(runs, "command_seconds" if whole else "pairs_per_second"),
        "runs": runs,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the JSON file, make the tables in the README anew; return the exit code."""
    args = build_parser().parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            record = benchmark(args, Path(scratch))
        file = report.write_record(record, args.results)
        files.update_section(args.readme, "train", report.training_section(report.read_records(args.results)))
    except MirrorkitError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    print(report.training_section([record]))
    print(f"wrote {file} and the tables in {args.readme}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
