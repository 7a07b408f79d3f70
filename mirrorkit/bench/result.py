"""What a benchmark run found, as it is written to JSON and read back: the contract between measuring and reporting.

Times are in seconds, memory and files in bytes, scores are Spearman × 100, cosines lie in [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mirrorkit.errors import ConfigError
from mirrorkit.evaluation.intervals import Interval as Interval  # noqa: PLC0414  (a part of a result, so had from here)
from mirrorkit.formats.plain import from_plain

SCHEMA = "mirrorkit-bench/1"
BASELINE = "baseline"  # the name of the subject that the others are compared with
OPENVINO = ("openvino-fp32", "openvino-bf16", "openvino-int8")  # names of subjects: plain graphs, run by OpenVINO
OPS = ("ops-bf16",)  # the same: the fused fp32 graph, its layers multiplied in bf16 by libmirrorkit_ops


@dataclass(frozen=True)
class SetScore:
    """What a retrieval, search or labelled set says of a subject."""

    kind: str  # retrieval, search or knn
    measure: str  # which one the score is, such as ndcg_at_10
    queries: int
    score: float  # times 100
    difference: Interval | None  # points above the baseline, paired by query; None for the baseline itself


@dataclass(frozen=True)
class CutScore:
    """What vectors are worth that are cut to their first components and brought to unit length again."""

    sts: Mapping[str, float]  # set -> score
    sts_average: float
    difference: Interval  # points of the average above that of the whole vectors, paired by pair of texts


@dataclass(frozen=True)
class Quality:
    """How good a subject's vectors are, and how near they are to the baseline's."""

    sts: Mapping[str, float]  # set -> score
    sts_average: float
    cosine_mean: float  # to the baseline, over the texts of the sets; NaN where vectors have another length
    cosine_p1: float  # first percentile
    cosine_min: float
    neighbours: float  # share of the 10 nearest that the baseline finds too, over `pool` sentences
    invariance: float  # largest change of a component when a text is alone, in a batch, or padded further
    golden_cosine_min: float | None  # to the vectors of golden.jsonl; None for a baseline that is not a bundle
    set_differences: Mapping[str, Interval] = field(default_factory=dict)  # set -> points above the baseline, paired
    average_difference: Interval | None = None  # points above the baseline, paired; None for the baseline itself
    tasks: Mapping[str, SetScore] = field(default_factory=dict)  # retrieval, search and labels: set -> score
    cuts: Mapping[str, CutScore] = field(default_factory=dict)  # length -> score, of the lengths that the bundle names

    @property
    def retrieval_difference(self) -> Interval | None:
        """Return the greatest difference to the baseline, up or down, over the retrieval sets; None without any."""
        return self._greatest("retrieval")

    @property
    def search_difference(self) -> Interval | None:
        """Return the same over the searches made of documents."""
        return self._greatest("search")

    @property
    def knn_difference(self) -> Interval | None:
        """Return the same over the sets of labelled texts."""
        return self._greatest("knn")

    def _greatest(self, kind: str) -> Interval | None:
        found = [one.difference for one in self.tasks.values() if one.kind == kind and one.difference is not None]
        return max(found, key=_distance, default=None)


def _distance(difference: Interval) -> float:
    """Return how far from 0 a difference is; NaN is the farthest, so that nothing hides it."""
    return abs(difference.value) if math.isfinite(difference.value) else math.inf


@dataclass(frozen=True)
class Timing:
    """The time of one call on one shape of batch, medians over the rounds with their intervals."""

    batch: int
    length: int | None  # tokens of every row; None: real texts of their own lengths
    p50: Interval
    p90: Interval
    p99: Interval
    sentences_per_second: Interval
    tokens_per_second: Interval
    calls: int  # measured calls over all rounds, warm-up left out


@dataclass(frozen=True)
class Speed:
    """What a subject costs, each process fresh and every subject on the same threads."""

    grid: tuple[Timing, ...]  # token ids to vectors, no tokenising: batch × length
    ragged: Timing  # real texts to vectors, tokenising included
    single: Timing  # one short real text to its vector, tokenising included; batch 1
    tokenise_share: float  # of the ragged workload's time
    start: Interval  # process start to first vector
    resident_bytes: float  # after the workload
    peak_bytes: float
    gemm_share: float | None  # of the machine's measured peak for matrix products; None when that was not measured
    rounds: int
    ratio: Interval | None = None  # ragged time over the baseline's, paired by round; None for the baseline itself
    single_ratio: Interval | None = None  # the same for one short text


@dataclass(frozen=True)
class Subject:
    """The baseline or one variant of the bundle; what was not measured is None."""

    name: str  # BASELINE or a variant's name
    precision: str
    graph: str  # "torch" for a model folder, else the kind of ONNX graph
    file_bytes: int
    quality: Quality | None = None
    speed: Speed | None = None


@dataclass(frozen=True)
class RuleResult:
    """One rule of the gate on one subject."""

    rule: str  # e.g. "cosine_mean"
    subject: str
    measured: float | None  # None: not measured, which fails
    allowed: str  # e.g. ">= 0.99"
    passed: bool
    note: str = ""  # why, where the figures alone do not say


@dataclass(frozen=True)
class GateResult:
    """What the gate says of a run."""

    name: str  # "default" or the file
    rules: tuple[RuleResult, ...]

    @property
    def passed(self) -> bool:
        """Return whether there are rules and all of them passed."""
        return bool(self.rules) and all(rule.passed for rule in self.rules)


@dataclass(frozen=True)
class BenchResult:
    """A whole run: what was measured on what, and for every subject its quality and its speed.

    >>> import json
    >>> from pathlib import Path
    >>> from mirrorkit import run_bench
    >>> result = run_bench("bundle", variants=["int8"], lengths=[8], batches=[1])
    >>> int8 = result.subject("int8")
    >>> int8.quality.cosine_mean > 0.98, int8.speed.single.p50.value > 0
    (True, True)
    >>> written = Path("int8.json").write_text(json.dumps(result.as_dict()))
    """

    bundle: Mapping[str, Any]  # folder, architecture, dim, max_length, pooling, sha256 of mirrorkit.json
    baseline: str  # the model folder or hub id, or the variant that stood in for it
    plan: Mapping[str, Any]  # options as used: budget, threads, lengths, batches, sets and pairs, pool, seed
    environment: Mapping[str, Any]  # CPU and flags, cores, threads, governor, load, versions, date, git revision
    subjects: tuple[Subject, ...]
    gate: GateResult | None = None
    schema: str = SCHEMA

    def subject(self, name: str) -> Subject | None:
        """Return the subject of that name, or None."""
        return next((s for s in self.subjects if s.name == name), None)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        value = asdict(self)
        if self.gate is not None:
            value["gate"]["passed"] = self.gate.passed
        return value


def result_from(value: Any, source: str) -> BenchResult:
    """Return the result that `BenchResult.as_dict` wrote; raises ConfigError naming `source` when it is not one."""
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        found = value.get("schema") if isinstance(value, dict) else type(value).__name__
        raise ConfigError(f"{source}: not a benchmark result of schema {SCHEMA} (schema: {found})")
    try:
        result: BenchResult = from_plain(BenchResult, value, lost=True)
    except ValueError as err:
        raise ConfigError(f"{source}: malformed benchmark result ({err})") from err
    return result
