"""Say yes or no to a benchmark result: rules from a TOML file, each with what was measured and what is allowed."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirrorkit.assets.paths import GATE
from mirrorkit.bench.result import BASELINE, OPENVINO, OPS, BenchResult, GateResult, Interval, RuleResult, Subject
from mirrorkit.errors import ConfigError
from mirrorkit.formats.bundle import VARIANT_FILES, Precision
from mirrorkit.paths import local_path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED = "default"
KINDS = {"precision": (*map(str, Precision), "bf16"), "variant": (*VARIANT_FILES, *OPENVINO, *OPS)}
ABOVE_ONE = 1e-4  # by how much rounding may lift a cosine above 1; more, and the vectors are not of unit length


@dataclass(frozen=True)
class Gate:
    """The limits by rule, for precisions and for single variants."""

    name: str
    precision: Mapping[str, Mapping[str, float]]
    variant: Mapping[str, Mapping[str, float]]

    def limits(self, subject: Subject) -> dict[str, float]:
        """Return the limits for a variant: those of its precision, with its own in place of some."""
        return {**self.precision.get(subject.precision, {}), **self.variant.get(subject.name, {})}


def load_gate(source: str | Path) -> Gate:
    """Read the shipped gate (`default`) or a TOML file.

    Raises ConfigError for a file that is missing, is not TOML or has no rules, and for an unknown rule, precision or
    variant, or a limit out of range.
    """
    file = GATE if source == SHIPPED else local_path(source)
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as err:
        hint = "" if source == SHIPPED else f"; give {SHIPPED!r} or a TOML file"
        raise ConfigError(f"gate {file}: cannot be read ({err.strerror or err}){hint}") from err
    except (ValueError, RecursionError) as err:  # wrong TOML, or bytes that are not UTF-8
        raise ConfigError(f"gate {file}: not a TOML file ({err})") from err
    tables = {kind: _table(raw.get(kind, {}), kind, file) for kind in KINDS}
    if unknown := sorted(set(raw) - set(KINDS)):
        raise ConfigError(f"gate {file}: [{unknown[0]}] must be one of [precision.NAME], [variant.NAME]")
    if not any(rules for table in tables.values() for rules in table.values()):
        raise ConfigError(f"gate {file}: has no rules; the shipped one is {GATE}")
    return Gate(SHIPPED if source == SHIPPED else str(source), **tables)


def _table(raw: Any, kind: str, file: Path) -> dict[str, dict[str, float]]:
    if not isinstance(raw, dict):
        raise ConfigError(f"gate {file}: {kind} must be tables [{kind}.NAME], is {raw!r}")
    for name, rules in raw.items():
        if name not in KINDS[kind]:
            raise ConfigError(f"gate {file}: [{kind}.{name}]: must be one of {', '.join(KINDS[kind])}")
        if not isinstance(rules, dict):
            raise ConfigError(f"gate {file}: {kind}.{name} must be a table of rules, is {rules!r}")
        for rule, limit in rules.items():
            _check_limit(f"gate {file}: [{kind}.{name}] {rule}", rule, limit)
    return {name: {rule: float(limit) for rule, limit in rules.items()} for name, rules in raw.items()}


def _check_limit(where: str, rule: str, limit: Any) -> None:
    if rule not in RULES:
        raise ConfigError(f"{where}: unknown rule; must be one of {', '.join(RULES)}")
    if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not math.isfinite(limit):
        raise ConfigError(f"{where}: must be a number, is {limit!r}")
    lowest, highest = RULES[rule].limits
    if not lowest <= limit <= highest:
        raise ConfigError(f"{where} = {limit:g}: must be from {lowest:g} to {highest:g}")


def judge(result: BenchResult, gate: Gate) -> GateResult:
    """Hold every variant of the run to its rules; a figure that is missing, NaN or infinite fails."""
    found: list[RuleResult] = []
    for subject in result.subjects:
        if subject.name == BASELINE:
            continue
        limits = gate.limits(subject)
        found += [_judge(rule, subject, limit) for rule, limit in limits.items()]
        if not limits:
            note = f"no rules: the gate has neither [variant.{subject.name}] nor [precision.{subject.precision}]"
            found.append(RuleResult("any rule", subject.name, None, "at least one", passed=False, note=note))
    return GateResult(gate.name, tuple(found))


def _judge(name: str, subject: Subject, limit: float) -> RuleResult:
    rule = RULES[name]
    part = getattr(subject, rule.part)
    measured: float | Interval | None = None if part is None else getattr(part, rule.figure)
    value = measured.value if isinstance(measured, Interval) else measured
    allowed = rule.allowed.format(limit)
    if value is None:
        return RuleResult(name, subject.name, None, allowed, passed=False, note="not measured")
    if not math.isfinite(value):
        return RuleResult(
            name, subject.name, None, allowed, passed=False, note=f"measured {value}, which is not a finite number"
        )
    interval = measured if isinstance(measured, Interval) and _ordered(measured) else None
    verdict = rule.verdict(value, interval, limit)
    return RuleResult(name, subject.name, value, allowed, passed=verdict.passed, note=verdict.note)


def _ordered(interval: Interval) -> bool:
    bounds = (interval.low, interval.value, interval.high)
    return all(map(math.isfinite, bounds)) and interval.low <= interval.value <= interval.high


@dataclass(frozen=True)
class _Verdict:
    passed: bool
    note: str = ""


def _at_least(value: float, _: Interval | None, limit: float) -> _Verdict:
    if value > 1 + ABOVE_ONE:
        return _Verdict(passed=False, note="above 1: the vectors are not of unit length")
    return _Verdict(passed=value >= limit)


def _at_most(value: float, _: Interval | None, limit: float) -> _Verdict:
    return _Verdict(passed=value <= limit)


def _within(value: float, interval: Interval | None, limit: float) -> _Verdict:
    """Judge the difference on these pairs; whether other pairs would show it too is for the note."""
    passed = abs(value) <= limit
    if interval is None:
        return _Verdict(passed, "no interval")
    says = "includes 0: not significant" if interval.low <= 0 <= interval.high else "excludes 0: significant"
    return _Verdict(passed, f"95 % interval {interval.low:+.3f} to {interval.high:+.3f} {says}")


def _not_beyond(_: float, interval: Interval | None, limit: float) -> _Verdict:
    """Fail only a ratio whose whole interval is above the limit; without an interval nothing is proven."""
    if interval is None:
        return _Verdict(passed=False, note="no interval, so noise cannot be told from a change")
    note = f"95 % interval {interval.low:.3f} to {interval.high:.3f}"
    if interval.low <= limit < interval.value:
        note += " reaches below the limit: not beyond noise"
    return _Verdict(interval.low <= limit, note)


@dataclass(frozen=True)
class _Rule:
    """Which figure of which part of a subject a rule looks at, and how."""

    part: str  # "quality" or "speed"
    figure: str
    allowed: str  # how the limit is written
    verdict: Callable[[float, Interval | None, float], _Verdict]
    limits: tuple[float, float] = (0.0, math.inf)  # the values that a limit may have


_COSINE = (-1.0, 1.0)
RULES = {
    "cosine_mean": _Rule("quality", "cosine_mean", ">= {:g}", _at_least, _COSINE),
    "cosine_p1": _Rule("quality", "cosine_p1", ">= {:g}", _at_least, _COSINE),
    "cosine_min": _Rule("quality", "cosine_min", ">= {:g}", _at_least, _COSINE),
    "golden_cosine_min": _Rule("quality", "golden_cosine_min", ">= {:g}", _at_least, _COSINE),
    "neighbours": _Rule("quality", "neighbours", ">= {:g}", _at_least, (0.0, 1.0)),
    "sts_difference": _Rule("quality", "average_difference", "within {:g}", _within),
    "retrieval_difference": _Rule("quality", "retrieval_difference", "within {:g}", _within),
    "search_difference": _Rule("quality", "search_difference", "within {:g}", _within),
    "knn_difference": _Rule("quality", "knn_difference", "within {:g}", _within),
    "invariance": _Rule("quality", "invariance", "<= {:g}", _at_most),
    "latency_ratio": _Rule("speed", "ratio", "<= {:g} beyond noise", _not_beyond),
    "single_latency_ratio": _Rule("speed", "single_ratio", "<= {:g} beyond noise", _not_beyond),
}
