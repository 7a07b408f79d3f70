"""Measure what a fine-tune gives, cell by cell, and write benchmarks/expect.md's tables and plots.

python -m benchmarks.domains --out domains --only docstrings --only manuals --only wordnet
python -m benchmarks.expect --domains domains      # --report makes tables and plots alone

Every cell is a process of its own and goes into the machine's record at once, so that a run which was stopped goes on
when it is started again. The first cells say most, so that a run cut short by --minutes is worth reading.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks import record as files
from benchmarks.expect.cells import Cell, base_folder, cells, drawn, texts_of
from benchmarks.expect.page import PREFIX, update
from benchmarks.processes import ProcessError, environment, run_json
from mirrorkit.errors import ConfigError, MirrorkitError
from mirrorkit.formats.json_file import read_object
from mirrorkit.formats.plain import plain

PAGE = files.ROOT / "benchmarks" / "expect.md"


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    plain_text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="benchmarks.expect", description=__doc__, formatter_class=plain_text)
    add = parser.add_argument
    add("--domains", type=Path, help="folder that benchmarks.domains has made docstrings, manuals and wordnet in")
    add("--only", default="", help="cells whose name, BASE/CORPUS/SIZE/RECIPE/SEED, this pattern is found in")
    add("--minutes", type=float, help="stop after the cell that is under way then")
    add("--threads", type=int, default=1, help="of each process (%(default)s)")
    add("--report", action="store_true", help="measure nothing, make the page's tables and the plots anew")
    add("--results", type=Path, default=files.RESULTS)
    add("--page", type=Path, default=PAGE)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is not in the record yet; return the exit code."""
    args = build_parser().parse_args(arguments)
    try:
        if not args.report:
            _measure(args)
        update(args.results, args.page)
    except (MirrorkitError, re.error) as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    return 0


def _measure(args: argparse.Namespace) -> None:
    if args.domains is None or not args.domains.is_dir():
        raise ConfigError(f"domains {args.domains}: must be a folder that `python -m benchmarks.domains` has made")
    if args.threads < 1:
        raise ConfigError(f"threads {args.threads}: must be at least 1")
    file = args.results / f"{PREFIX}{files.slug(files.machine(None)['hardware']['cpu'])}.json"
    record: dict[str, Any] = read_object(file) if file.is_file() else {"cells": {}, "skipped": {}}
    wanted = [cell for cell in cells() if re.search(args.only, cell.name)]
    start = time.monotonic()
    for cell in wanted:
        if "failed" not in record["cells"].get(cell.name, {"failed": ""}):
            continue
        if args.minutes and time.monotonic() - start > 60 * args.minutes:
            break
        missing = _missing(cell, args.domains)
        if missing:
            record["skipped"][cell.name] = missing
        else:
            record["cells"][cell.name] = _run(cell, args.domains, args.threads)
            record["skipped"].pop(cell.name, None)
        described = files.machine(None, "torch", "transformers", "tokenizers", "numpy")
        record |= {"date": f"{datetime.now(timezone.utc):%Y-%m-%d}", **described, "threads": args.threads}
        files.write_json(file, plain(record))


def _missing(cell: Cell, domains: Path) -> str:
    """Return why a cell cannot be measured here; empty where it can."""
    try:
        base_folder(cell.base)
        there = len(texts_of(cell.corpus, domains)) if cell.corpus else 0
    except ConfigError as err:
        return str(err)
    return f"the corpus has {there:,} strings" if drawn(cell.size, there) is None else ""


def _run(cell: Cell, domains: Path, threads: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.expect.worker", json.dumps(asdict(cell)), str(domains.resolve())]
    try:
        found = run_json(command, cell.name, environment(threads), files.ROOT)
    except ProcessError as err:  # a rate that breaks the weights is told by the training itself
        found = {**asdict(cell), "failed": str(err)}
    seconds = {name: f"{found[name]:.0f}" for name in ("train_cpu_seconds", "score_cpu_seconds") if name in found}
    shown = {name: round(value, 1) for name, value in found.get("scores", {}).items()}
    print(cell.name, found.get("failed", ""), shown, seconds, file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
