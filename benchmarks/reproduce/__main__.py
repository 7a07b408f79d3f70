"""Make one of the paper's released models again and lay its scores beside the published ones.

python -m benchmarks.reproduce sentence-bert --base bert-base-uncased --sts ../shared/data/sts
python -m benchmarks.reproduce word-bert --base bert-base-uncased --multisimlex FOLDER --lexical simlex999.tsv

The models are sentence-bert, sentence-bert-drophead, sentence-roberta, sentence-roberta-drophead and word-bert. Every
training is a process of its own and goes into the record at once, so that a run which was stopped goes on when the same
command is given again. The base is a folder or a hub id.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from benchmarks import record as files
from benchmarks.processes import environment, run_json
from benchmarks.reproduce.arms import BASE, DEFAULT, Training, arms_of, read_lines
from benchmarks.reproduce.match import BATCH, obstacles
from benchmarks.reproduce.models import MODELS, Released, find_model
from benchmarks.reproduce.sets import Given, read
from benchmarks.reproduce.table import page
from mirrorkit.errors import ConfigError, MirrorkitError
from mirrorkit.formats.json_file import read_object
from mirrorkit.formats.plain import plain
from mirrorkit.machine.facts import usable_cores
from mirrorkit.machine.torch_device import pick_autocast, pick_device
from mirrorkit.model.hub import locate_model

FIRST_SEED = 42


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    plain_text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="benchmarks.reproduce", description=__doc__, formatter_class=plain_text)
    add = parser.add_argument
    add("model", help=", ".join(MODELS))
    add("--base", help="model folder or hub id; default: the base of the paper")
    add("--corpus", type=Path, help="a string a line; default: the authors' own, in ../shared/data/corpora")
    add("--sts", help="folder of the seven STS sets")
    add("--multisimlex", help="folder of its translation.csv and scores.csv")
    add("--lexical", action="append", default=[], metavar="FILE", help="scored pairs of words; repeatable")
    add("--qnli", action="append", default=[], metavar="FILE", help="questions, sentences, labels; repeatable")
    add("--bli", action="append", default=[], metavar="FILE", help="a bilingual lexicon; repeatable")
    add("--entities", action="append", default=[], metavar="NAMES,MENTIONS", help="repeatable")
    add("--crosslingual", action="append", default=[], metavar="FILE", help="scored pairs of sentences; repeatable")
    add("--arms", default=",".join(DEFAULT), help="of %(default)s, or each: the procedure without one of its faults")
    add("--seeds", type=int, default=3, help="trainings of each arm, the seeds counting from 42 (%(default)s)")
    add("--limit", type=int, help="lines to train on, drawn evenly; then nothing is said of the published figures")
    add("--steps", type=int, default=0, help="of each training; default: as the recipe says; so too")
    add("--batch-size", type=int, default=BATCH, help="pairs (%(default)s); so too")
    add("--device", default="auto", help="auto, cpu, cuda or mps")
    add("--autocast", default="auto", help="fp32, bf16 or fp16; auto: fp16 on CUDA for the published procedure")
    add("--threads", type=int, default=usable_cores(), help="default: all cores (%(default)s)")
    add("--results", type=Path, default=files.RESULTS)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and score what is not in the record yet, write it and its page; return the exit code."""
    args = build_parser().parse_args(arguments)
    try:
        file = reproduce(args)
    except MirrorkitError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    print(f"wrote {file} and {file.with_suffix('.md').name} beside it", file=sys.stderr)
    return 0


def reproduce(args: argparse.Namespace) -> Path:
    """Check everything, then run; return the record's file."""
    model, arms = find_model(args.model), arms_of(args.arms)
    for name, least in (("seeds", 1), ("steps", 0), ("batch_size", 2), ("threads", 1), ("limit", 2)):
        if (value := getattr(args, name)) is not None and value < least:
            raise ConfigError(f"{name} {value}: must be at least {least}")
    device = pick_device(args.device)
    pick_autocast(args.autocast, device)
    given = _given(args, model)
    sets = read(given)
    folder = locate_model(args.base or model.base).folder.resolve()
    corpus = (args.corpus or model.default_corpus).resolve()
    lines = read_lines(corpus, args.limit)
    name = Path(args.base or model.base).name
    settings = {
        "arms": arms,
        "seeds": list(range(FIRST_SEED, FIRST_SEED + args.seeds)),
        "corpus": corpus.name,
        "lines": len(lines),
        "sha256": sha256("\n".join(lines).encode()).hexdigest()[:16],
        "sets": _names(given),
        **{key: getattr(args, key) for key in ("limit", "steps", "batch_size", "autocast")},
        "device": device,
    }
    file: Path = args.results / f"reproduce_{model.name}_{files.slug(name)}.json"
    record = _record(file, settings)
    record |= {"model": model.name, "hub": model.hub, "base": name, "settings": settings, "threads": args.threads}
    record["hindered"] = obstacles(model, folder, settings, sets.sts)
    with tempfile.TemporaryDirectory() as scratch:
        drawn = Path(scratch) / corpus.name
        files.write_text(drawn, "\n".join(lines) + "\n")
        for arm in arms:
            for seed in settings["seeds"] if arm != BASE else [0]:
                job = Training(arm, seed, str(folder), str(drawn), args.batch_size, args.steps, device, args.autocast)
                _run(model, job, given, args.threads, record, file)
    text = page(record, model)
    files.write_text(file.with_suffix(".md"), text + "\n")
    print(text)
    return file


def _given(args: argparse.Namespace, model: Released) -> Given:
    names = ("sts", "multisimlex", "lexical", "qnli", "bli", "entities", "crosslingual")
    given = Given(**{name: _absolute(getattr(args, name)) for name in names})
    if given.sts is None and not model.words:
        raise ConfigError(f"{model.name} needs `sts`, the folder of the seven sets that its figure was published for")
    return given


def _absolute(paths: Any) -> Any:
    """Return paths as the processes find them, whose working folder is another."""
    if paths is None or isinstance(paths, str):
        return paths and ",".join(str(Path(part).expanduser().resolve()) for part in paths.split(","))
    return [_absolute(path) for path in paths]


def _names(given: Given) -> dict[str, Any]:
    """Return the last parts of the paths that were given: they say what it was without saying where."""

    def last(path: str) -> str:
        return ",".join(Path(part).name for part in path.split(","))

    there = {key: value for key, value in asdict(given).items() if value}
    return {
        key: last(value) if isinstance(value, str) else [last(one) for one in value] for key, value in there.items()
    }


def _record(file: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the record to go on with; raises ConfigError for one of other settings, which it must not be mixed with.

    Arms and seeds may be more or fewer than before: each run stands for itself.
    """
    if not file.is_file():
        return {"runs": {}}
    record = read_object(file)
    for name, value in plain(settings).items():
        before = record.get("settings", {}).get(name)
        if name not in ("arms", "seeds") and before != value:
            raise ConfigError(
                f"{file}: is of a run with {name} {before}, not {value}; give another folder as `results`, or remove it"
            )
    return record


def _run(model: Released, job: Training, given: Given, threads: int, record: dict[str, Any], file: Path) -> None:
    name = f"{job.arm}/{job.seed}"
    if name in record["runs"]:
        return
    command = ["-m", "benchmarks.reproduce.worker", model.name, json.dumps(asdict(job)), json.dumps(asdict(given))]
    described = files.machine(None, "torch", "transformers", "tokenizers", "numpy")
    if job.device == "cuda":
        described["hardware"]["gpu"] = torch.cuda.get_device_name()
    record["runs"][name] = run_json([sys.executable, *command], name, environment(threads), files.ROOT)
    record |= {"date": f"{datetime.now(timezone.utc):%Y-%m-%d}", **described}
    files.write_json(file, plain(record))
    shown = {row: round(value, 2) for row, value in record["runs"][name]["scores"].items()}
    print(name, shown, f"{record['runs'][name]['command_seconds']:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
