"""Measure what `--matryoshka` gives and costs: graded pairs at each length of vectors, with and without it, over seeds.

python -m benchmarks.matryoshka     # tiny, the shipped sentences, stsb-dev; writes the record and docs/finetune.md
python -m benchmarks.matryoshka --table     # the table anew, from the records that there are
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks import record as files
from benchmarks.processes import environment, run_json
from mirrorkit.assets.paths import SENTENCES
from mirrorkit.errors import MirrorkitError

SECTION = "matryoshka"
PAGE = files.ROOT / "docs" / "finetune.md"
ARMS = ("without", "with")

Record = Mapping[str, Any]


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="benchmarks.matryoshka", description=__doc__, formatter_class=plain)
    add = parser.add_argument
    add("--base", default="tiny", help="model folder or shipped name (%(default)s)")
    add("--corpus", type=Path, default=SENTENCES, help="one string a line; default: the shipped sentences")
    add("--pairs", type=Path, default=files.SHARED / "data" / "sts" / "stsb-dev.tsv", help="graded pairs to score on")
    add("--dims", default="32,64,128,256", help="what is given to --matryoshka (%(default)s)")
    add("--steps", type=int, default=10)
    add("--seeds", type=int, nargs="+", default=[42, 43, 44])
    add("--threads", type=int, default=1)
    add("--results", type=Path, default=files.RESULTS)
    add("--page", type=Path, default=PAGE, help="page that has the markers of the table")
    add("--cells", type=Path, help="file that keeps what was measured, so that a run that was stopped can go on")
    add("--table", action="store_true", help="make the table anew and measure nothing")
    add("--cell", help=argparse.SUPPRESS)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and score, write the record, make the table anew; return the exit code."""
    args = build_parser().parse_args(arguments)
    if args.cell is not None:
        print(json.dumps(run_cell(json.loads(args.cell))))
        return 0
    try:
        if not args.table:
            measure(args)
        files.update_section(args.page, SECTION, section(files.read_json(args.results, "matryoshka_")))
    except MirrorkitError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    return 0


def measure(args: argparse.Namespace) -> None:
    """Measure each seed in a process of its own, both arms in turn, and write the record."""
    described = files.machine(None, "torch", "transformers", "tokenizers", "numpy")
    job = {
        "base": args.base,
        "corpus": str(args.corpus.resolve()),
        "pairs": str(args.pairs.resolve()),
        "dims": args.dims,
        "steps": args.steps,
    }
    kept = args.cells.read_text(encoding="utf-8").splitlines() if args.cells and args.cells.exists() else []
    known: dict[str, dict[str, Any]] = dict(map(json.loads, kept))
    for seed in args.seeds:
        asked = json.dumps({**job, "seed": seed})
        if asked in known:
            continue
        print(f"measuring seed {seed}", file=sys.stderr)
        command = [sys.executable, "-m", "benchmarks.matryoshka", "--cell", asked]
        known[asked] = run_json(command, f"seed {seed}", environment(args.threads), files.ROOT)
        if args.cells:
            with args.cells.open("a", encoding="utf-8") as file:
                file.write(json.dumps([asked, known[asked]]) + "\n")
    cells = [known[json.dumps({**job, "seed": seed})] for seed in args.seeds]
    record = {
        "base": Path(args.base).name,
        "corpus": args.corpus.name,
        "pairs": args.pairs.stem,
        "matryoshka": args.dims,
        "steps": args.steps,
        "raw": cells[0]["raw"],
        "runs": [run for cell in cells for run in cell["runs"]],
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        **described,
        "threads": args.threads,
    }
    files.write_json(args.results / f"matryoshka_{files.slug(Path(args.base).name)}.json", record)


def run_cell(job: Mapping[str, Any]) -> dict[str, Any]:
    """Score the base, then train it with and without, and score each at every length; seconds are the processor's.

    The base goes first, so that neither arm pays for what is loaded only once.
    """
    from mirrorkit import SentenceEncoder, finetune
    from mirrorkit.evaluation.cut import Cut, Kept
    from mirrorkit.evaluation.graded import read_pairs
    from mirrorkit.evaluation.pairs import score_pairs
    from mirrorkit.training.matryoshka import parse_dims

    pairs = read_pairs(Path(job["pairs"]), score_column=0)

    def scores(encoder: SentenceEncoder) -> dict[str, float]:
        kept = Kept(encoder)
        lengths = [*parse_dims(job["dims"]), encoder.dim]
        return {str(dim): score_pairs(Cut(kept, dim), [pairs])[pairs.name].spearman for dim in lengths}

    raw = scores(SentenceEncoder.load(job["base"]))
    runs = []
    for arm in ARMS:
        start = time.process_time()
        result = finetune(
            job["base"],
            Path(job["corpus"]),
            matryoshka=job["dims"] if arm == "with" else None,
            steps=job["steps"],
            seed=job["seed"],
            verdict=False,
            device="cpu",
        )
        spent = time.process_time() - start
        precision = result.stats.precision
        figures = {"scores": scores(result.encoder), "cpu_seconds": spent, "precision": precision}
        runs.append({"seed": job["seed"], "arm": arm, **figures})
    return {"raw": raw, "runs": runs}


def section(records: Sequence[Record]) -> str:
    """Return the tables of all records."""
    return "\n\n".join(map(_table, records))


def _table(record: Record) -> str:
    lengths = list(record["raw"])
    by_arm = {arm: [run for run in record["runs"] if run["arm"] == arm] for arm in ARMS}
    gains = [
        {length: one["scores"][length] - other["scores"][length] for length in lengths}
        for other, one in zip(by_arm["without"], by_arm["with"], strict=True)
    ]
    cpu = {arm: [run["cpu_seconds"] for run in runs] for arm, runs in by_arm.items()}
    ratio = [one / other for other, one in zip(cpu["without"], cpu["with"], strict=True)]
    rows = [
        (f"{record['base']} as it is", *(f"{record['raw'][length]:.2f}" for length in lengths), ""),
        *(
            (
                name,
                *(_spread([run["scores"][length] for run in by_arm[arm]]) for length in lengths),
                _spread(cpu[arm], ".1f"),
            )
            for arm, name in (("without", "fine-tuned"), ("with", "fine-tuned with `--matryoshka`"))
        ),
        (
            "difference, by seed",
            *(_spread([gain[length] for gain in gains], "+.2f") for length in lengths),
            f"× {_spread(ratio)}",
        ),
    ]
    seeds = ", ".join(str(run["seed"]) for run in by_arm["with"])
    cpu_name, load = record["hardware"]["cpu"], record["hardware"]["load_average"]
    loaded = f", loaded ({load:.0f} processes waiting)" if load and load > record["hardware"]["cores"] else ""
    about = (
        f"{record['pairs']}, Spearman × 100 at each length of vectors; mean ± deviation over the seeds {seeds}; "
        f"{record['corpus']}, {record['steps']} steps, `--matryoshka {record['matryoshka']}`, "
        f"{record['runs'][0]['precision']}, {record['threads']} thread of {cpu_name}{loaded}, {record['date']}. CPU "
        "seconds: the whole fine-tune, loading included."
    )
    return f"{files.table(('', *lengths, 'CPU s'), rows)}\n\n{about}"


def _spread(values: Sequence[float], form: str = ".2f") -> str:
    mean = format(statistics.fmean(values), form)
    return f"{mean} ± {statistics.stdev(values):{form.removeprefix('+')}}" if len(values) > 1 else mean


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.exit(main())
