"""Studies of training: how cost grows with the corpus, batch, length and model, and what the scores are over seeds.

Every measured point goes into the record at once, so that a study can be stopped and goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from benchmarks import record as files
from benchmarks.peers.quality import read_sets
from benchmarks.processes import Run
from benchmarks.training import texts as strings
from benchmarks.training.runs import (
    DEFAULT_BASE,
    SHAPES,
    WHOLE,
    find_base,
    make_random,
    run_score,
    run_steps,
    run_whole,
)
from mirrorkit.bench.measure.processes import rotated
from mirrorkit.errors import ConfigError
from mirrorkit.machine.torch_device import pick_device

LARGEST = 100_000  # strings that the study of size draws on, so that smaller ones are the same whatever is asked for
BEFORE = "before"  # in the study of seeds: the base, untrained
ALL = "0"  # in the study of layers: all of them, embeddings too
DEEP = "bert-base"  # the shape whose layers are trained; its weights are random
SETTINGS = ("threads", "batch_size", "max_length", "pooling", "device", "loader_workers", "steps", "warmup_steps")


@dataclass(frozen=True)
class Study:
    """What is varied and what is measured at each point."""

    what: str  # the axis, as the tables call it
    values: tuple[str, ...]
    whole: bool  # the whole command; else a few steps
    variants: tuple[str, ...] = ("official", "ours")
    base: str | None = None  # where none is asked for; None: the same as everywhere
    batch_size: int = 200


STUDIES = {
    "phases": Study("strings", (), True, ("official", "ours-fp32", "ours")),
    "size": Study("strings", ("1000", "10000", "100000"), True, base="tiny"),
    "batch": Study("batch size [pairs]", ("50", "100", "200"), False),
    "length": Study("length [tokens]", ("16", "50", "128"), False, batch_size=32),
    "model": Study("model", ("tiny", DEFAULT_BASE.name, "bert-base"), False, batch_size=32),
    "layers": Study("layers trained", (ALL, "2", "4", "6", "12"), False, ("ours",), batch_size=32),
    "seeds": Study("seed", (), True, (BEFORE, "official", "ours")),
}


def run_study(name: str, args: argparse.Namespace, scratch: Path) -> Path:
    """Measure what is missing of a study and return its record."""
    study = STUDIES[name]
    args = fill(study, args)
    values, variants = points(name, study, args), pick_variants(study, args)
    base = find_base(args.base or study.base)
    texts = gather(name, values, args)
    record = begin(name, study, base, texts, args)
    file = Path(args.results) / f"{study_stem(record)}.json"
    record = go_on(record, file, fresh=args.fresh)
    measure = Measure(name, base, texts, args, scratch)
    for point, variant, number in turns(values, variants, args.rounds):
        if name == "seeds" and variant == BEFORE and point != values[0]:
            continue  # the base has no seed
        key = {"point": point, "variant": variant, "round": number}
        if any(key.items() <= run.items() for run in record["runs"]):
            continue
        minutes = predicted(record["runs"], point, variant) / 60 if name == "size" else 0.0
        if minutes > args.most_minutes:
            why = f"about {minutes:.0f} minutes by the speed of the smaller corpus"
            print(f"{name}, {point}, {variant}: left out, {why}", file=sys.stderr)
            record["skipped"][f"{point}/{variant}"] = why
        else:
            load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
            now = f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
            figures = measure(point, variant)
            record["runs"].append({**key, "date": now, "load_average": load, **figures, **key})
            record["skipped"].pop(f"{point}/{variant}", None)
            print(f"{name}, {point}, {variant}: {brief(record['runs'][-1])}", file=sys.stderr)
        files.write_json(file, record)
    return file


def fill(study: Study, args: argparse.Namespace) -> argparse.Namespace:
    """Return the options with the study's own values where nothing was asked for."""
    pick_device(args.device)
    filled = argparse.Namespace(**vars(args))
    own = {"rounds": 1, "steps": 2, "warmup_steps": 1, "batch_size": study.batch_size}
    for name, value in own.items():
        if getattr(filled, name) is None:
            setattr(filled, name, value)
    for name in ("rounds", "steps", "seeds", "threads", "strings"):
        if getattr(filled, name) < 1:
            raise ConfigError(f"{name} {getattr(filled, name)}: must be at least 1")
    if filled.batch_size < 2 or filled.sts_pairs < 0:
        raise ConfigError(
            f"batch_size {filled.batch_size}, sts_pairs {filled.sts_pairs}: must be at least 2 and at least 0"
        )
    return filled


def points(name: str, study: Study, args: argparse.Namespace) -> list[str]:
    """Return the points of a study in their order; raises ConfigError for one that cannot be."""
    own = {"phases": [str(args.strings)], "seeds": [str(args.seed + i) for i in range(args.seeds)]}
    asked = [value.strip() for value in args.values.split(",")] if args.values else own.get(name, [*study.values])
    if name != "model":
        least = {"seeds": 0, "batch": 2, "length": 3, "layers": 0}.get(name, args.batch_size)
        for value in asked:
            if not value.isdecimal() or int(value) < least:
                raise ConfigError(f"{study.what} {value!r}: must be a number of at least {least}")
        asked.sort(key=int)
    return list(dict.fromkeys(asked))


def pick_variants(study: Study, args: argparse.Namespace) -> list[str]:
    """Return the variants of a study; raises ConfigError for one that it does not know."""
    known = ["official"] if "official" in study.variants else []
    known += WHOLE if study.whole else ["ours-fp32", "ours"]
    known += [BEFORE] if BEFORE in study.variants else []
    asked = [name.strip() for name in args.variants.split(",")] if args.variants else [*study.variants]
    if unknown := [name for name in asked if name not in known]:
        raise ConfigError(f"variant {unknown[0]!r}: must be of {', '.join(known)}")
    return asked


def gather(name: str, values: list[str], args: argparse.Namespace) -> strings.Strings:
    """Return the strings that all points of a study draw on."""
    found = strings.gather(args.corpus, large=name == "size")
    if name == "size":
        return strings.grow(found, max(LARGEST, *map(int, values)), args.seed)
    return strings.grow(found, args.strings, args.seed) if name in ("phases", "seeds") else found


def begin(name: str, study: Study, base: str, texts: strings.Strings, args: argparse.Namespace) -> dict[str, Any]:
    """Return the record of a study of which nothing is measured yet."""
    described = files.machine(None, "torch", "transformers", "tokenizers", "numpy")
    if args.device == "cuda":
        described["hardware"]["gpu"] = torch.cuda.get_device_name()
    settings = {key: getattr(args, key) for key in SETTINGS}
    if name == "seeds":
        settings["sts_pairs"] = args.sts_pairs
    return {
        "study": name,
        "what": study.what,
        "whole": study.whole,
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        **described,
        "base": Path(base).name,
        "corpus": texts.about(),
        "settings": settings,
        "runs": [],
        "skipped": {},
    }


def study_stem(record: files.Figures) -> str:
    """Return the name of a study's files, without an ending."""
    hardware = record["hardware"]
    device = hardware["gpu"] or f"{hardware['cpu']} {record['settings']['threads']} threads"
    return f"study_{record['study']}_{files.slug(record['base'])}_{files.slug(device)}"


def go_on(record: dict[str, Any], file: Path, *, fresh: bool) -> dict[str, Any]:
    """Return what is measured already, if it was measured the same way; raises ConfigError if it was not."""
    if fresh or not file.is_file():
        return record
    known: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    for part in ("settings", "versions", "corpus"):
        different = [
            f"{key} {known[part].get(key)}, now {value}"
            for key, value in record[part].items()
            if known[part].get(key) != value
        ]
        if different:
            raise ConfigError(f"{file}: was measured with {', '.join(different)}; --fresh begins it anew")
    return known


def turns(values: list[str], variants: list[str], rounds: int) -> Iterator[tuple[str, str, int]]:
    """Yield point, variant and round; the variants' order rotates from round to round."""
    for number in range(rounds):
        for point in values:
            for variant in rotated(variants, number):
                yield point, variant, number


def predicted(runs: list[Run], point: str, variant: str) -> float:
    """Return the seconds that a corpus of `point` strings takes by the largest smaller one; 0 where there is none."""
    smaller = [run for run in runs if run["variant"] == variant and int(run["point"]) < int(point)]
    if not smaller:
        return 0.0
    last = max(smaller, key=lambda run: int(run["point"]))
    return float(int(point) / last["pairs_per_second"])


def brief(run: Run) -> str:
    """Describe a run."""
    said = [f"{run['pairs_per_second']:.1f} pairs/s"] if "pairs_per_second" in run else []
    return ", ".join([*said, *([f"STS {run['sts']['average']:.2f}"] if "sts" in run else [])])


class Measure:
    """Measure one variant at one point of a study."""

    def __init__(self, name: str, base: str, texts: strings.Strings, args: argparse.Namespace, scratch: Path) -> None:
        self._name, self._base, self._texts, self._args = name, base, texts.texts, args
        self._home = scratch / name
        self._home.mkdir(parents=True, exist_ok=True)

    def __call__(self, point: str, variant: str) -> Run:
        if self._name == "seeds":
            return self._seed(int(point), variant)
        if self._name in ("phases", "size"):
            corpus = strings.write(self._texts[: int(point)], self._home / f"{point}.txt")
            return run_whole(variant, self._base, corpus, self._args)
        changed = {"batch": "batch_size", "length": "max_length", "layers": "train_layers"}.get(self._name)
        args = argparse.Namespace(**vars(self._args) | ({changed: int(point)} if changed else {}))
        return run_steps(variant, self._model(point), self._sample(point, args), args)

    def _seed(self, seed: int, variant: str) -> Run:
        sts = self._sts()
        args = argparse.Namespace(**vars(self._args) | {"seed": seed})
        if variant == BEFORE:
            return {"sts": run_score(self._base, variant, sts, args)}
        corpus = strings.write(self._texts, self._home / "corpus.txt")
        return run_whole(variant, self._base, corpus, args, sts)

    def _sts(self) -> Path:
        folder = self._home / "sts"
        folder.mkdir(exist_ok=True)
        for data in read_sets(self._args.sts_pairs or None):
            rows = zip(data.score, data.left, data.right, strict=True)
            strings.write([f"{score}\t{left}\t{right}" for score, left, right in rows], folder / f"{data.name}.tsv")
        return folder

    def _model(self, point: str) -> str:
        if self._name == "layers":
            point = DEEP
        elif self._name != "model":
            return self._base
        if point in SHAPES:
            folder = self._home / point
            return str(folder) if folder.is_dir() else make_random(point, self._base, folder)
        return find_base(str(DEFAULT_BASE) if point == DEFAULT_BASE.name else point)

    def _sample(self, point: str, args: argparse.Namespace) -> Path:
        count = (args.steps + args.warmup_steps) * args.batch_size
        if self._name == "length":
            texts = strings.lengthen(self._texts, int(point), count, args.seed)
        else:
            texts = strings.grow(strings.Strings(self._texts, "corpus"), count, args.seed).texts
        file = self._home / f"sample-{point}.txt"
        file.write_text("\n".join(texts), encoding="utf-8")  # no last line end: the worker splits at them
        return file
