"""Climb the ladder: run the cells that are not in the record yet, each in a process of its own, and make the table.

python -m benchmarks.domains --out D --only docstrings --only manuals
python -m benchmarks.ladder --domains D                      # goes on where it was stopped
python -m benchmarks.ladder --domains D --only 'crop' --seeds 1 2 3
python -m benchmarks.ladder --table                          # ladder.md anew from the record
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from benchmarks import processes
from benchmarks import record as files
from benchmarks.ladder.cells import Cell
from benchmarks.ladder.rungs import FINAL, RUNGS
from benchmarks.ladder.table import PAGE, SECTION, update
from mirrorkit.errors import ConfigError, MirrorkitError
from mirrorkit.formats.json_file import read_object
from mirrorkit.machine.facts import load_average


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    plain_text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="benchmarks.ladder", description=__doc__, formatter_class=plain_text)
    add = parser.add_argument
    add("--domains", type=Path, help="folder with docstrings and manuals, each made there")
    add("--seeds", type=int, nargs="+", default=[1])
    add("--only", default="", help="cells whose name, BASE/RUNG/SEED, this pattern is found in")
    add("--final", action="store_true", help="the seven sets and the test documents; once, when all is chosen")
    add("--threads", type=int, default=1)
    add("--minutes", type=float, help="stop after the cell that is under way then")
    add("--table", action="store_true", help="make the page anew and end")
    add("--results", type=Path, default=files.RESULTS)
    add("--page", type=Path, default=PAGE)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not in the record yet; return the exit code."""
    args = build_parser().parse_args(arguments)
    file = args.results / f"{SECTION}_{files.slug(files.machine(None)['hardware']['cpu'])}.json"
    try:
        if not args.table:
            climb(args, file)
        update(args.results, args.page)
    except MirrorkitError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    return 0


def climb(args: argparse.Namespace, file: Path) -> None:
    """Run one cell after the other; each goes into the record at once."""
    if args.domains is None:
        raise ConfigError("`domains`: give the folder that `python -m benchmarks.domains --out` has made")
    start = time.monotonic()
    for seed in args.seeds:
        for rung in FINAL if args.final else RUNGS:
            cell = Cell(rung, seed)
            if not re.search(args.only, cell.name) or cell.name in _cells(file, args.final):
                continue
            if args.minutes and time.monotonic() - start > 60 * args.minutes:
                return
            _keep(file, cell, run(cell, args), args.final)


def run(cell: Cell, args: argparse.Namespace) -> dict[str, object]:
    """Return the figures of one cell, or why it failed."""
    given = {
        "rung": dataclasses.asdict(cell.rung),
        "seed": cell.seed,
        "domains": str(args.domains),
        "final": args.final,
    }
    command = [sys.executable, "-m", "benchmarks.ladder.worker", json.dumps(given)]
    load = load_average()
    try:
        env = processes.environment(args.threads, PYTHONPATH=str(files.ROOT))
        found = processes.run_json(command, cell.name, env, cwd=files.ROOT)
    except processes.ProcessError as err:
        found = {"failed": str(err)}
    last = list(found.get("points", {}).values())[-1:] or [found]
    told = {name: round(value, 2) if isinstance(value, float) else value for name, value in last[0].items()}
    print(cell.name, told, flush=True)
    rung = {name: value for name, value in given["rung"].items() if name != "at"}  # type: ignore[attr-defined]
    date = f"{datetime.now(timezone.utc):%Y-%m-%d}"
    return {"rung": rung, "seed": cell.seed, "threads": args.threads, "load_average": load, "date": date, **found}


def _cells(file: Path, final: bool) -> dict[str, object]:
    record = read_object(file) if file.is_file() else {}
    found: dict[str, object] = record.get("final" if final else "cells", {})
    return found


def _keep(file: Path, cell: Cell, found: dict[str, object], final: bool) -> None:
    record = read_object(file) if file.is_file() else {}
    record.setdefault("final" if final else "cells", {})[cell.name] = found
    record |= files.machine(None, "torch", "transformers", "tokenizers", "numpy")
    files.write_json(file, record)


if __name__ == "__main__":
    sys.exit(main())
