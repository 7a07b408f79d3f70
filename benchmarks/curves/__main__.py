"""How search and STS change with the steps of one fine-tune, measured on development data.

python -m benchmarks.domains --out domains
python -m benchmarks.curves --base ../shared/models/minilm-mlm --corpus domains/docstrings/train.jsonl \
    --text-column text --name documents --search domains/docstrings/docstrings-dev --sts ../shared/data/sts
python -m benchmarks.curves --page     # curves.md and its plot anew from the record

One run gives the whole curve: the rate is constant, so the state after n steps is that of a run of n steps.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from benchmarks import record as files
from benchmarks.curves.page import PAGE, PLOT, RECORD, update
from benchmarks.curves.scores import STS_DEV, curve
from benchmarks.ladder.cells import base_folder
from mirrorkit.errors import ConfigError, MirrorkitError
from mirrorkit.formats.json_file import read_object
from mirrorkit.machine.torch_device import pick_autocast
from mirrorkit.training.corpus import load_corpus
from mirrorkit.training.recipe import Recipe, changed


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="benchmarks.curves", description=__doc__, formatter_class=plain)
    add = parser.add_argument
    add("--base", help="a shared model, all-MiniLM-L6-v2, a shipped name or a folder")
    add("--corpus", type=Path)
    add("--text-column")
    add("--name", help="what the record calls the corpus; default: the name of its file")
    add("--search", type=Path, help="folder in BEIR's layout; of development documents")
    add("--sts", type=Path, help=f"folder with {STS_DEV}.tsv")
    add("--at", default="3,5,10,20,46,100", help="steps (%(default)s)")
    add("--seed", type=int, default=1)
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="hyper-parameter; repeatable")
    add("--page", action="store_true", help="make page and plot anew from the record and end")
    add("--results", type=Path, default=files.RESULTS)
    return parser


def steps_of(text: str) -> list[int]:
    """Return the steps that `text` lists, in order; raises ConfigError for what is not one."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise ConfigError(f"at {text!r}: must be whole numbers above 0 with commas between, such as 3,10,46")
    return sorted({int(part) for part in parts})


def settings(given: Sequence[str]) -> dict[str, Any]:
    """Return the hyper-parameters of `NAME=VALUE`, each of its field's type."""
    usual = Recipe()
    fields = {field.name: type(getattr(usual, field.name)) for field in dataclasses.fields(Recipe)}
    found: dict[str, Any] = {}
    for one in given:
        name, _, value = one.partition("=")
        if name not in fields:
            raise ConfigError(f"set {one!r}: must be NAME=VALUE with one of {', '.join(fields)}")
        try:
            found[name] = fields[name](value) if fields[name] in (int, float) else value
        except ValueError as err:
            raise ConfigError(f"set {one!r}: must be a number") from err
    changed(usual, found)  # type: ignore[arg-type]  # its names have been looked up
    return found


def measure(args: argparse.Namespace) -> None:
    """Train, score and put the curve into the record, where it replaces one of the same name."""
    at, changes = steps_of(args.at), settings(args.set)
    if not args.base or not args.corpus:
        raise ConfigError("give --base and --corpus, or --page")
    if not args.search and not args.sts:
        raise ConfigError("give --search, --sts or both: without them nothing is measured")
    corpus = load_corpus(args.corpus, text_column=args.text_column)
    described = files.machine(None, "torch", "transformers", "tokenizers", "numpy")
    recipe, points = curve(
        base_folder(args.base), corpus, changes, at, seed=args.seed, search=args.search, sts=args.sts
    )
    base, name = Path(args.base).name, args.name or args.corpus.stem
    file = args.results / RECORD
    record = read_object(file) if file.is_file() else {"cells": {}}
    record["cells"]["/".join([base, name, *args.set, str(args.seed)])] = {
        "base": base,
        "corpus": name,
        "strings": len(corpus),
        "set": args.set,
        "seed": args.seed,
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        **described,
        "threads": torch.get_num_threads(),
        "precision": str(pick_autocast("auto", "cpu")).removeprefix("torch."),
        "recipe": dataclasses.asdict(recipe),
        "points": points,
    }
    files.write_json(file, record)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure a curve, or make the page; return the exit code."""
    args = build_parser().parse_args(arguments)
    try:
        if args.page:
            update(args.results / RECORD, PAGE, args.results / PLOT)
        else:
            measure(args)
    except MirrorkitError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
