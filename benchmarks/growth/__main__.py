"""How cost grows: `python -m benchmarks.growth BUNDLE --model MODEL` says whether work is linear and memory flat.

BUNDLE encodes; of MODEL the tokenizer is taken for models of random weights. Every point is a process of its own, and
goes into the record at once: a run that was stopped goes on. Time is that of the processor, so that other processes
disturb little. `--report RECORD` writes table and figure anew.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks import record as files
from benchmarks.growth import series as kinds
from benchmarks.growth.making import NARROW, SHAPE, SPECIAL, grown, make_model, pieces_of, words_of, write_texts
from benchmarks.growth.series import ENCODE, READ, ROWS, STEPS, TEXTS, TOKENS, TRAIN, Series
from benchmarks.growth.worker import Job
from benchmarks.processes import Run, environment, run, run_json
from benchmarks.training.studies import go_on
from mirrorkit.errors import ConfigError, MirrorkitError
from mirrorkit.formats.bundle import read_bundle
from mirrorkit.formats.json_file import read_object

WORDS_A_TEXT, WORDS_A_STRING = 3, 8


def main() -> int:
    """Measure what is missing, then write table and figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?", help="folder of a bundle")
    parser.add_argument("--model", type=Path, help="the model's folder, with a WordPiece tokenizer")
    parser.add_argument("--series", help=f"of {', '.join(kinds.SERIES)}; default: all")
    parser.add_argument("--rounds", type=int, default=3, help="of the smaller points; larger ones are measured once")
    parser.add_argument("--largest", type=int, help="texts or strings of a point, at most; default: all points")
    parser.add_argument("--work", type=Path, help="folder for models and texts, kept; default: build/growth")
    parser.add_argument("--results", type=Path, default=files.RESULTS)
    parser.add_argument("--fresh", action="store_true", help="measure anew what the record has")
    parser.add_argument("--report", type=Path, help="an earlier record: no measurement")
    parser.add_argument("--price", type=float, help="of a machine for an hour, in your money; default: none is told")
    parser.add_argument("--cores", type=int, help="of that machine; default: as many as the record's has")
    asked = parser.parse_args()
    try:
        check(asked)
        file = asked.report or measure(asked)
        from benchmarks.growth.report import write

        write(file, price=asked.price, cores=asked.cores)
    except MirrorkitError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    return 0


def check(asked: argparse.Namespace) -> None:
    """Raise ConfigError for options that cannot be."""
    if asked.report is None and (asked.bundle is None or asked.model is None):
        raise ConfigError("`bundle` and `model`: give both, or `report`, an earlier record")
    if asked.rounds < 1:
        raise ConfigError(f"`rounds` {asked.rounds}: must be at least 1")
    if asked.price is not None and not 0 <= asked.price < float("inf"):
        raise ConfigError(f"`price` {asked.price:g}: must be at least 0 and finite")
    if asked.cores is not None and asked.cores < 1:
        raise ConfigError(f"`cores` {asked.cores}: must be at least 1")


def measure(asked: argparse.Namespace) -> Path:
    """Measure every point that the record lacks; return the record."""
    wanted = kinds.chosen(asked.series, asked.largest)
    bundle = read_bundle(asked.bundle)
    made = Making(bundle.folder, asked.model, (asked.work or files.ROOT / "build" / "growth").resolve())
    described = files.machine(None, "onnxruntime", "torch", "transformers", "tokenizers", "numpy", "pyarrow")
    file: Path = (
        asked.results / f"growth_{files.slug(asked.bundle.name)}_{files.slug(described['hardware']['cpu'])}.json"
    )
    fresh = {
        "bundle": asked.bundle.name,
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        **described,
        "config": {name: read_object(bundle.folder / "config.json")[name] for name in _SHAPE},
        "settings": {"words_a_text": WORDS_A_TEXT, "words_a_string": WORDS_A_STRING},
        "corpus": {},
        "runs": [],
        "left_out": {},
    }
    record = go_on(fresh, file, fresh=asked.fresh)
    for name, one in wanted.items():
        for size, number in kinds.points(one, asked.rounds):
            key = {"series": name, "size": size, "round": number}
            if any(key.items() <= found.items() for found in record["runs"]):
                continue
            point = f"{name}/{size}"
            if one.axis == TEXTS and asked.largest is not None and size > asked.largest:
                record["left_out"][point] = f"more than {asked.largest:,} {one.per}s"
            elif one.task == ENCODE and one.axis == TOKENS and size > bundle.max_length:
                record["left_out"][point] = f"the bundle reads {bundle.max_length} tokens"
            else:
                load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
                figures = made.run(one, size)
                record["runs"].append({**key, "threads": one.threads, "load_average": load, **figures})
                record["left_out"].pop(point, None)
                print(f"{name}, {size:,}, round {number + 1}: {_brief(figures)}", file=sys.stderr)
            files.write_json(file, record)
    return file


_SHAPE = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")


class Making:
    """Makes models, bundles and texts in a folder where they stay, and measures with them."""

    def __init__(self, bundle: Path, model: Path, work: Path) -> None:
        self._bundle, self._model, self._work = bundle.resolve(), model.resolve(), work
        self._pieces = pieces_of(self._model)

    def run(self, series: Series, size: int) -> Run:
        """Measure one point in a process of its own."""
        job = self._job(series, size)
        command = [sys.executable, "-m", "benchmarks.growth.worker", json.dumps(asdict(job))]
        path = str(files.ROOT)
        return run_json(command, f"{series.about}, {size}", environment(series.threads, PYTHONPATH=path), files.ROOT)

    def _job(self, series: Series, size: int) -> Job:
        if series.task == READ:
            corpus = self._texts(kinds.VOCABULARIES[0], WORDS_A_STRING, size)
            return Job("read", "", str(corpus), series.threads)
        return self._trained(series, size) if series.task == TRAIN else self._encoded(series, size)

    def _encoded(self, series: Series, size: int) -> Job:
        rows, each, count = kinds.VOCABULARIES[0], WORDS_A_TEXT, size
        own = series.task == ENCODE and series.axis != ROWS
        bundle = self._bundle
        if series.axis == TOKENS:
            each, count = size - SPECIAL, max(1, kinds.WORK_TOKENS // size)
        elif series.axis == ROWS:
            rows, each, count = size, kinds.VOCABULARY_WORDS, kinds.VOCABULARY_TEXTS
        if not own:
            bundle = self._exported(self._random(rows), "fp32", kinds.LENGTHS[-1])
        corpus = self._texts(None if own else rows, each, count)
        return Job("encode", str(bundle), str(corpus), series.threads, series.ending, scratch=str(self._work))

    def _trained(self, series: Series, size: int) -> Job:
        rows, each, count, pairs, longest = kinds.VOCABULARIES[0], WORDS_A_STRING, size, 200, 50
        if series.axis == TOKENS:
            pairs, longest, each = kinds.STEP_TOKENS // size, size, size - SPECIAL
            count = pairs * kinds.FEW_STEPS
        elif series.axis == ROWS:
            rows, each, count = size, kinds.VOCABULARY_WORDS, pairs * kinds.FEW_STEPS
        elif series.axis == STEPS:
            count = kinds.STRINGS
        corpus = self._texts(rows, each, count)
        model = self._random(rows, NARROW if series.axis in (TEXTS, STEPS) else SHAPE)
        steps = size if series.axis == STEPS else 0
        return Job("train", str(model), str(corpus), series.threads, batch_size=pairs, max_length=longest, steps=steps)

    def _texts(self, rows: int | None, each: int, count: int) -> Path:
        words = words_of(self._pieces if rows is None else grown(self._pieces, rows))
        self._work.mkdir(parents=True, exist_ok=True)
        file = self._work / f"texts-{rows or 'own'}-{each}-{count}.txt"
        return file if file.is_file() else write_texts(file, words, each, count)

    def _random(self, rows: int, shape: Mapping[str, int] = SHAPE) -> Path:
        folder = self._work / f"random-{rows}-{shape['hidden_size']}"
        return folder if (folder / "model.safetensors").is_file() else make_model(self._model, rows, folder, shape)

    def _exported(self, model: Path, variants: str, longest: int) -> Path:
        out = self._work / f"bundle-{model.name}-{longest}"
        if not out.is_dir():
            command = [sys.executable, "-m", "mirrorkit", "-q", "export", str(model), "-o", str(out)]
            command += ["--variants", variants, "--max-length", str(longest), "--pooling", "mean"]
            run(command, f"export of {model.name}", environment(1, PYTHONPATH=str(files.ROOT)), files.ROOT)
        return out


def _brief(figures: dict[str, Any]) -> str:
    per = 1e3 * figures["cpu_seconds"] / figures["units"]
    return f"{per:.3f} ms each, {figures['peak_memory_bytes'] / 1e6:.0f} MB, {figures['cpu_seconds']:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
