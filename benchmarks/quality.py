"""Score what `mirrorkit finetune` makes of a base, over seeds, and keep the record for the README.

python -m benchmarks.quality     # minilm-mlm, recipe auto, three seeds, the seven STS sets
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from benchmarks import record as files
from benchmarks import report
from benchmarks.training.runs import DEFAULT_BASE, DEFAULT_CORPUS, find_base, find_corpus, run_process
from mirrorkit.errors import MirrorkitError
from mirrorkit.machine.facts import usable_cores


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="benchmarks.quality", description=__doc__, formatter_class=plain)
    add = parser.add_argument
    add("--base", help=f"model folder or shipped name; default: {DEFAULT_BASE.name}, else tiny")
    add("--corpus", type=Path, help=f"one string a line; default: {DEFAULT_CORPUS.name}, else the demo corpus")
    add("--sts", type=Path, default=files.SHARED / "data" / "sts", help="folder of the seven sets")
    add("--recipe", default="auto")
    add("--seeds", type=int, default=3)
    add("--limit", type=int, help="train on so many rows")
    add("--device", default="auto")
    add("--threads", type=int, default=usable_cores(), help="default: all cores (%(default)s)")
    add("--results", type=Path, default=files.RESULTS)
    add("--readme", type=Path, default=files.README)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and score, write the record, make the table anew; return the exit code."""
    args = build_parser().parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            base, corpus = find_base(args.base), find_corpus(args.corpus, Path(scratch))
            described = files.machine(None, "torch", "transformers", "tokenizers", "numpy")
            command = ["-c", "from mirrorkit.cli.app import app; app()", "--quiet", "finetune", base, str(corpus)]
            command += ["--out", f"{scratch}/model", "--recipe", args.recipe, "--seeds", str(args.seeds)]
            command += ["--eval", str(args.sts), "--device", args.device, "--json", "--no-verdict"]
            command += ["--limit", str(args.limit)] if args.limit else []
            figures = run_process(command, "finetune", args.threads)
        del figures["out"]  # a folder that is gone
        today = f"{datetime.now(timezone.utc):%Y-%m-%d}"
        record = {
            **figures,
            "date": today,
            **described,
            "threads": args.threads,
        }  # of this form, whatever the command says
        file = args.results / f"quality_{files.slug(record['base'])}_{files.slug(args.recipe)}.json"
        files.write_json(file, record)
        report.update(args.results, args.readme, ("quality",))
    except MirrorkitError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    print(f"wrote {file} and the table in {args.readme}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
