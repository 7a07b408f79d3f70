"""Try settings of the recipe for words on development sets made from WordNet, and keep the record.

python -m benchmarks.word_dev                        # every cell that is not in results/word_dev.json yet
python -m benchmarks.word_dev --only temperature     # those whose name, BASE/SETTING/SEED, has this in it

Every cell goes into the record at once, so that a run which was stopped goes on when it is started again. No score of
a test set is looked at: `python -m benchmarks.word_dev.test` does that, once the recipe is settled.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import torch

from benchmarks import record as files
from benchmarks import report
from benchmarks.word_dev.cells import BASES, Cell, Workshop
from benchmarks.word_dev.grid import cells
from mirrorkit.errors import MirrorkitError
from mirrorkit.formats.json_file import read_object
from mirrorkit.formats.plain import plain


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    plain_text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="benchmarks.word_dev", description=__doc__, formatter_class=plain_text)
    add = parser.add_argument
    add("--wordnet", type=Path, help="folder with data.noun, …; default: as installed, or fetched")
    add("--bases", nargs="+", choices=list(BASES), default=list(BASES))
    add("--seeds", type=int, nargs="+", default=[1, 2, 3])
    add("--only", default="", help="cells whose name, BASE/SETTING/SEED, this pattern is found in")
    add("--minutes", type=float, help="stop after the cell that is under way then")
    add("--keep", type=Path, help="folder for the encoders of whole cells, which benchmarks.word_dev.test can score")
    add("--results", type=Path, default=files.RESULTS)
    add("--readme", type=Path, default=files.README)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not in the record yet; return the exit code."""
    args = build_parser().parse_args(arguments)
    file = args.results / "word_dev.json"
    try:
        record = read_object(file) if file.is_file() else {"bases": {}, "cells": {}}
        workshop, start = Workshop(args.wordnet, args.keep), time.monotonic()
        record["sets"] = workshop.sizes
        for base in args.bases:
            if base not in record["bases"]:
                record["bases"][base] = plain(workshop.base(base))
                print(base, _told(record["bases"][base]), file=sys.stderr, flush=True)
        for cell in cells(args.bases, args.seeds):
            if cell.name in record["cells"] or not re.search(args.only, cell.name):
                continue
            if args.minutes and time.monotonic() - start > 60 * args.minutes:
                break
            found = _run(workshop, cell)
            record["cells"][cell.name] = plain(found)
            described = files.machine(None, "torch", "transformers", "tokenizers", "numpy")
            record |= {
                "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
                "threads": torch.get_num_threads(),
                **described,
            }
            files.write_json(file, record)
        report.update(args.results, args.readme, ("words",))
    except MirrorkitError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    return 0


def _run(workshop: Workshop, cell: Cell) -> dict[str, object]:
    try:
        found = workshop.run(cell)
    except MirrorkitError as err:  # a rate that breaks the weights is told by the training itself
        print(cell.name, err, file=sys.stderr, flush=True)
        return {"failed": str(err)}
    print(f"{cell.name}, {found['steps']} steps, {found['cpu_seconds']:.0f} CPU s", file=sys.stderr)
    for name, scores in {**found["way"], **found["scores"]}.items():
        print(f"    {name:10s} {_told(scores)}", file=sys.stderr, flush=True)
    return {"changes": dict(cell.changes), "views": cell.views, "corpus": cell.corpus, **found}


def _told(scores: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.1f}" for name, value in scores.items())


if __name__ == "__main__":
    sys.exit(main())
