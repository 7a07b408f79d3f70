"""From a bundle and an adapter of it to a bundle whose graphs give adapted vectors: made, proven, published."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mirrorkit.errors import BundleError, ConfigError, ExportError
from mirrorkit.exporter.adapter.card import adapted_card
from mirrorkit.exporter.adapter.graph import append
from mirrorkit.exporter.adapter.layers import write_layers
from mirrorkit.exporter.adapter.result import AttachResult
from mirrorkit.exporter.graph.onnxfile import places_of, write, write_referring
from mirrorkit.exporter.quantize.calibration import calibration_texts
from mirrorkit.exporter.result import VariantResult
from mirrorkit.exporter.variants import FUSED, remove_variant
from mirrorkit.extras import require
from mirrorkit.formats.adapter import Adapter, read_adapter
from mirrorkit.formats.bundle import (
    GOLDEN,
    GOLDEN_STATIC,
    MANIFEST,
    Bundle,
    Precision,
    Variant,
    check_file,
    record_files,
)
from mirrorkit.formats.bundle_writer import write_manifest
from mirrorkit.formats.golden import read_goldens, write_goldens
from mirrorkit.formats.plain import plain
from mirrorkit.paths import local_path
from mirrorkit.progress import Progress, Silent
from mirrorkit.publish import check_target, publish_folder
from mirrorkit.runtime.encoder import Encoder
from mirrorkit.runtime.fingerprint import fingerprint_of
from mirrorkit.runtime.hub import folder_of, open_bundle
from mirrorkit.runtime.opening import open_variant, unpooled
from mirrorkit.runtime.output import ranges_of
from mirrorkit.runtime.runner import Runner
from mirrorkit.runtime.session import OnnxSession
from mirrorkit.verification.check import check
from mirrorkit.verification.graphs import external_files, graph_kind
from mirrorkit.verification.measure import largest_difference, vectors_of
from mirrorkit.verification.problem import Problem, Stage, errors
from mirrorkit.verification.proof import FEWEST, WITHOUT_RANKS, Reference, SkippingPrompt
from mirrorkit.verification.thresholds import overridden, thresholds_for
from mirrorkit.verification.verify import Contract, verify_graph

require("onnxscript", extra="export")
import onnx_ir as ir

INSIDE = 1e-5  # at most; of a vector's length, between the map in a graph and the same map outside of it, both fp32
CARD = "README.md"
_SOURCES = {fused: plain for plain, fused in FUSED.items()}


class _NothingError(Exception):
    """There is nothing to publish."""


def attach(
    bundle: str | Path,
    adapter: str | Path,
    out: str | Path,
    *,
    variants: Sequence[str] | None = None,
    revision: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> AttachResult:
    """Write `bundle` to `out` with `adapter` at the end of its graphs: every runtime then gives adapted vectors.

    The adapter must be of one of the bundle's variants; the others, whose vectors differ from that one's by rounding
    alone, get it too, or those that `variants` names. The map is in fp32 whatever the precision. Each graph is held to
    the numpy map behind the old graph (1e-5), and to the map of the bundle's golden vectors by the limits of its
    precision; manifest, golden texts, ranges and card are made anew, and the layers for sentence-transformers.

    A variant that fails is not published; the result tells why. Raises ModelError for an adapter of another encoder,
    ConfigError for a variant that there is not, BundleError for a damaged bundle, OutputError where nothing can be
    written.

    >>> from mirrorkit import Encoder, adapt, attach
    >>> variants = {"old_variant": "fp32", "new_variant": "int8"}
    >>> result = adapt("bundle", "bundle", "corpus.txt", "my-adapter", limit=200, min_recall=0.5, **variants)
    >>> attach("bundle", "my-adapter", "my-adapted", variants=["int8-fused"]).ok
    True
    >>> one = Encoder("my-adapted", "int8").encode(["a text"])
    >>> other = Encoder("bundle", "int8", adapter="my-adapter").encode(["a text"])
    >>> float(abs(one - other).max()) < 1e-5
    True
    """
    started, progress = time.perf_counter(), progress or Silent()
    found = read_adapter(adapter)
    target = local_path(out)
    check_target(target, overwrite=overwrite)
    old = open_bundle(folder_of(bundle, "auto", "cpu", revision=revision, whole=True))
    fitted = _fitted(old, found)
    asked = _with_plain(old, old.named(variants))
    chosen = [variant for variant in asked if variant.precision is not Precision.STATIC]
    left_out = tuple(variant.name for variant in asked if variant.precision is Precision.STATIC)
    if not chosen:
        raise ConfigError(f"`variants`: {', '.join(left_out)} is a table, and no graph that a map could stand behind")
    made: dict[str, VariantResult] = {}

    def result() -> AttachResult:
        seconds = time.perf_counter() - started
        return AttachResult(str(out), found.fingerprint, found.record.old.dim, made, left_out, seconds)

    try:
        with publish_folder(target, overwrite=overwrite) as draft:
            progress.phase("copying the model")
            _copy(old, draft)
            write_layers(draft, old, found)
            job = _Job(old, draft, found)
            for variant in chosen:
                progress.phase(f"making and verifying {variant.name}")
                made[variant.name] = job.attempt(variant)
            if not any(variant.published for variant in made.values()):
                raise _NothingError
            progress.phase("writing the bundle")
            job.finish(target.name, fitted, made)
    except _NothingError:
        pass
    return result()


def _with_plain(bundle: Bundle, variants: Sequence[Variant]) -> list[Variant]:
    """Return the variants, before each fused one the plain one that lends it weights, and that others look for."""
    found: dict[str, Variant] = {}
    for variant in variants:
        source = _SOURCES.get(variant.name, "")
        for name in (source, variant.name):
            if name in bundle.variants:
                found[name] = bundle.variants[name]
    return list(found.values())


def _fitted(bundle: Bundle, adapter: Adapter) -> Variant:
    """Return the variant that the adapter takes vectors of; raises ModelError where it is none of this bundle's."""
    found = {fingerprint_of(open_variant(bundle, variant)): variant for variant in bundle.variants.values()}
    if not found:
        raise BundleError(f"{bundle.folder}: holds no variants")
    new, old = adapter.record.new.fingerprint, adapter.record.old.fingerprint
    told = next((one for one in (new, old) if one in found), next(iter(found)))
    adapter.check_encoder(told, f"{bundle.folder}: {found[told].name}")
    if found[new].precision is Precision.STATIC:
        raise ConfigError("`adapter`: is of the static variant, a table and no graph")
    return found[new]


def _copy(bundle: Bundle, draft: Path) -> None:
    """Copy all that is neither a graph nor made anew, as it was verified; weights that were left out stay so."""
    graphs = {
        name
        for variant in (*bundle.variants.values(), *bundle.absent.values())
        for name in (variant.file, *variant.data_files)
    }
    for name in sorted(set(bundle.files) - graphs - {MANIFEST, GOLDEN, GOLDEN_STATIC, CARD}):
        if name.endswith(".safetensors") and not (bundle.folder / name).exists():
            continue
        check_file(bundle, name)
        (draft / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.path(name), draft / name)


class _Job:
    """Makes the graphs of the new bundle in its draft and proves each."""

    def __init__(self, old: Bundle, draft: Path, adapter: Adapter) -> None:
        for name in (GOLDEN, *(n for v in old.variants.values() for n in (v.file, *v.data_files))):
            check_file(old, name)
        self._old, self._draft, self._adapter = old, draft, adapter
        self._goldens = read_goldens(old.path(GOLDEN), old.dim)
        self._vectors = adapter(self._goldens.vectors)
        self._usage = replace(old.usage, normalized=adapter.record.normalized)
        self._unpooled = unpooled(old)

    def attempt(self, variant: Variant) -> VariantResult:
        """Make and verify a variant; one that fails is removed from the draft."""
        start, file = time.perf_counter(), self._draft / variant.file
        verification = None
        size = 0
        try:
            self._make(variant, file)
            size = file.stat().st_size
            old, dim = self._old, self._adapter.record.old.dim
            reference = Reference(self._goldens.ids, self._vectors, self._usage, self._unpooled)
            verification = verify_graph(
                file,
                graph_kind(file),
                Contract(dim, old.max_length, old.pooling, old.pad_token_id, old.token_dim, pools_only=False),
                reference,
                thresholds_for(variant.precision, overridden(variant.report)),
                data_files=tuple(file.parent / name for name in sorted(external_files(file))),
                min_texts=FEWEST,
                judged=WITHOUT_RANKS,
            )
            problems = verification.problems or self._beside_numpy(variant, file, reference.scale)
        except ExportError as err:
            problems = (Problem(Stage.MAKE, str(err)),)
        if problems:
            remove_variant(self._draft, variant.name)
        problems = tuple(replace(problem, where=variant.name) for problem in problems)
        return VariantResult(variant.name, variant.file, size, verification, problems, time.perf_counter() - start)

    def _make(self, variant: Variant, file: Path) -> None:
        """Write the graph; a fused one refers to the weights of its plain one, where that is there."""
        model = ir.load(self._old.path(variant.file))
        append(model, self._adapter, normalized=self._old.usage.normalized)
        file.parent.mkdir(parents=True, exist_ok=True)
        source = self._old.variants.get(_SOURCES.get(variant.name, ""))
        lender = None if source is None else self._draft / source.file
        if variant.data_files and lender is not None and lender.is_file():
            write_referring(model, file, places_of(lender))
        else:
            write(model, file)

    def _beside_numpy(self, variant: Variant, file: Path, scale: float) -> tuple[Problem, ...]:
        """Return what is wrong where the map in the graph is not the map behind the old graph."""
        ids, pad_id = self._goldens.ids, self._old.pad_token_id
        before, after = (
            vectors_of(self._told(OnnxSession(graph)), ids, pad_id) for graph in (self._old.path(variant.file), file)
        )
        off = largest_difference(self._adapter(before), after) / scale
        if off <= INSIDE:
            return ()
        return (Problem(Stage.NUMBERS, "the map in the graph against the same outside", off, f"at most {INSIDE:g}"),)

    def _told(self, runner: Runner) -> Runner:
        return SkippingPrompt(runner, self._unpooled) if self._unpooled else runner

    def finish(self, name: str, fitted: Variant, made: dict[str, VariantResult]) -> None:
        """Write goldens, ranges, card and manifest, and check the bundle as any user could."""
        draft, goldens = self._draft, self._goldens
        write_goldens(draft / GOLDEN, goldens.texts, goldens.ids, self._vectors, range(len(goldens.texts)))
        bundle = self._described(fitted, made)
        sizes = {one.file: one.bytes for one in made.values() if one.published}
        (draft / CARD).write_text(adapted_card(bundle, name, self._old, self._adapter, sizes), encoding="utf-8")
        write_manifest(replace(bundle, files=record_files(draft)))
        if problems := errors(check(draft).problems):
            raise ExportError(f"the bundle does not pass its own check: {problems[0].line()}")

    def _described(self, fitted: Variant, made: dict[str, VariantResult]) -> Bundle:
        record, old = self._adapter.record, self._old
        texts = Encoder(old.folder, fitted.name).encode(calibration_texts(None).texts)
        variants = {}
        for name in (name for name in old.variants if name in made and made[name].published):
            file, verification = self._draft / old.variants[name].file, made[name].verification
            assert verification is not None
            data = tuple(f"{Path(old.variants[name].file).parent.as_posix()}/{n}" for n in sorted(external_files(file)))
            variants[name] = replace(old.variants[name], data_files=data, report=verification.report())
        about = {"fingerprint": self._adapter.fingerprint, "map": record.map, "rank": record.rank}
        sides = {"new": plain(record.new), "old": plain(record.old), "recall_at_10": plain(record.recall_at_10)}
        return replace(
            old,
            folder=self._draft,
            dim=record.old.dim,
            width=old.token_dim,
            pools_only=False,
            variants=variants,
            absent={},
            usage=self._usage,
            provenance={**old.provenance, "adapter": {**about, **sides}},
            scalar_ranges=ranges_of(self._adapter(texts)),
            truncate_dims=(),
        )
