"""What changed from one benchmark result to another, and what of it is more than noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mirrorkit.bench.judge.changes import Change, Judge, Verdict
from mirrorkit.bench.judge.figures import Figure, figures
from mirrorkit.bench.report.words import flat
from mirrorkit.bench.result import BASELINE, BenchResult, Subject, result_from
from mirrorkit.errors import ConfigError
from mirrorkit.formats.json_file import read_json
from mirrorkit.paths import local_path

# What may differ between two runs without making their timings incomparable: it is what one compares.
HARMLESS = frozenset({"date", "revision", "load_average", "versions.mirrorkit"})
# Of the plan: what makes figures of quality or of speed others, and what is rather found than planned.
TEXTS = ("sets", "graded_texts", "pool")
WORK = ("threads", "ragged_texts", "ragged_tokens", "short_text", "short_tokens")
FOUND = ("measured", "shape_seconds", "unsteady_left_out")
Differences = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Comparison:
    """Two results side by side: `a`, which is held to be the earlier one, and `b`.

    A change has subject, figure, both values, whether `b` is better, and a verdict: exact, beyond or within noise, or
    unknown.

    >>> from mirrorkit import compare
    >>> found = compare("before.json", "after.json")
    >>> [(change.subject, change.figure) for change in found.changes]
    [('int8', 'quality.cosine_min')]
    """

    a: str
    b: str
    about: Differences  # of bundle and baseline
    plan: Differences
    environment: Differences
    judge: Judge
    changes: tuple[Change, ...]
    same: int  # figures that are equal
    only_a: tuple[str, ...]  # subjects, or `subject: figure`
    only_b: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what the reader must know before any figure."""
        loud = []
        if not self.judge.timings:
            causes = [
                *sorted(set(self.environment) - HARMLESS),
                *(f"plan {name}" for name in self.plan if _slows(name)),
            ]
            loud.append(f"TIMINGS AND MEMORY ARE NOT COMPARABLE: {', '.join(causes)} differ")
        if not self.judge.quality:
            causes = [f"plan {name}" for name in self.plan if _about_texts(name)]
            loud.append(f"QUALITY IS NOT COMPARABLE: {', '.join(causes)} differ")
        others = {
            path.removeprefix("tasks.").rpartition(".")[0]: values for path, values in self.plan.items() if _task(path)
        }
        if changed := sorted(name for name, values in others.items() if all(values)):  # those that both have
            loud.append(f"SEARCH AND LABELS ARE NOT COMPARABLE: the texts of {', '.join(changed)} differ")
        if not self.judge.baseline:
            loud.append("THE BASELINES DIFFER: figures relative to them are not comparable")
        return tuple(loud)

    @property
    def differences(self) -> tuple[str, ...]:
        """Return every difference of bundle, plan and environment, one a line."""
        plan = {f"plan {name}": values for name, values in self.plan.items()}
        found = {**self.about, **plan, **self.environment}
        return tuple(f"{name}: {a or 'unknown'} → {b or 'unknown'}" for name, (a, b) in found.items())

    def only_lines(self) -> list[tuple[str, str]]:
        """Return (result, what it alone has)."""
        sides = ((self.a, self.only_a), (self.b, self.only_b))
        return [(name, ", ".join(only)) for name, only in sides if only]

    def summary(self) -> list[str]:
        """Return how many figures there are of each verdict, and the rule behind it."""
        count = {verdict: sum(c.verdict is verdict for c in self.changes) for verdict in Verdict}
        told = [f"{number} {verdict}" for verdict, number in count.items() if number]
        return [
            f"the same: {self.same} figures" + (f"; changed: {', '.join(told)}; the JSON has all" if told else ""),
            "beyond noise: the two 95 % intervals do not overlap; for STS, those of the paired difference to "
            "the baseline. exact: the same texts give the same figure in every run",
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        changes = [{**asdict(change), "verdict": str(change.verdict)} for change in self.changes]
        return {**asdict(self), "changes": changes, "warnings": list(self.warnings)}


def compare(a: str | Path, b: str | Path) -> Comparison:
    """Compare two files that `mirrorkit bench --report` wrote; raises ConfigError for any other file.

    >>> from mirrorkit import compare
    >>> found = compare("before.json", "after.json")
    >>> found.warnings, len(found.changes)
    ((), 1)
    """
    return compare_results(_read(a), _read(b), str(a), str(b))


def _read(source: str | Path) -> BenchResult:
    file = local_path(source)
    result = result_from(read_json(file, ConfigError), str(file))
    try:  # these hold whatever the file has
        flat({"bundle": result.bundle, "plan": dict(result.plan), "environment": dict(result.environment)})
    except (TypeError, ValueError, AttributeError, RecursionError) as err:
        raise ConfigError(f"{file}: malformed benchmark result ({err})") from err
    return result


def compare_results(a: BenchResult, b: BenchResult, name_a: str = "a", name_b: str = "b") -> Comparison:
    """Compare two results figure by figure."""
    about = _differing({"bundle": a.bundle, "baseline": a.baseline}, {"bundle": b.bundle, "baseline": b.baseline})
    planned = ({key: value for key, value in side.plan.items() if key not in FOUND} for side in (a, b))
    plan, environment = _differing(*planned), _differing(a.environment, b.environment)
    quality = not any(map(_about_texts, plan))
    judge = Judge(
        timings=not set(environment) - HARMLESS and not any(map(_slows, plan)),
        quality=quality,
        tasks=_same_tasks(a, b),
        baseline=_same_baseline(a, b, scores_tell=quality),
    )
    pairs = list(_paired(a, b))
    found = [judge.change(name, path, *both) for name, path, both in pairs]
    changes = tuple(change for change in found if change is not None)
    return Comparison(
        a=name_a,
        b=name_b,
        about=about,
        plan=plan,
        environment=environment,
        judge=judge,
        changes=changes,
        same=len(pairs) - len(changes),
        only_a=tuple(_only(a, b)),
        only_b=tuple(_only(b, a)),
    )


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    left, right = flat(a), flat(b)
    paths = dict.fromkeys((*left, *right))
    pairs = {path: (left.get(path, ""), right.get(path, "")) for path in paths}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}


def _about_texts(path: str) -> bool:
    return path.partition(".")[0] in TEXTS


def _task(path: str) -> bool:
    return path.startswith("tasks.")


def _same_tasks(a: BenchResult, b: BenchResult) -> tuple[str, ...]:
    ours, theirs = (dict(side.plan.get("tasks") or {}) for side in (a, b))
    return tuple(name for name, about in ours.items() if theirs.get(name) == about)


def _slows(path: str) -> bool:
    return path.partition(".")[0] in WORK


def _same_baseline(a: BenchResult, b: BenchResult, *, scores_tell: bool) -> bool:
    """Go by the scores where they tell: a folder may have been filled anew, or lie elsewhere on another machine."""
    left, right = a.subject(BASELINE), b.subject(BASELINE)
    if left and right and left.graph != right.graph:  # the same vectors, but at another speed
        return False
    ours, theirs = _scores(left), _scores(right)
    if not scores_tell or not ours or not theirs:
        return a.baseline == b.baseline
    return ours.keys() == theirs.keys() and all(
        abs(theirs[path].value - score.value) <= score.resolution for path, score in ours.items()
    )


def _scores(baseline: Subject | None) -> dict[str, Figure]:
    found = figures(baseline) if baseline else {}
    return {path: figure for path, figure in found.items() if path.startswith("quality.sts")}


def _paired(a: BenchResult, b: BenchResult) -> Iterator[tuple[str, str, tuple[Figure, Figure]]]:
    for subject in a.subjects:
        other = b.subject(subject.name)
        theirs = figures(other) if other else {}
        for path, figure in figures(subject).items():
            if path in theirs:
                yield subject.name, path, (figure, theirs[path])


def _only(a: BenchResult, b: BenchResult) -> Iterator[str]:
    """Yield what `a` has and `b` lacks: whole subjects by name, else single figures."""
    for subject in a.subjects:
        other = b.subject(subject.name)
        if other is None:
            yield subject.name
        else:
            theirs = figures(other)
            yield from (f"{subject.name}: {path}" for path in figures(subject) if path not in theirs)
