"""From a model to a published bundle: make each graph, prove it, keep what passed, publish all or nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mirrorkit.errors import ConfigError, ExportError
from mirrorkit.exporter.card import bundle_card
from mirrorkit.exporter.files import adapt_to_readers
from mirrorkit.exporter.graph.trace import DEFAULT_OPSET
from mirrorkit.exporter.provenance import CalibrationRecord, ExportOptions, Provenance
from mirrorkit.exporter.quantize.calibration import CalibrationText, calibration_texts, sample_for
from mirrorkit.exporter.result import ExportResult, NothingPublishedError, VariantResult
from mirrorkit.exporter.static.corpus import static_corpus
from mirrorkit.exporter.static.distil import DIM as STATIC_DIM
from mirrorkit.exporter.static.variant import Proof, check_static, described, make_static
from mirrorkit.exporter.trim.vocabulary import Trim, trim_vocabulary
from mirrorkit.exporter.variants import PLAIN, VariantMaker, remove_variant
from mirrorkit.formats.bundle import GOLDEN, Bundle, Precision, Variant, record_files
from mirrorkit.formats.bundle_writer import write_manifest
from mirrorkit.formats.card import carried
from mirrorkit.formats.golden import golden_rows, write_goldens
from mirrorkit.formats.training_record import TrainingRecord, corpus_at_hand, read_training
from mirrorkit.machine.facts import versions
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.model.outside import compare_outside, refuse_unfit
from mirrorkit.paths import local_path
from mirrorkit.progress import Progress, Silent
from mirrorkit.publish import check_target, publish_folder
from mirrorkit.runtime.output import ranges_of
from mirrorkit.text.awkward import AWKWARD_TEXTS, MIN_TEXTS, even_sample, verification_texts
from mirrorkit.verification.check import check_written
from mirrorkit.verification.graphs import external_files, graph_kind
from mirrorkit.verification.problem import Stage, errors
from mirrorkit.verification.proof import Reference
from mirrorkit.verification.thresholds import Thresholds, thresholds_for

DEFAULT_PRECISIONS = ("fp32", "fp16", "int8")


def export(
    model: str | Path,
    out: str | Path,
    *,
    precision: Sequence[str] = DEFAULT_PRECISIONS,
    opset: int | None = None,
    max_length: int | None = None,
    pooling: str | None = None,
    calibration: str | Path | None = None,
    text_column: str | None = None,
    optimize: bool = True,
    static_dim: int = STATIC_DIM,
    trim: Trim | None = None,
    overwrite: bool = False,
    trust_remote_code: bool = False,
    thresholds: Mapping[str, float] | None = None,
    progress: Progress | None = None,
) -> ExportResult:
    """Export `model` (whatever `SentenceEncoder.load` takes) to the bundle `out`, every variant verified.

    `precision` names the variants: fp32, fp16, int8, int4, static. `optimize` adds to fp32 a graph fused for ONNX
    Runtime. `static` is another model, a table of `static_dim` numbers for each token that is fitted to this one:
    worse, many times faster, and only ever taken by its name.
    `calibration` is a file of texts like those to be encoded, `text_column` its column; without it the corpus that
    training.json names is taken where it is at hand, else a shipped sample. `trim` drops the entries of the
    vocabulary that a corpus never uses. `thresholds` replaces limits of the proof: cosine_min, cosine_p1, cosine_mean,
    max_abs, spearman, overlap, invariance. `trust_remote_code` lets Python code run that comes with the model.

    A variant that fails verification is not published; the result tells why and its `ok` is False. Raises
    NothingPublishedError, which has the result too, when fp32, all that was asked for or trimming fails; other
    MirrorkitErrors for bad input. `out` is written whole or not at all.

    >>> from mirrorkit import export
    >>> result = export("model", "my-bundle", precision=["fp32"], optimize=False)
    >>> result.ok, list(result.variants)
    (True, ['fp32'])
    """
    start, progress = time.perf_counter(), progress or Silent()
    wanted = _precisions(precision)
    limits: dict[Precision, Thresholds] = {
        p: thresholds_for(p, thresholds) for p in Precision if p is not Precision.STATIC
    }
    target = local_path(out)
    check_target(target, overwrite=overwrite)
    progress.phase("loading the model")
    encoder = SentenceEncoder.load(model, pooling=pooling, max_length=max_length, trust_remote_code=trust_remote_code)
    origin = encoder.origin
    assert origin is not None
    refuse_unfit(encoder, pooling_given=pooling is not None)
    if Precision.STATIC in wanted:
        check_static(encoder, static_dim)
    progress.phase("comparing with sentence-transformers")
    outside = compare_outside(encoder, origin.folder, as_it_is=pooling is None and max_length is None)
    size = sum(p.numel() for p in encoder.parameters())
    check_target(target, overwrite=overwrite, needs_bytes=size * _bytes_per_weight(wanted) + (16 << 20))
    training = read_training(origin.folder)
    corpus = corpus_at_hand(origin.folder, training) if calibration is None else None
    sample = sample_for(calibration, text_column, corpus)
    if trim is not None:
        progress.phase("trimming the vocabulary")
    trimmed = None if trim is None else trim_vocabulary(encoder, trim)  # the rest works on the trimmed encoder
    about = Provenance(
        model=origin.name,
        calibration=CalibrationRecord(sample.name, sample.sha256, len(sample.texts)),
        options=_options(wanted, opset, static_dim, optimize=optimize),
        versions=versions("mirrorkit", "torch", "transformers", "tokenizers", "onnx", "onnxruntime"),
        training=training.rows() if training else {},
        outside=outside,
        trim=trimmed,
        truncate_dims=_cuts(training, encoder.dim),
        card=carried(origin.folder, origin.name),
    )
    texts = verification_texts(_real_texts(sample), encoder.max_length)
    golden = golden_rows(texts, AWKWARD_TEXTS)

    def result(variants: dict[str, VariantResult], notes: Sequence[str]) -> ExportResult:
        told = (*notes, *_worst_texts(variants, texts))
        return ExportResult(target, about, variants, time.perf_counter() - start, told)

    if trimmed is not None and not trimmed.passed:
        raise NothingPublishedError(f"nothing was published: {trimmed.problems[0].line()}", result({}, ()))
    progress.phase("computing the reference")
    reference = Reference(encoder.tokenize(texts), encoder.encode(texts), encoder.usage, encoder.unpooled())
    with publish_folder(target, overwrite=overwrite) as draft:
        progress.phase("writing the model")
        encoder.save(draft)
        adapt_to_readers(draft)
        (draft / "onnx").mkdir()
        job = VariantMaker(encoder, draft, about.options.opset, sample.texts, reference, limits, progress)
        proof = Proof(texts, reference.ids, golden, AWKWARD_TEXTS)

        def static() -> VariantResult:
            learnt_from = static_corpus(calibration, text_column, corpus, sample)
            return make_static(encoder, draft, learnt_from, static_dim, proof, progress)

        variants, notes = _make(job, wanted, static, optimize=optimize)
        if any(v.published for v in variants.values()):
            progress.phase("writing the bundle")
            write_goldens(draft / GOLDEN, texts, reference.ids, reference.vectors, golden)
            bundle = job.describe(about, ranges_of(reference.vectors[AWKWARD_TEXTS:]))
            variants = _finish(bundle, target.name, variants, about)
        if not any(v.published for v in variants.values()):
            raise NothingPublishedError(_why_nothing(variants), result(variants, notes))
    return result(variants, notes)


def _make(
    job: VariantMaker, wanted: Sequence[Precision], static: Callable[[], VariantResult], *, optimize: bool
) -> tuple[dict[str, VariantResult], list[str]]:
    """Make the graphs of the model, and where it is wanted the static variant, unless nothing can be published."""
    graphs = [precision for precision in wanted if precision is not Precision.STATIC]
    variants, notes = job.make_all(graphs, optimize)
    if Precision.STATIC in wanted and not (PLAIN in variants and variants[PLAIN].problems):
        variants[str(Precision.STATIC)] = static()
    return variants, notes


def _precisions(names: Sequence[str]) -> list[Precision]:
    if isinstance(names, str):
        names = [name.strip() for name in names.split(",")]
    unknown = [name for name in names if name not in set(Precision)]
    if unknown or not names:
        raise ConfigError(f"precision {unknown[0] if unknown else ''!r}: must be among {', '.join(Precision)}")
    if set(names) == {Precision.STATIC}:
        raise ConfigError(
            "precision 'static': is another model, made beside this one; name one of its own too, as int8"
        )
    return list(dict.fromkeys(Precision(name) for name in names))


def _cuts(training: TrainingRecord | None, dim: int) -> tuple[int, ...]:
    """Return the lengths that the model was trained to be cut to; a `pooling` of one's own may leave it shorter."""
    return tuple(length for length in training.truncate_dims if length < dim) if training else ()


def _options(wanted: Sequence[Precision], opset: int | None, static_dim: int, *, optimize: bool) -> ExportOptions:
    dim = static_dim if Precision.STATIC in wanted else None
    return ExportOptions(tuple(map(str, wanted)), opset or DEFAULT_OPSET, optimize, dim)


def _bytes_per_weight(wanted: Sequence[Precision]) -> int:
    """Return how many bytes a weight takes in the safetensors, the plain graph, and the variants together."""
    extra = {Precision.FP16: 2, Precision.INT8: 2, Precision.INT4: 2}  # embeddings may stay wider than the name says
    return 4 + 4 + sum(extra.get(p, 0) for p in wanted)


def _real_texts(sample: CalibrationText) -> list[str]:
    """Return the calibration texts, filled up from the shipped sample where they are too few to verify on."""
    own = list(dict.fromkeys(sample.texts))
    return [*own, *even_sample(calibration_texts(None).texts, MIN_TEXTS)] if len(own) < MIN_TEXTS else own


def _worst_texts(variants: Mapping[str, VariantResult], texts: Sequence[str]) -> Iterator[str]:
    """Yield, for each variant that failed on the numbers, the text that it failed on worst."""
    for variant in variants.values():
        worst = variant.verification.worst if variant.verification else None
        if worst is not None and any(p.stage is Stage.NUMBERS for p in variant.problems):
            shown = texts[worst] if len(texts[worst]) <= 60 else f"{texts[worst][:59]}…"
            yield f"{variant.name} differs most on the text {shown!r}"


def _why_nothing(variants: Mapping[str, VariantResult]) -> str:
    failed = next(v for v in variants.values() if not v.published)
    if failed.verification is None:  # there is no graph
        return f"nothing was published: {failed.problems[0].line()}"
    return f"nothing was published: {failed.name} failed verification: {failed.problems[0].line()}"


def _finish(
    bundle: Bundle, name: str, variants: dict[str, VariantResult], about: Provenance
) -> dict[str, VariantResult]:
    """Write card and manifest, and check the bundle as any user could, but for the invariance that was just measured.

    A variant that fails there is removed.
    """
    draft = bundle.folder
    while True:
        published = [v for v in variants.values() if v.published]
        if not published:
            return variants
        _write_about(bundle, name, published, about)
        problems = errors(check_written(draft).problems)
        failed = {p.where for p in problems} & {v.name for v in published}
        if problems and (not failed or PLAIN in failed):  # others may hold their weights in the plain graph
            raise ExportError(f"the bundle does not pass its own check: {problems[0].line()}")
        if not failed:
            return variants
        for bad in failed:
            remove_variant(draft, bad)
            why = tuple(p for p in problems if p.where == bad)
            variants = {**variants, bad: replace(variants[bad], problems=why)}


def _write_about(bundle: Bundle, name: str, published: Sequence[VariantResult], about: Provenance) -> None:
    draft = bundle.folder
    bundle = replace(bundle, variants={v.name: _variant(draft, v) for v in published})
    card = bundle_card(bundle, name, about, {v.file: v.bytes for v in published})
    (draft / "README.md").write_text(card, encoding="utf-8")
    write_manifest(replace(bundle, files=record_files(draft)))


def _variant(draft: Path, made: VariantResult) -> Variant:
    if made.static is not None:
        return described(made)
    assert made.verification is not None
    file = draft / made.file
    data = tuple(f"onnx/{other}" for other in sorted(external_files(file)))
    precision = Precision(made.name.removesuffix("-fused"))
    return Variant(made.name, made.file, precision, graph_kind(file), data, made.verification.report())
