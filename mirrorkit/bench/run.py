"""Measure a bundle beside what it is compared with: `mirrorkit bench`, but for what is said and written of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mirrorkit.bench.measure.candidates import Candidate, candidates, check_hashes
from mirrorkit.bench.measure.machine import environment
from mirrorkit.bench.measure.plan import WARM_UP, BenchPlan, Budget, Shapes, make_plan, make_shapes
from mirrorkit.bench.measure.processes import run_worker
from mirrorkit.bench.measure.quality import QualityRun, measure_quality
from mirrorkit.bench.measure.speed import SpeedRun, measure_speed
from mirrorkit.bench.measure.workload import Workload, read_workload
from mirrorkit.bench.result import BenchResult, Subject
from mirrorkit.evaluation.sets import Paths, read_task_sets
from mirrorkit.formats.bundle import MANIFEST, Bundle
from mirrorkit.formats.files import sha256_of
from mirrorkit.progress import Progress
from mirrorkit.runtime.engines import check_engine
from mirrorkit.runtime.hub import open_bundle
from mirrorkit.runtime.ops import BF16_VARIANT

log = logging.getLogger(__name__)

BUSY = 0.5  # of a load average of 1 a core


def run_bench(
    bundle: str | Path,
    *,
    baseline: str | Path | None = None,
    sts: str | Path | None = None,
    retrieval: Paths | None = None,
    split: str | None = None,
    search: Paths | None = None,
    knn: Paths | None = None,
    variants: Sequence[str] | None = None,
    threads: int | None = None,
    lengths: Sequence[int] | None = None,
    batches: Sequence[int] | None = None,
    budget: str | Budget = "quick",
    verify: bool = True,
    revision: str | None = None,
    trust_remote_code: bool = False,
    engine: str = "onnxruntime",
    seed: int = 0,
    progress: Progress | None = None,
) -> BenchResult:
    """Measure quality and speed of the variants of a bundle and of the baseline; the result has no gate yet.

    `bundle` is a folder or a hub id, of the branch, tag or commit `revision`. `baseline` is a model folder, shipped
    name or hub id, run by torch, or another bundle; without one the plain fp32
    variant stands in, and no torch is needed. `sts` is a folder of the seven sets, else the shipped graded set is
    used; `retrieval`, `split`, `search` and `knn` are those of `evaluate`. `lengths` count tokens, `batches` texts;
    `budget` is quick (a minute) or full (a quarter of an hour). Without `verify` files that differ from their recorded
    hashes are measured all the same. `trust_remote_code` lets Python code run that comes with the baseline. With the
    engine `openvino` the plain graphs come once more, as OpenVINO runs them in each precision that this machine has.
    `fp32-fused` comes once more as `ops-bf16` where `MIRRORKIT_OPS` names a libmirrorkit_ops that can run it so here;
    a line in the log says why not, and named in `variants` it must be possible.

    Everything that can be wrong with the options is raised before anything is measured: BundleError, ConfigError,
    CorpusError, ModelError. Later on WorkerError names a subject whose process failed.

    >>> from mirrorkit import run_bench
    >>> result = run_bench("bundle", variants=["int8"], lengths=[8], batches=[1])
    >>> [subject.name for subject in result.subjects]
    ['baseline', 'int8']
    """
    opened = open_bundle(bundle, revision=revision)
    bf16 = BF16_VARIANT in (variants or ())
    names = [name for name in variants if name != BF16_VARIANT] if variants else None
    graphs = [] if bf16 and not names else opened.named(names)
    check_engine(engine)
    plan = make_plan(threads=threads, budget=budget, seed=seed)
    shapes = make_shapes(opened, lengths, batches)
    compared = None if baseline is None else str(baseline)
    chosen = candidates(
        opened, graphs, compared, verify=verify, trust_remote_code=trust_remote_code, engine=engine, bf16=bf16
    )
    check_hashes(chosen)
    tasks = read_task_sets(retrieval, split, search, knn).each()
    workload = replace(read_workload(sts, plan.budget.texts), tasks=tasks)
    machine = environment(plan.threads)
    if (machine["load_average"] or 0) > BUSY * machine["cores"]:
        log.warning("the machine is busy (load average %.1f): timings will be noisy", machine["load_average"])
    quality = measure_quality(chosen, plan, workload, max(shapes.lengths), progress)
    speed = measure_speed(chosen, plan, shapes, workload.timed, workload.short, run_worker, progress)
    return BenchResult(
        baseline=chosen[0].variant.name if baseline is None else str(baseline),
        plan={
            **_planned(plan, shapes, workload),
            "verified": verify,
            "trust_remote_code": trust_remote_code,
            "baseline_stands_in": baseline is None,
            **_found(quality, speed),
        },
        environment=machine,
        subjects=tuple(_subject(candidate, quality, speed) for candidate in chosen),
        bundle=_about(opened),
    )


def _subject(candidate: Candidate, quality: QualityRun, speed: SpeedRun) -> Subject:
    bare = Subject(candidate.name, candidate.precision, candidate.graph, candidate.file_bytes)
    return replace(bare, quality=quality.qualities[candidate.name], speed=speed.speeds[candidate.name])


def _about(bundle: Bundle) -> dict[str, Any]:
    return {
        "folder": str(bundle.folder),
        "architecture": bundle.architecture,
        "dim": bundle.dim,
        "max_length": bundle.max_length,
        "pooling": str(bundle.pooling),
        "sha256": sha256_of(bundle.folder / MANIFEST),
    }


def _planned(plan: BenchPlan, shapes: Shapes, workload: Workload) -> dict[str, Any]:
    return {
        "budget": plan.budget.name,
        "threads": plan.threads,
        "lengths": list(shapes.lengths),
        "batches": list(shapes.batches),
        "seed": plan.seed,
        "sets": {data.name: len(data) for data in workload.sets},
        "tasks": {one.name: one.about() for one in workload.tasks},
        "graded_texts": len(workload.graded),
        "pool": len(workload.pool),
        "resamples": plan.budget.resamples,
        "ragged_texts": len(workload.timed),
        "short_text": workload.short,
        "warm_up": WARM_UP,
        "narrow": plan.budget.narrow,
    }


def _found(quality: QualityRun, speed: SpeedRun) -> dict[str, Any]:
    return {
        "shape_seconds": speed.shape_seconds,
        "unsteady_left_out": quality.left_out,
        "ragged_tokens": speed.tokens,
        "short_tokens": speed.short_tokens,
        "measured": {
            "rounds": speed.rounds,
            "stopped": speed.stopped,
            "seconds": speed.seconds,
            "gemm_peak": speed.gemm_peak,
            "gemm_by": speed.gemm_by,
        },
    }
