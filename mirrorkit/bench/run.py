"""Measure a bundle beside what it is compared with: `mirrorkit bench`, but for what is said and written of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mirrorkit.bench.machine import environment
from mirrorkit.bench.plan import WARM_UP, Budget, Plan, make_plan
from mirrorkit.bench.processes import run_worker
from mirrorkit.bench.quality import QualityRun, measure_quality
from mirrorkit.bench.result import BenchResult, Subject
from mirrorkit.bench.speed import OnPhase, SpeedRun, measure_speed
from mirrorkit.bench.subjects import Source, sources
from mirrorkit.bench.workload import Workload, read_workload
from mirrorkit.bundle import GOLDEN, MANIFEST, TOKENIZER, Bundle, check_file, is_bundle, read_bundle, sha256_of
from mirrorkit.errors import BundleError
from mirrorkit.paths import local_path

log = logging.getLogger(__name__)

BUSY = 0.5  # of a load average of 1 a core


@dataclass(frozen=True)
class _Job:
    """All that is to be done, checked."""

    bundle: Bundle
    plan: Plan
    workload: Workload
    subjects: list[Source]
    verify: bool


def run_bench(
    bundle: str | Path,
    *,
    baseline: str | Path | None = None,
    sts: str | Path | None = None,
    variants: Sequence[str] | None = None,
    threads: int | None = None,
    lengths: Sequence[int] | None = None,
    batches: Sequence[int] | None = None,
    budget: str | Budget = "quick",
    verify: bool = True,
    seed: int = 0,
    progress: OnPhase | None = None,
) -> BenchResult:
    """Measure quality and speed of the variants of a bundle and of the baseline; the result has no gate yet.

    `baseline` is a model folder, shipped name or hub id, run by torch, or another bundle; without one the plain fp32
    variant stands in, and no torch is needed. `sts` is a folder of the seven sets, else the shipped graded set is
    used. Without `verify` files that differ from their recorded hashes are measured all the same.

    Everything that can be wrong with the options is raised before anything is measured: BundleError, ConfigError,
    CorpusError, ModelError. Later on WorkerError names a subject whose process failed.
    """
    folder = local_path(bundle)
    if not folder.is_dir() or not is_bundle(folder):
        what = "is a file" if folder.is_file() else "no such folder" if not folder.exists() else f"no {MANIFEST} in it"
        raise BundleError(f"{bundle}: {what}; give a bundle's folder, as mirrorkit export writes it")
    opened = read_bundle(folder)
    plan = make_plan(opened, threads=threads, lengths=lengths, batches=batches, budget=budget, seed=seed)
    subjects = sources(opened, variants, None if baseline is None else str(baseline), verify=verify)
    if verify:
        _check_hashes(subjects)
    workload = read_workload(sts, plan.budget.texts)
    job = _Job(opened, plan, workload, subjects, verify)
    machine = environment(plan.threads)
    if (machine["load_average"] or 0) > BUSY * machine["cores"]:
        log.warning("the machine is busy (load average %.1f): timings will be noisy", machine["load_average"])
    quality = measure_quality(subjects, plan, workload, progress)
    speed = measure_speed(subjects, plan, workload.timed, workload.short, run_worker, progress)
    return BenchResult(
        bundle=_about(opened),
        baseline=_stand_in(opened, subjects[0]) if baseline is None else str(baseline),
        plan=_plan(job, quality, speed, stands_in=baseline is None),
        environment=machine,
        subjects=tuple(_subject(source, quality, speed) for source in subjects),
    )


def _check_hashes(subjects: Sequence[Source]) -> None:
    """Raise BundleError now for a file that every process would refuse later."""
    for folder in dict.fromkeys(source.folder for source in subjects if source.file):
        bundle = read_bundle(Path(folder))
        wanted = {source.file for source in subjects if source.folder == folder}
        chosen = [variant for variant in bundle.variants.values() if variant.file in wanted]
        golden = [GOLDEN] if GOLDEN in bundle.files else []
        for name in dict.fromkeys([TOKENIZER, *golden, *(f for v in chosen for f in (v.file, *v.data_files))]):
            check_file(bundle, name)


def _subject(source: Source, quality: QualityRun, speed: SpeedRun) -> Subject:
    bare = Subject(source.name, source.precision, source.graph, source.file_bytes)
    return replace(bare, quality=quality.qualities[source.name], speed=speed.speeds[source.name])


def _stand_in(bundle: Bundle, source: Source) -> str:
    return next(variant.name for variant in bundle.variants.values() if variant.file == source.file)


def _about(bundle: Bundle) -> dict[str, Any]:
    return {
        "folder": str(bundle.folder),
        "architecture": bundle.architecture,
        "dim": bundle.dim,
        "max_length": bundle.max_length,
        "pooling": str(bundle.pooling),
        "sha256": sha256_of(bundle.folder / MANIFEST),
    }


def _plan(job: _Job, quality: QualityRun, speed: SpeedRun, *, stands_in: bool) -> dict[str, Any]:
    plan, workload, budget = job.plan, job.workload, job.plan.budget
    return {
        "budget": budget.name,
        "threads": plan.threads,
        "lengths": list(plan.lengths),
        "batches": list(plan.batches),
        "seed": plan.seed,
        "verified": job.verify,
        "baseline_stands_in": stands_in,
        "sets": {data.name: len(data) for data in workload.sets},
        "graded_texts": len(workload.graded),
        "pool": len(workload.pool),
        "unsteady_left_out": quality.left_out,
        "resamples": budget.resamples,
        "ragged_texts": len(workload.timed),
        "ragged_tokens": speed.tokens,
        "short_text": workload.short,
        "short_tokens": speed.short_tokens,
        "warm_up": WARM_UP,
        "shape_seconds": plan.shape_seconds(len(job.subjects)),
        "narrow": budget.narrow,
        "measured": {
            "rounds": speed.rounds,
            "stopped": speed.stopped,
            "seconds": speed.seconds,
            "gemm_peak": speed.gemm_peak,
            "gemm_by": speed.gemm_by,
        },
    }
