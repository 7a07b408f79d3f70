"""`mirrorkit check`: is this folder still what was verified, and would every consumer read it rightly. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mirrorkit.bundle import GOLDEN, MANIFEST, TOKENIZER, Bundle, Variant, check_file, is_bundle, read_bundle
from mirrorkit.errors import BundleError
from mirrorkit.paths import local_path
from mirrorkit.runtime.tokenizer import Tokenizer
from mirrorkit.verification.consumers import Contents, lint, verdicts
from mirrorkit.verification.foreign import examine
from mirrorkit.verification.golden import Goldens, read_goldens
from mirrorkit.verification.probe import Probe, Signature
from mirrorkit.verification.problem import Problem, Severity, Stage, errors
from mirrorkit.verification.thresholds import Thresholds, thresholds_for
from mirrorkit.verification.verify import Contract, Reference, verify_graph

# Ranks over a few dozen strings, most of them awkward, say nothing about the model: they are shown, not judged.
JUDGED = ("cosine_min", "cosine_mean", "max_abs", "invariance")


@dataclass(frozen=True)
class CheckResult:
    """What was found in a folder; `variants` are the figures measured of each graph."""

    folder: Path
    is_bundle: bool
    problems: tuple[Problem, ...]
    variants: dict[str, dict[str, float]]
    consumers: dict[str, str]  # verdict by consumer

    @property
    def ok(self) -> bool:
        return not errors(self.problems)

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return {
            "ok": self.ok,
            "problems": [problem.as_dict() for problem in self.problems],
            "folder": str(self.folder),
            "is_bundle": self.is_bundle,
            "variants": self.variants,
            "consumers": self.consumers,
        }


def check_bundle(folder: str | Path, *, variants: Sequence[str] | None = None) -> CheckResult:
    """Check a bundle, or as far as that goes a folder that others made.

    `variants` limits the graphs that are run; all files are looked at anyway. Raises BundleError where there is no such
    folder, ConfigError for a variant that it does not hold.
    """
    path = local_path(folder)
    if not path.is_dir():
        raise BundleError(f"{folder}: {'is a file' if path.exists() else 'no such folder'}; give a bundle's folder")
    if not is_bundle(path):
        found = examine(path, variants)
        consumers = lint(found.contents)
        problems = (*found.problems, *consumers)
        return CheckResult(path, False, problems, found.figures, verdicts(consumers))
    try:
        bundle = read_bundle(path)
    except BundleError as err:
        return CheckResult(path, True, (Problem(Stage.MANIFEST, str(err)),), {}, {})
    return _check(bundle, variants)


def _check(bundle: Bundle, wanted: Sequence[str] | None) -> CheckResult:
    chosen = [bundle.variant(name) for name in wanted] if wanted else list(bundle.variants.values())
    problems, damaged = _check_files(bundle)
    goldens = _goldens(bundle, problems)
    figures: dict[str, dict[str, float]] = {}
    signatures: dict[str, Signature] = {}
    for variant in chosen:
        if damaged & {variant.file, *variant.data_files}:
            continue  # told already, and not a graph to run
        if goldens is not None:
            figures[variant.name] = _check_variant(bundle, variant, goldens, problems)
        try:
            probe = Probe(bundle.path(variant.file), pad_id=bundle.pad_token_id)
            signatures[variant.file] = probe.signature
        except BundleError as err:
            if goldens is None:
                problems.append(Problem(Stage.GRAPH, str(err), where=variant.name))
    if not bundle.variants:
        problems.append(Problem(Stage.MANIFEST, "no variants", where=MANIFEST))
    consumers = lint(Contents(bundle.folder, bundle.pooling, bundle.max_length, signatures, ours=True))
    if wanted:  # what was not opened is not known
        consumers = [replace(p, severity=_at_most_warning(p.severity)) for p in consumers]
    return CheckResult(bundle.folder, True, (*problems, *consumers), figures, verdicts(consumers))


def _at_most_warning(severity: Severity) -> Severity:
    return Severity.WARNING if severity is Severity.ERROR else severity


def _check_files(bundle: Bundle) -> tuple[list[Problem], set[str]]:
    problems, damaged = [], set()
    for name in bundle.files:
        try:
            check_file(bundle, name)
        except BundleError as err:
            problems.append(Problem(Stage.FILES, str(err), where=name))
            damaged.add(name)
    for file in sorted(bundle.folder.rglob("*")):
        name = file.relative_to(bundle.folder).as_posix()
        if file.is_file() and name != MANIFEST and name not in bundle.files:
            graph = file.suffix == ".onnx"
            why = f"not in {MANIFEST}" + (", and some consumers take any .onnx file that they find" if graph else "")
            severity = Severity.WARNING if graph else Severity.NOTE
            problems.append(Problem(Stage.FILES, why, where=name, severity=severity))
    for name in (TOKENIZER, GOLDEN):
        if name not in bundle.files:
            problems.append(Problem(Stage.FILES, f"is not among the files of {MANIFEST}", where=name))
            damaged.add(name)
    return problems, damaged


def _goldens(bundle: Bundle, problems: list[Problem]) -> Goldens | None:
    """Return the goldens where they can be trusted and the tokenizer gives their ids; else say what is wrong."""
    if any(p.where in (GOLDEN, TOKENIZER) for p in problems):
        return None
    try:
        goldens = read_goldens(bundle.path(GOLDEN), bundle.dim)
        ids = Tokenizer(bundle.path(TOKENIZER), bundle.max_length).ids(goldens.texts)
    except BundleError as err:
        problems.append(Problem(Stage.TOKENIZER, str(err), where=GOLDEN))
        return None
    wrong = [i for i in range(len(ids)) if not np.array_equal(ids[i], goldens.ids[i])]
    if wrong:
        what = f"texts whose ids are not the golden ones, the first is number {wrong[0] + 1}"
        problems.append(Problem(Stage.TOKENIZER, what, len(wrong), 0, where=TOKENIZER))
    return goldens


def _check_variant(bundle: Bundle, variant: Variant, goldens: Goldens, problems: list[Problem]) -> dict[str, float]:
    """Run a variant on the golden ids and add what is wrong to `problems`."""
    limits = _limits(variant, problems)
    verified = verify_graph(
        bundle.path(variant.file),
        variant.graph,
        Contract(bundle.dim, bundle.max_length, bundle.pooling, bundle.pad_token_id),
        Reference(goldens.ids, goldens.vectors),
        limits,
        data_files=tuple(bundle.path(name) for name in variant.data_files),
        min_texts=3,
        judged=JUDGED,
        with_onnx=find_spec("onnx") is not None,
    )
    problems += [replace(problem, where=variant.name) for problem in verified.problems]
    return verified.figures


def _limits(variant: Variant, problems: list[Problem]) -> Thresholds:
    """Return the limits that the variant was published with."""
    names, recorded = variant.report.get("overridden", ()), variant.report.get("allowed", {})
    own = {name: recorded[name] for name in names if name in recorded}
    if own:
        told = ", ".join(f"{name} {value:g}" for name, value in own.items())
        what = "was published with limits of the user's own"
        problems.append(Problem(Stage.NUMBERS, what, told, where=variant.name, severity=Severity.WARNING))
    return thresholds_for(variant.precision, own)
