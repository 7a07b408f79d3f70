"""Hold the verdict without labels against labelled sets, cell by cell, and keep the record for studies.md.

python -m benchmarks.verdict --domains FOLDER     # what `python -m benchmarks.domains --out FOLDER` has made

Every cell goes into the record at once, so that a run which was stopped goes on when it is started again.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from benchmarks import record as files
from benchmarks import report
from benchmarks.verdict.cells import Cell, Workshop, cells
from mirrorkit.errors import MirrorkitError
from mirrorkit.formats.json_file import read_object
from mirrorkit.formats.plain import plain


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    plain_text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="benchmarks.verdict", description=__doc__, formatter_class=plain_text)
    add = parser.add_argument
    add("--domains", type=Path, required=True, help="folder with docstrings, manuals and wordnet, each made there")
    add("--wordnet", type=Path, help="folder with data.noun, …; default: as installed, or fetched")
    add("--seeds", type=int, nargs="+", default=[42])
    add("--only", default="", help="cells whose name, BASE/CORPUS/RECIPE/SEED, this pattern is found in")
    add("--minutes", type=float, help="stop after the cell that is under way then")
    add("--results", type=Path, default=files.RESULTS)
    add("--readme", type=Path, default=files.README)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not in the record yet; return the exit code."""
    args = build_parser().parse_args(arguments)
    file = args.results / "verdict.json"
    try:
        record = read_object(file) if file.is_file() else {"cells": {}}
        workshop, start = Workshop(args.domains, args.wordnet), time.monotonic()
        for cell in cells(args.seeds):
            if cell.name in record["cells"] or not re.search(args.only, cell.name):
                continue
            if args.minutes and time.monotonic() - start > 60 * args.minutes:
                break
            record["cells"][cell.name] = _run(workshop, cell)
            described = files.machine(None, "torch", "transformers", "tokenizers", "numpy")
            record |= {"date": f"{datetime.now(timezone.utc):%Y-%m-%d}", **described}
            files.write_json(file, plain(record))
        if record["cells"]:
            report.update(args.results, args.readme, ("verdict",))
    except MirrorkitError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    return 0


def _run(workshop: Workshop, cell: Cell) -> dict[str, object]:
    begun, cpu = time.monotonic(), time.process_time()
    try:
        found: dict[str, object] = workshop.run(cell)
    except MirrorkitError as err:  # a rate that breaks the weights is told by the training itself
        found = {"failed": str(err)}
    found["seconds"] = time.monotonic() - begun
    print(
        cell.name,
        *(found.get(key) for key in ("failed", "outcome", "change")),
        {name: round(one["change"], 1) for name, one in found.get("labels", {}).items()},  # type: ignore[attr-defined]
        f"{found['seconds']:.0f} s, {time.process_time() - cpu:.0f} CPU",
        file=sys.stderr,
        flush=True,
    )
    return found


if __name__ == "__main__":
    sys.exit(main())
