"""From a model to a published bundle: make each graph, prove it, keep what passed, publish all or nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mirrorkit.bundle import GOLDEN, Bundle, Precision, Variant, record_files, write_manifest
from mirrorkit.environment import versions
from mirrorkit.errors import ConfigError, CorpusError, ExportError
from mirrorkit.exporter.calibration import CalibrationText, calibration_texts, stirred
from mirrorkit.exporter.card import bundle_card
from mirrorkit.exporter.files import card_rows, corpus_at_hand, display_name, refuse_heads, says_pooling, write_model
from mirrorkit.exporter.graph import DEFAULT_OPSET
from mirrorkit.exporter.result import ExportResult, NothingPublishedError, VariantResult
from mirrorkit.exporter.trim import Trim, trim_vocabulary
from mirrorkit.exporter.trim_gate import TrimReport
from mirrorkit.exporter.variants import PLAIN, Progress, VariantMaker, ordinary_tokens, remove_variant
from mirrorkit.hub import locate_model
from mirrorkit.layout import Pooling
from mirrorkit.model import SentenceEncoder
from mirrorkit.paths import local_path
from mirrorkit.publish import check_target, publish_folder
from mirrorkit.verification.check import check_bundle
from mirrorkit.verification.golden import golden_rows, write_goldens
from mirrorkit.verification.graphs import external_files, graph_kind
from mirrorkit.verification.problem import Stage, errors
from mirrorkit.verification.texts import MIN_TEXTS, awkward_texts, even_sample, verification_texts
from mirrorkit.verification.thresholds import thresholds_for
from mirrorkit.verification.verify import Reference

log = logging.getLogger(__name__)

DEFAULT_PRECISIONS = ("fp32", "fp16", "int8")


class _Silent:
    def phase(self, name: str) -> None:
        log.info("%s", name)


def export_bundle(
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
    trim: Trim | None = None,
    overwrite: bool = False,
    thresholds: Mapping[str, float] | None = None,
    progress: Progress | None = None,
) -> ExportResult:
    """Export `model` (whatever `SentenceEncoder.load` takes) to the bundle `out`, every variant verified.

    `precision` names the variants: fp32, fp16, int8, int4. `optimize` adds to fp32 a graph fused for ONNX Runtime.
    `calibration` is a file of texts like those to come, `text_column` its column; without it the corpus that the model
    card names is taken where it is at hand, else a shipped sample. `trim` drops the entries of a WordPiece vocabulary
    that a corpus never uses. `thresholds` replaces limits of `verification.thresholds` by name.

    A variant that fails verification is not published; the result tells why and its `ok` is False. Raises
    NothingPublishedError, which has the result too, when fp32, all that was asked for or trimming fails; other
    MirrorkitErrors for bad input. `out` is written whole or not at all.
    """
    start = time.perf_counter()
    progress = progress or _Silent()
    wanted = _precisions(precision)
    if trim is not None:
        trim.check()
    limits = {p: thresholds_for(p, thresholds) for p in Precision}
    target = local_path(out)
    check_target(target, overwrite=overwrite)
    progress.phase("loading the model")
    encoder, folder = _load(model, pooling, max_length)
    size = sum(p.numel() for p in encoder.parameters())
    check_target(target, overwrite=overwrite, needs_bytes=size * _bytes_per_weight(wanted) + (16 << 20))
    training = card_rows(folder)
    sample = _sample(calibration, text_column, folder, training)
    trimmed = _trimmed(encoder, trim, progress)
    texts = verification_texts(_real_texts(sample), encoder.max_length)

    def result(variants: dict[str, VariantResult], notes: Sequence[str]) -> ExportResult:
        about: dict[str, object] = {"name": sample.name, "sha256": sample.sha256, "texts": len(sample.texts)}
        seconds = time.perf_counter() - start
        told = (*notes, *_worst_texts(variants, texts))
        return ExportResult(target, display_name(model, folder), variants, about, seconds, told, trimmed)

    if trimmed is not None and not trimmed.passed:
        raise NothingPublishedError(f"nothing was published: {trimmed.problems[0].line()}", result({}, ()))
    progress.phase("computing the reference")
    reference = Reference(encoder.tokenize(texts), encoder.encode(texts))
    with publish_folder(target, overwrite=overwrite) as draft:
        progress.phase("writing the model")
        write_model(encoder, draft)
        (draft / "onnx").mkdir()
        calibration_ids = stirred(encoder.tokenize(sample.texts), ordinary_tokens(encoder.tokenizer))
        job = VariantMaker(encoder, draft, opset or DEFAULT_OPSET, calibration_ids, reference, limits, progress)
        variants, notes = job.make_all(wanted, optimize)
        if not any(v.published for v in variants.values()):
            raise NothingPublishedError(_why_nothing(variants), result(variants, notes))
        progress.phase("writing the bundle")
        about: dict[str, object] = {
            "model": display_name(model, folder),
            "calibration": {"name": sample.name, "sha256": sample.sha256, "texts": len(sample.texts)},
            "options": {"precision": [str(p) for p in wanted], "opset": job.opset, "optimize": optimize},
            "versions": versions("mirrorkit", "torch", "transformers", "tokenizers", "onnx", "onnxruntime"),
            "training": training,
            **({"trim": trimmed.as_dict()} if trimmed else {}),
        }
        keep = golden_rows(texts, len(awkward_texts(encoder.max_length)))
        write_goldens(draft / GOLDEN, texts, reference.ids, reference.vectors, keep)
        variants = _finish(draft, target.name, encoder, variants, about)
        if not any(v.published for v in variants.values()):
            raise NothingPublishedError(_why_nothing(variants), result(variants, notes))
    return result(variants, notes)


def _precisions(names: Sequence[str]) -> list[Precision]:
    if isinstance(names, str):
        names = [name.strip() for name in names.split(",")]
    unknown = [name for name in names if name not in set(Precision)]
    if unknown or not names:
        raise ConfigError(f"precision {unknown[0] if unknown else ''!r}: must be among {', '.join(Precision)}")
    return list(dict.fromkeys(Precision(name) for name in names))


def _bytes_per_weight(wanted: Sequence[Precision]) -> int:
    """Return how many bytes a weight takes in the safetensors, the plain graph, and the variants together."""
    extra = {Precision.FP16: 2, Precision.INT8: 2, Precision.INT4: 2}  # embeddings may stay wider than the name says
    return 4 + 4 + sum(extra.get(p, 0) for p in wanted)


def _load(model: str | Path, pooling: str | None, max_length: int | None) -> tuple[SentenceEncoder, Path]:
    folder = locate_model(model)
    refuse_heads(folder, pooling)
    encoder = SentenceEncoder.load(folder, pooling=pooling, max_length=max_length)
    if encoder.pooling is Pooling.MEAN_PADDED:
        raise ExportError(
            f"{folder}: pooling mean-padded averages over padding, which no other library does; train with mean, cls "
            "or max, or give --pooling mean and expect other vectors"
        )
    if pooling is None and not says_pooling(folder):
        log.warning("%s says nothing about pooling: mean is taken; --pooling says otherwise", model)
    return encoder, folder


def _trimmed(encoder: SentenceEncoder, trim: Trim | None, progress: Progress) -> TrimReport | None:
    """Trim the encoder where that was asked for; whatever comes after works on the trimmed one."""
    if trim is None:
        return None
    progress.phase("trimming the vocabulary")
    return trim_vocabulary(encoder, trim)


def _sample(
    calibration: str | Path | None, column: str | None, folder: Path, training: Mapping[str, str]
) -> CalibrationText:
    """Return the texts to calibrate and verify on: the user's, else the fine-tune's corpus, else the shipped ones."""
    if calibration is not None:
        return calibration_texts(str(calibration), column)
    corpus = corpus_at_hand(folder, training)
    if corpus is not None:
        try:
            return calibration_texts(str(corpus), column)
        except (ConfigError, CorpusError) as err:  # a column had to be named to read it, for example
            log.info("the corpus of the model card cannot be read without help (%s): the shipped sample is taken", err)
    return calibration_texts(None)


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
            yield f"{variant.name} is furthest off on the text {shown!r}"


def _why_nothing(variants: Mapping[str, VariantResult]) -> str:
    failed = next(v for v in variants.values() if not v.published)
    return f"nothing was published: {failed.name} failed verification: {failed.problems[0].line()}"


def _finish(
    draft: Path, name: str, encoder: SentenceEncoder, variants: dict[str, VariantResult], about: dict[str, object]
) -> dict[str, VariantResult]:
    """Write card and manifest, and check the bundle as any user could; a variant that fails there is removed."""
    while True:
        published = [v for v in variants.values() if v.published]
        if not published:
            return variants
        _describe(draft, name, encoder, published, about)
        problems = errors(check_bundle(draft).problems)
        failed = {p.where for p in problems} & {v.name for v in published}
        if problems and (not failed or PLAIN in failed):  # others may hold their weights in the plain graph
            raise ExportError(f"the bundle does not pass its own check: {problems[0].line()}")
        if not failed:
            return variants
        for bad in failed:
            remove_variant(draft, bad)
            why = tuple(p for p in problems if p.where == bad)
            variants = {**variants, bad: replace(variants[bad], problems=why)}


def _describe(
    draft: Path, name: str, encoder: SentenceEncoder, published: Sequence[VariantResult], about: dict[str, object]
) -> None:
    bundle = Bundle(
        folder=draft,
        architecture=str(encoder.backbone.config.model_type),
        dim=encoder.dim,
        max_length=encoder.max_length,
        pooling=encoder.pooling,
        pad_token_id=int(encoder.tokenizer.pad_token_id),
        variants={v.name: _variant(draft, v) for v in published},
        files={},
        provenance=about,
    )
    sizes = {v.file: v.bytes for v in published}
    training = about["training"]
    assert isinstance(training, dict)
    card = bundle_card(bundle, name, str(about["model"]), sizes, training)
    (draft / "README.md").write_text(card, encoding="utf-8")
    write_manifest(replace(bundle, files=record_files(draft)))


def _variant(draft: Path, made: VariantResult) -> Variant:
    assert made.verification is not None
    file = draft / made.file
    data = tuple(f"onnx/{other}" for other in sorted(external_files(file)))
    precision = Precision(made.name.removesuffix("-fused"))
    return Variant(made.name, made.file, precision, graph_kind(file), data, made.verification.report())
