"""What a benchmark run found, as it is written to JSON and read back: the contract between measuring and reporting.

Times are in seconds, memory and files in bytes, scores are Spearman × 100, cosines lie in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mirrorkit.errors import ConfigError

SCHEMA = "mirrorkit-bench/1"
BASELINE = "baseline"  # the name of the subject that the others are compared with


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Quality:
    """How good a subject's vectors are, and how near they are to the baseline's."""

    sts: Mapping[str, float]  # set -> score
    sts_average: float
    cosine_mean: float  # to the baseline, over the texts of the sets
    cosine_p1: float  # first percentile
    cosine_min: float
    neighbours: float  # share of the 10 nearest that the baseline finds too, over `pool` sentences
    invariance: float  # largest change of a component when a text is alone, in a batch, or padded further
    golden_cosine_min: float | None  # to the vectors of golden.jsonl; None for a baseline that is no bundle
    set_differences: Mapping[str, Interval] = field(default_factory=dict)  # set -> points above the baseline, paired
    average_difference: Interval | None = None  # points above the baseline, paired; None for the baseline itself


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
    """A whole run."""

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
        gate = value["gate"]
        return BenchResult(
            bundle=value["bundle"],
            baseline=value["baseline"],
            plan=value["plan"],
            environment=value["environment"],
            subjects=tuple(_subject(s) for s in value["subjects"]),
            gate=None if gate is None else GateResult(gate["name"], tuple(RuleResult(**r) for r in gate["rules"])),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as err:
        raise ConfigError(f"{source}: malformed benchmark result ({type(err).__name__}: {err})") from err


def _subject(raw: Mapping[str, Any]) -> Subject:
    quality, speed = raw["quality"], raw["speed"]
    return Subject(**{**raw, "quality": quality and _quality(quality), "speed": speed and _speed(speed)})


def _quality(raw: Mapping[str, Any]) -> Quality:
    differences = {name: Interval(**i) for name, i in raw["set_differences"].items()}
    return Quality(
        **{**raw, "set_differences": differences, "average_difference": _interval(raw["average_difference"])}
    )


def _speed(raw: Mapping[str, Any]) -> Speed:
    return Speed(
        **{
            **raw,
            "grid": tuple(_timing(t) for t in raw["grid"]),
            "ragged": _timing(raw["ragged"]),
            "single": _timing(raw["single"]),
            "start": Interval(**raw["start"]),
            "ratio": _interval(raw["ratio"]),
            "single_ratio": _interval(raw["single_ratio"]),
        }
    )


def _timing(raw: Mapping[str, Any]) -> Timing:
    figures = ("p50", "p90", "p99", "sentences_per_second", "tokens_per_second")
    return Timing(**{**raw, **{name: Interval(**raw[name]) for name in figures}})


def _interval(raw: Mapping[str, Any] | None) -> Interval | None:
    return None if raw is None else Interval(**raw)
