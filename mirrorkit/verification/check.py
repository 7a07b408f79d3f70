"""`mirrorkit check`: is this folder still what was verified, and would every consumer read it rightly. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mirrorkit.errors import BundleError, ModelError
from mirrorkit.formats.bundle import (
    GOLDEN,
    MANIFEST,
    TOKENIZER,
    Bundle,
    Precision,
    Variant,
    check_file,
    is_bundle,
    read_bundle,
)
from mirrorkit.formats.files import check_files_within, in_hub_cache
from mirrorkit.formats.golden import Goldens, read_goldens
from mirrorkit.formats.packed import is_packed
from mirrorkit.formats.plain import plain
from mirrorkit.paths import local_path
from mirrorkit.runtime.engines import check_engine
from mirrorkit.runtime.hub import folder_of
from mirrorkit.runtime.opening import open_variant, tokenizer_of, unpooled
from mirrorkit.runtime.session import OnnxSession, Signature
from mirrorkit.runtime.static import open_runner
from mirrorkit.verification.consumers import Contents, lint, verdicts
from mirrorkit.verification.cuts import CutFigures, measure_cuts
from mirrorkit.verification.engines import check_openvino, check_ops
from mirrorkit.verification.foreign import examine
from mirrorkit.verification.problem import Problem, Severity, Stage, errors
from mirrorkit.verification.proof import FEWEST, VECTORS_ALONE, WITHOUT_RANKS, Reference, Verification, measure
from mirrorkit.verification.thresholds import THRESHOLDS, Thresholds, overridden, thresholds_for
from mirrorkit.verification.verify import Contract, verify_graph

CARD = "README.md"
_LEFT_OUT = "left out of this folder"


@dataclass(frozen=True)
class CheckResult:
    """What was found in a folder; `variants` are the figures measured of each graph.

    `cuts` are those of the lengths that the bundle names for vectors that are cut (`truncate_dims`): none, mostly.
    A problem has a stage, what is wrong, where, what was measured and allowed, and a severity: only an error makes the
    folder unfit.

    >>> from mirrorkit import check
    >>> found = check("bundle")
    >>> [problem.line() for problem in found.problems if problem.severity == "error"]
    []
    >>> found.variants["int8"]["cosine_mean"] > 0.98
    True
    """

    folder: Path
    is_bundle: bool
    problems: tuple[Problem, ...]
    variants: dict[str, dict[str, float]]
    consumers: dict[str, str]  # verdict by consumer
    cuts: tuple[CutFigures, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there is no error among the problems."""
        return not errors(self.problems)

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints."""
        value = {"ok": self.ok, **plain(self)}
        if not self.cuts:
            del value["cuts"]
        return value


def check(
    folder: str | Path,
    *,
    variants: Sequence[str] | None = None,
    revision: str | None = None,
    engine: str = "onnxruntime",
) -> CheckResult:
    """Check a bundle, packed or not, or as far as that goes a folder that others made.

    A hub id is fetched whole, of the branch, tag or commit `revision`. `variants` limits the graphs that are run; all
    files are looked at anyway. What was left out of a bundle on purpose is a warning: graphs, weights and card; of a
    bundle in the hub's cache everything but tokenizer and one graph. With the engine `openvino` the plain graphs of a
    bundle are also run by OpenVINO, in each precision that the processor has; without it the fused fp32 graph is also
    run in bf16, where `MIRRORKIT_OPS` names a libmirrorkit_ops that can. Raises BundleError for a missing folder,
    ConfigError for a variant that it lacks; anything else that is wrong is in the result.

    >>> from mirrorkit import check
    >>> found = check("bundle", variants=["fp32"])
    >>> found.ok, found.consumers["sentence-transformers"]
    (True, 'right')
    """
    check_engine(engine)
    path = local_path(folder_of(folder, "auto", "cpu", revision=revision, whole=True))
    packed = is_packed(path)
    if packed and engine != "onnxruntime":
        raise BundleError(f"{folder}: `engine={engine}` needs a bundle's folder; mirrorkit unpack makes one")
    if not path.is_dir() and not packed:
        raise BundleError(f"{folder}: {'is a file' if path.exists() else 'no such folder'}; give a bundle's folder")
    if not packed and not is_bundle(path):
        if engine != "onnxruntime":
            raise BundleError(f"{folder}: is not a bundle; `engine={engine}` runs only those")
        try:
            check_files_within(path)
        except ModelError as err:
            return CheckResult(path, False, (Problem(Stage.MANIFEST, str(err)),), {}, {})
        found = examine(path, variants)
        consumers = lint(found.contents)
        problems = (*found.problems, *consumers)
        return CheckResult(path, False, problems, found.figures, verdicts(consumers))
    try:
        bundle = read_bundle(path, packed=True)
    except BundleError as err:
        return CheckResult(path, True, (Problem(Stage.MANIFEST, str(err)),), {}, {})
    return _check(bundle, variants, engine)


def check_written(folder: Path) -> CheckResult:
    """Check a bundle whose graphs the caller has just proved, after all else has been written around them."""
    return _check(read_bundle(folder), None, "onnxruntime", judged=VECTORS_ALONE)


def _check(
    bundle: Bundle, wanted: Sequence[str] | None, engine: str, judged: Sequence[str] = WITHOUT_RANKS
) -> CheckResult:
    chosen = bundle.named(wanted)
    problems, damaged = _check_files(bundle)
    goldens = _goldens(bundle, problems)
    by_file = {GOLDEN: goldens, **_other_goldens(bundle, chosen, problems, damaged)}
    figures: dict[str, dict[str, float]] = {}
    signatures: dict[str, Signature] = {}
    for variant in chosen:
        if damaged & {variant.file, *variant.data_files}:
            continue  # reported above, and not fit to run
        signature, known = None, by_file[variant.golden]
        if known is not None:
            verified = _check_variant(bundle, variant, known, problems, judged)
            figures[variant.name], signature = verified.figures, verified.signature
        try:
            signatures[variant.file] = signature or OnnxSession(bundle.path(variant.file)).signature
        except BundleError as err:
            if known is None:
                problems.append(Problem(Stage.GRAPH, str(err), where=variant.name))
    if goldens is not None:
        sound = [variant for variant in chosen if not damaged & {variant.file, *variant.data_files}]
        also = check_openvino if engine == "openvino" else check_ops
        figures |= also(bundle, sound, _reference(bundle, goldens), problems)
    sound = [variant for variant in chosen if variant.name in figures]
    cuts = measure_cuts(bundle, goldens, sound) if bundle.truncate_dims and goldens is not None else ()
    if not bundle.variants:
        what = f"no variants{' here: all were left out' if bundle.absent else ''}"
        problems.append(Problem(Stage.MANIFEST, what, where=MANIFEST))
    if is_packed(bundle.folder):
        what = "packed in one file, which other libraries do not read; mirrorkit unpack makes a folder of it"
        note = Problem(Stage.CONSUMERS, what, severity=Severity.NOTE)
        return CheckResult(bundle.folder, True, (*problems, note), figures, {}, cuts)
    consumers = lint(
        Contents(
            bundle.folder,
            bundle.pooling,
            bundle.max_length,
            signatures,
            ours=True,
            usage=bundle.usage,
            pools_only=bundle.pools_only,
        )
    )
    left_out = any(p.what == _LEFT_OUT for p in problems)
    if wanted or left_out:  # nothing is known about graphs that were not opened, and nothing owed of what is not here
        consumers = [replace(p, severity=_at_most_warning(p.severity)) for p in consumers]
    return CheckResult(bundle.folder, True, (*problems, *consumers), figures, verdicts(consumers), cuts)


def _at_most_warning(severity: Severity) -> Severity:
    return Severity.WARNING if severity is Severity.ERROR else severity


def _check_files(bundle: Bundle) -> tuple[list[Problem], set[str]]:
    problems, damaged = [], set()
    spare = _spare(bundle)
    for name in bundle.files:
        try:
            if name in spare and not (bundle.folder / name).exists():
                problems.append(Problem(Stage.FILES, _LEFT_OUT, where=name, severity=Severity.WARNING))
                damaged.add(name)
                continue
            check_file(bundle, name)
        except BundleError as err:
            if name == CARD:  # people write into it, and no runtime reads it
                problems.append(Problem(Stage.FILES, "edited since the export", where=name, severity=Severity.NOTE))
                continue
            problems.append(Problem(Stage.FILES, str(err), where=name))
            damaged.add(name)
    for file in sorted(bundle.folder.rglob("*")):
        name = file.relative_to(bundle.folder).as_posix()
        if file.is_file() and name != MANIFEST and name not in bundle.files:
            graph = file.suffix == ".onnx"
            why = f"not in {MANIFEST}" + (", and some consumers load any .onnx file that they find" if graph else "")
            severity = Severity.WARNING if graph else Severity.NOTE
            problems.append(Problem(Stage.FILES, why, where=name, severity=severity))
    for name in (TOKENIZER, GOLDEN):
        if name not in bundle.files:
            problems.append(Problem(Stage.FILES, f"is not among the files of {MANIFEST}", where=name))
            damaged.add(name)
    return problems, damaged


def _spare(bundle: Bundle) -> set[str]:
    """Return the files that a bundle may be without, as far as mirrorkit's runtimes go."""
    if is_packed(bundle.folder):
        return set()
    if in_hub_cache(bundle.folder):  # whoever fetched it took what was asked for
        return set(bundle.files) - {TOKENIZER}
    graphs = {name for variant in bundle.absent.values() for name in (variant.file, *variant.data_files)}
    return {CARD, *graphs, *(name for name in bundle.files if name.endswith(".safetensors"))}


def _goldens(bundle: Bundle, problems: list[Problem]) -> Goldens | None:
    """Return the goldens where they can be trusted and the tokenizer gives their ids; else say what is wrong."""
    return _read_goldens(bundle, GOLDEN, bundle.dim, problems)


def _other_goldens(
    bundle: Bundle, chosen: Sequence[Variant], problems: list[Problem], damaged: set[str]
) -> dict[str, Goldens | None]:
    """Return, by file, the goldens of variants that have vectors of their own."""
    found: dict[str, Goldens | None] = {}
    for variant in chosen:
        name = variant.golden
        if name == GOLDEN:
            continue
        if name not in bundle.files:
            problems.append(Problem(Stage.FILES, f"is not among the files of {MANIFEST}", where=name))
        sound = name in bundle.files and name not in damaged
        found[name] = _read_goldens(bundle, name, bundle.dim_of(variant), problems) if sound else None
    return found


def _read_goldens(bundle: Bundle, name: str, dim: int, problems: list[Problem]) -> Goldens | None:
    if any(p.where in (name, TOKENIZER) for p in problems):
        return None
    try:
        goldens = read_goldens(bundle.path(name), dim)
        ids = tokenizer_of(bundle).ids(goldens.texts, bundle.usage.prompt())
    except BundleError as err:
        problems.append(Problem(Stage.TOKENIZER, str(err), where=name))
        return None
    wrong = [i for i in range(len(ids)) if not np.array_equal(ids[i], goldens.ids[i])]
    if wrong:
        what = f"texts whose ids differ from the golden ones, the first is number {wrong[0] + 1}"
        problems.append(Problem(Stage.TOKENIZER, what, len(wrong), 0, where=TOKENIZER))
    return goldens


def _check_variant(
    bundle: Bundle, variant: Variant, goldens: Goldens, problems: list[Problem], judged: Sequence[str]
) -> Verification:
    """Run a variant on the golden ids and add what is wrong to `problems`."""
    limits, reference, data = _limits(variant, problems), _reference(bundle, goldens), variant.data_files
    contract = Contract(
        bundle.dim, bundle.max_length, bundle.pooling, bundle.pad_token_id, bundle.token_dim, bundle.pools_only
    )
    if variant.precision is Precision.STATIC:
        dim, usage = bundle.dim_of(variant), replace(bundle.usage, normalized=True)
        contract = replace(contract, dim=dim, width=dim, pooling="mean", pools_only=True)
        reference = replace(reference, usage=usage)
        problems += [replace(problem, where=variant.name) for problem in _check_table(bundle, variant, reference)]
    verified = verify_graph(
        bundle.path(variant.file),
        variant.graph,
        contract,
        reference,
        limits,
        data_files=tuple(bundle.path(name) for name in data),
        min_texts=FEWEST,
        judged=judged,
        with_onnx=find_spec("onnx") is not None and not is_packed(bundle.folder),
        ops=True,  # as an Encoder here runs it
    )
    problems += [replace(problem, where=variant.name) for problem in verified.problems]
    return verified


def _check_table(bundle: Bundle, variant: Variant, reference: Reference) -> tuple[Problem, ...]:
    """Return what is wrong with a static variant as the light runtime runs it, which is not by its graph."""
    try:
        runner = open_runner(open_variant(bundle, variant))
    except BundleError as err:
        return (Problem(Stage.GRAPH, "cannot be run", str(err)),)
    limits, pad_id = THRESHOLDS[variant.precision], bundle.pad_token_id
    longest = bundle.max_length
    found = measure(runner, reference, limits, pad_id=pad_id, longest=longest, min_texts=FEWEST, judged=WITHOUT_RANKS)
    return found.problems


def _reference(bundle: Bundle, goldens: Goldens) -> Reference:
    return Reference(goldens.ids, goldens.vectors, bundle.usage, unpooled(bundle))


def _limits(variant: Variant, problems: list[Problem]) -> Thresholds:
    """Return the limits that the variant was published with."""
    own = overridden(variant.report)
    if own:
        told = ", ".join(f"{name} {value:g}" for name, value in own.items())
        what = "was published with limits set by the user"
        problems.append(Problem(Stage.NUMBERS, what, told, where=variant.name, severity=Severity.WARNING))
    return thresholds_for(variant.precision, own)
