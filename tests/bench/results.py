"""Make benchmark results to test judging and reporting with: figures as a small model on two cores has them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mirrorkit.bench.result import (
    BASELINE,
    BenchResult,
    CutScore,
    Interval,
    Quality,
    SetScore,
    Speed,
    Subject,
    Timing,
)

SETS = {"sts12": 72.37, "sts13": 80.60, "sts14": 75.60, "sts15": 85.39, "sts16": 78.99, "stsb": 82.03, "sickr": 77.15}
TASKS = {
    "retrieval:scifact": SetScore("retrieval", "ndcg_at_10", 300, 64.5, None),
    "search:handbook": SetScore("search", "mrr_at_10", 80, 70.3, None),
    "knn:topics": SetScore("knn", "accuracy", 900, 91.2, None),
}
LENGTHS, BATCHES = (8, 32, 128), (1, 8, 32)
# name -> precision, graph, bytes, lowest cosine, mean cosine, points above the baseline, share of the baseline's time
VARIANTS: dict[str, tuple[str, str, int, float, float, float, float]] = {
    "fp32": ("fp32", "onnx", 90_900_000, 0.999999, 0.9999999, 0.0003, 0.93),
    "fp32-fused": ("fp32", "onnxruntime", 90_700_000, 0.999999, 0.9999999, -0.0002, 0.79),
    "fp16": ("fp16", "onnx", 45_800_000, 0.999991, 0.999998, 0.004, 0.99),
    "int8": ("int8", "onnxruntime", 23_400_000, 0.9775, 0.998, -0.11, 0.47),
    "int8-fused": ("int8", "onnxruntime", 23_100_000, 0.9775, 0.998, -0.12, 0.44),
    "int4": ("int4", "onnxruntime", 19_100_000, 0.9494, 0.9903, 0.06, 0.83),
    "static": ("static", "onnx", 7_900_000, 0.999999, 0.999999, -7.6, 0.02),
}


def around(value: float, share: float = 0.02) -> Interval:
    return Interval(value, value * (1 - share), value * (1 + share))


def points(value: float) -> Interval:
    return Interval(value, value - 0.05, value + 0.05)


def timing(batch: int, length: int | None, seconds: float) -> Timing:
    tokens = batch * (length or 14)
    return Timing(
        batch=batch,
        length=length,
        p50=around(seconds),
        p90=around(seconds * 1.1),
        p99=around(seconds * 1.4),
        sentences_per_second=around(batch / seconds),
        tokens_per_second=around(tokens / seconds),
        calls=120,
    )


def speed(share: float, megabytes: float) -> Speed:
    grid = tuple(timing(b, n, share * (0.002 + 0.00011 * b * n)) for b in BATCHES for n in LENGTHS)
    return Speed(
        grid=grid,
        ragged=timing(32, None, share * 0.094),
        single=timing(1, None, share * 0.0061),
        tokenise_share=0.03,
        start=around(0.4 if share < 1 else 2.1),
        resident_bytes=megabytes * 1e6,
        peak_bytes=megabytes * 1.2e6,
        gemm_share=0.55 / share,
        rounds=5,
        ratio=None if share == 1 else around(share),
        single_ratio=None if share == 1 else around(share * 0.9),
    )


def quality(lowest: float, mean: float, gain: float, *, is_baseline: bool = False) -> Quality:
    return Quality(
        sts={name: score + gain for name, score in SETS.items()},
        sts_average=sum(SETS.values()) / len(SETS) + gain,
        cosine_mean=mean,
        cosine_p1=(lowest + mean) / 2,
        cosine_min=lowest,
        neighbours=1 - (1 - mean) * 8,
        invariance=3e-7,
        golden_cosine_min=None if is_baseline else lowest,
        set_differences={} if is_baseline else {name: points(gain) for name in SETS},
        average_difference=None if is_baseline else points(gain),
        tasks={
            name: replace(one, score=one.score + gain, difference=None if is_baseline else points(gain))
            for name, one in TASKS.items()
        },
        cuts={"128": CutScore(dict.fromkeys(SETS, 70.0), 70.0, points(-1.5))},
    )


def subject(name: str) -> Subject:
    if name == BASELINE:
        return Subject(name, "fp32", "torch", 90_900_000, quality(1.0, 1.0, 0.0, is_baseline=True), speed(1.0, 610))
    precision, graph, size, lowest, mean, gain, share = VARIANTS[name]
    return Subject(name, precision, graph, size, quality(lowest, mean, gain), speed(share, 90 + size / 1e6))


def bench_result(**changes: Any) -> BenchResult:
    """Return a whole run that passes the shipped gate, with `changes` to its fields."""
    whole = BenchResult(
        bundle={
            "folder": "/bundles/minilm",
            "architecture": "bert",
            "dim": 384,
            "max_length": 256,
            "pooling": "mean",
            "sha256": "5f" * 32,
        },
        baseline="models/all-MiniLM-L6-v2",
        plan={
            "budget": "full",
            "threads": 2,
            "lengths": list(LENGTHS),
            "batches": list(BATCHES),
            "sets": {"sts12": 3108, "sts13": 1500, "stsb": 1379},
            "tasks": {name: {"queries": one.queries, "sha256": "1a"} for name, one in TASKS.items()},
            "pool": 2000,
            "seed": 0,
        },
        environment={
            "cpu": "Intel(R) Xeon(R) Processor",
            "flags": ["avx2", "avx512_vnni"],
            "cores": 2,
            "threads": 2,
            "governor": None,
            "load": [0.1, 0.2, 0.3],
            "versions": {"python": "3.11.7", "onnxruntime": "1.31.1", "mirrorkit": "0.3.0"},
            "date": "2026-11-21T10:00:00+00:00",
            "git": "b46a1b8",
        },
        subjects=tuple(subject(name) for name in (BASELINE, *VARIANTS)),
    )
    return replace(whole, **changes)


def with_subject(result: BenchResult, name: str, **changes: Any) -> BenchResult:
    """Return `result` with the fields of one subject, or of its quality or speed, replaced."""

    def changed(old: Subject) -> Subject:
        if old.name != name:
            return old
        own = {key: value for key, value in changes.items() if key in Subject.__dataclass_fields__}
        for part in ("quality", "speed"):
            of_part = {k: v for k, v in changes.items() if part not in own and k in _fields(part)}
            if of_part:
                own[part] = replace(getattr(old, part), **of_part)
        return replace(old, **own)

    return replace(result, subjects=tuple(changed(s) for s in result.subjects))


def _fields(part: str) -> set[str]:
    kind = Quality if part == "quality" else Speed
    return set(kind.__dataclass_fields__)
