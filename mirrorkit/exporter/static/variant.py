"""Make the static variant of a bundle and prove it: that it is what it says, and good enough to be of use."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mirrorkit.errors import ConfigError, ExportError
from mirrorkit.exporter.result import VariantResult
from mirrorkit.exporter.static.corpus import StaticCorpus
from mirrorkit.exporter.static.distil import check_dim, distil
from mirrorkit.exporter.static.gate import StaticReport, compare
from mirrorkit.exporter.static.graph import table_beside, write_graph
from mirrorkit.extras import require
from mirrorkit.formats.bundle import GOLDEN_STATIC, VARIANT_FILES, Graph, Precision, Variant
from mirrorkit.formats.golden import write_goldens
from mirrorkit.formats.table_file import TokenTable, read_table
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.progress import Progress
from mirrorkit.runtime.output import ranges_of
from mirrorkit.runtime.static import BagRunner
from mirrorkit.text.ragged import Floats, Ints, RaggedIds
from mirrorkit.verification.problem import Problem, Stage
from mirrorkit.verification.proof import Reference, measure
from mirrorkit.verification.thresholds import THRESHOLDS
from mirrorkit.verification.verify import Contract, verify_graph

require("torch", extra="train")
import torch
from torch.nn import functional

NAME = "static"


@dataclass(frozen=True)
class Proof:
    """The texts that a variant is proven on."""

    texts: Sequence[str]
    ids: RaggedIds
    golden: Sequence[int]  # which of them are kept in the bundle
    awkward: int  # how many at the beginning are awkward strings


def check_static(encoder: SentenceEncoder, dim: int) -> None:
    """Raise ConfigError for an encoder of which there can be no static variant of `dim` dimensions."""
    if encoder.layout.static:
        raise ConfigError("variant static: this model is a table of token vectors already; leave it out")
    if encoder.usage.similarity != "cosine" and not encoder.usage.normalized:
        raise ConfigError(
            f"variant static: has vectors of unit length, and this model compares vectors of any length by "
            f"{encoder.usage.similarity}; leave it out"
        )
    check_dim(dim, encoder.dim)


def make_static(
    encoder: SentenceEncoder, draft: Path, corpus: StaticCorpus, dim: int, proof: Proof, progress: Progress
) -> VariantResult:
    """Make, verify and judge the static variant; one that fails is removed from the draft."""
    start, file = time.perf_counter(), draft / VARIANT_FILES[NAME]
    try:
        made = distil(encoder, corpus, dim, progress)
        write_graph(file, made.table)
    except ExportError as err:
        remove_static(draft)
        problem = Problem(Stage.MAKE, str(err), where=NAME)
        return VariantResult(NAME, VARIANT_FILES[NAME], 0, None, (problem,), time.perf_counter() - start)
    progress.phase("verifying static")
    pad_id, limits = int(encoder.tokenizer.pad_token_id), THRESHOLDS[Precision.STATIC]
    reference = Reference(proof.ids, reference_vectors(made.table, proof.ids, encoder.unpooled()), encoder.usage)
    reference = replace(reference, usage=replace(reference.usage, normalized=True), unpooled=encoder.unpooled())
    contract = Contract(dim, encoder.max_length, "mean", pad_id, dim)
    data = (table_beside(file),)
    verification = verify_graph(file, Graph.ONNX, contract, reference, limits, data_files=data)
    bag = BagRunner(read_table(table_beside(file)))
    by_numpy = measure(bag, reference, limits, pad_id=pad_id, longest=encoder.max_length)
    progress.phase("judging static")
    scores = compare(encoder, _Encoding(encoder, bag))
    report = StaticReport(
        dim=dim,
        corpus=corpus.name,
        corpus_sha256=corpus.sha256,
        texts=len(corpus.texts),
        shipped_texts=corpus.shipped,
        tokens=made.tokens,
        frequencies="these texts, and Zipf's law over the vocabulary for what they leave open",
        seed=made.seed,
        **scores,  # type: ignore[arg-type]  # the two that count are whole numbers
    )
    problems = tuple(replace(p, where=NAME) for p in (*verification.problems, *by_numpy.problems, *report.problems))
    size = file.stat().st_size + table_beside(file).stat().st_size
    if problems:
        remove_static(draft)
    else:
        write_goldens(draft / GOLDEN_STATIC, proof.texts, proof.ids, reference.vectors, proof.golden)
    ranges = ranges_of(reference.vectors[proof.awkward :])
    seconds = time.perf_counter() - start
    return VariantResult(NAME, VARIANT_FILES[NAME], size, verification, problems, seconds, report, ranges)


def described(made: VariantResult) -> Variant:
    """Return what the manifest says of a static variant that passed."""
    assert made.verification is not None
    assert made.static is not None
    report = {**made.verification.report(), "static": made.static.as_dict()}
    data = table_beside(Path(made.file)).as_posix()
    return Variant(
        NAME,
        made.file,
        Precision.STATIC,
        Graph.ONNX,
        (data,),
        report,
        made.static.dim,
        GOLDEN_STATIC,
        made.scalar_ranges,
    )


def remove_static(draft: Path) -> None:
    """Remove all files of the static variant."""
    file = draft / VARIANT_FILES[NAME]
    for path in (file, table_beside(file), draft / GOLDEN_STATIC):
        path.unlink(missing_ok=True)


def reference_vectors(table: TokenTable, ids: RaggedIds, unpooled: int = 0) -> Floats:
    """Return the vectors of these texts as torch adds them up, in double precision, float32 [texts, dim]."""
    vectors = torch.from_numpy(table.codes).double() * torch.from_numpy(table.scales.copy()).double()[:, None]
    bags = ids.behind(unpooled)
    sums = functional.embedding_bag(
        torch.from_numpy(bags.flat.astype(np.int64)), vectors, torch.from_numpy(bags.starts[:-1].copy()), mode="sum"
    )
    return np.asarray(functional.normalize(sums, eps=1e-12).float().numpy())


@dataclass(frozen=True)
class _Encoding:
    """The table with the tokenizer of its encoder."""

    encoder: SentenceEncoder
    bag: BagRunner

    def encode(self, texts: Sequence[str], /) -> Floats:
        """Return vectors float32 [texts, dim]."""
        ids = self.encoder.tokenize(texts)
        vectors = np.empty((len(ids), self.bag.dim), dtype=np.float32)
        rows: Ints
        for rows, values in self.bag.blocks(ids, self.encoder.unpooled()):
            vectors[rows] = values
        return vectors
