"""The figures and verdicts of a result as words, the same in every report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

from mirrorkit.bench.result import BenchResult, Interval, RuleResult

MISSING = "–"


def title(result: BenchResult) -> str:
    """Return what was measured, in one line."""
    about = result.bundle
    facts = [str(about[key]) for key in ("architecture", "pooling") if about.get(key)]
    facts += [f"{about[key]} {unit}" for key, unit in (("dim", "dimensions"), ("max_length", "tokens")) if key in about]
    return f"{about.get('folder', 'bundle')} ({', '.join(facts)}) against {result.baseline}"


def gate_line(result: BenchResult) -> str:
    """Return the verdict of the gate in one line."""
    if result.gate is None:
        return "no gate: nothing was judged"
    rules = result.gate.rules
    failed = [rule for rule in rules if not rule.passed]
    if not rules:
        return f"gate {result.gate.name}: FAILED: there was no variant to judge"
    if not failed:
        return f"gate {result.gate.name}: passed, all {len(rules)} rules"
    where = ", ".join(dict.fromkeys(rule.subject for rule in failed))
    return f"gate {result.gate.name}: FAILED, {len(failed)} of {len(rules)} rules ({where})"


def failure_line(rule: RuleResult) -> str:
    """Return what a rule says, in one line: subject, rule, measured, allowed, why."""
    found = measured_text(rule)
    note = f" ({rule.note})" if rule.note not in ("", found) else ""
    return f"{rule.subject}: {rule.rule} {found}, allowed {rule.allowed}{note}"


def measured_text(rule: RuleResult) -> str:
    """Return what a rule measured."""
    return "not measured" if rule.measured is None else number(rule.measured, ".6g")


def described(values: Mapping[str, Any]) -> dict[str, str]:
    """Return what an environment or a plan holds, one text a key, what is unknown left out."""
    return {str(key).replace("_", " "): text for key, value in values.items() if (text := _text(value))}


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return the values by dotted path, as text; what is unknown is left out."""
    found: dict[str, str] = {}
    for key, value in values.items():
        path = f"{prefix}{key}"
        found |= flat(value, f"{path}.") if isinstance(value, Mapping) else {path: _text(value)}
    return {path: text for path, text in found.items() if text}


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items() if _text(item))
    if isinstance(value, (list, tuple)):
        return " ".join(_text(item) for item in value)
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)


def number(value: float | Interval | None, spec: str, scale: float = 1.0) -> str:
    """Return the figure, or its middle, times `scale`; a dash where it was not measured."""
    plain = value.value if isinstance(value, Interval) else value
    if plain is None:
        return MISSING
    return format(plain * scale, spec) if math.isfinite(plain) else "not finite"


def milliseconds(seconds: Interval) -> str:
    """Return a time with three digits that count."""
    if not math.isfinite(seconds.value):
        return number(seconds, "")
    thousandth = abs(seconds.value) * 1000
    return number(seconds, ",.0f" if thousandth >= 99.95 else ".1f" if thousandth >= 9.995 else ".2f", 1000)


def sound(interval: Interval | None) -> TypeGuard[Interval]:
    """Return whether there is an interval with three numbers in it, none of them NaN."""
    return interval is not None and all(map(math.isfinite, (interval.value, interval.low, interval.high)))
