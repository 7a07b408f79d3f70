"""Drop the WordPiece entries that a domain never uses: smaller embeddings, the same vectors for the domain's texts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from mirrorkit.assets.paths import GRADED
from mirrorkit.correlation import DIGITS, spearman
from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.exporter.quantize.calibration import calibration_texts, even_sample, texts_of
from mirrorkit.exporter.trim.gate import TrimLimits, TrimReport, trim_limits
from mirrorkit.exporter.trim.pieces import cut, kept_ids, reachable_in, vocabulary_of
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.text.awkward import verification_texts
from mirrorkit.text.ragged import Floats
from mirrorkit.text.readers import TextSource
from mirrorkit.text.reading import Reading
from mirrorkit.text.strings import chunks
from mirrorkit.verification.measure import largest_difference

SAMPLE = 256  # corpus texts whose vectors are compared
BLOCK = 4096  # texts tokenised at a time

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Trim:
    """What to trim a vocabulary to: the pieces that a corpus needs. For WordPiece tokenizers.

    Raises ConfigError for a value out of range.

    >>> from mirrorkit import Trim, export
    >>> result = export("model", "trimmed", precision=["fp32"], optimize=False, trim=Trim("corpus.txt"))
    >>> report = result.about.trim
    >>> report.vocabulary_after < report.vocabulary_before
    True
    """

    corpus: str | Path  # file of the domain's texts: txt, csv, tsv, jsonl, parquet, .gz
    column: str | None = None  # of the texts, where the file has several: a name or a number
    min_count: int = 1  # keep pieces that occur so often in the corpus
    limits: Mapping[str, float] = field(default_factory=dict)  # of the user's own: unchanged, cosine_mean, graded_drop

    def __post_init__(self) -> None:
        if isinstance(self.min_count, bool) or not isinstance(self.min_count, int) or self.min_count < 1:
            raise ConfigError(f"`trim.min_count` {self.min_count!r}: must be a whole number of at least 1")
        if str(self.corpus) == "-":
            raise ConfigError("`trim` reads the corpus twice, so it cannot be standard input; give a file")
        self._held_to()

    def _held_to(self) -> TrimLimits:
        """Return the limits; where nothing that occurs is dropped, every corpus text must stay as it is."""
        limits = trim_limits(self.limits)
        return limits if self.min_count > 1 or "unchanged" in limits.overridden else replace(limits, unchanged=1.0)


def trim_vocabulary(encoder: SentenceEncoder, trim: Trim) -> TrimReport:
    """Trim `encoder` in place to what the corpus needs, and measure what that did.

    Kept are special and added tokens, all single characters, and the pieces that the corpus is cut into at least
    `min_count` times: with a count of 1 its texts are cut as before and keep their vectors, and no text gets an
    unknown token that had none. Whether the report `passed` is for the caller to act on. Raises ConfigError for a
    tokenizer that is not WordPiece or a model whose embeddings cannot be cut, CorpusError for a file without text.
    """
    vocabulary = vocabulary_of(encoder)
    words, old = vocabulary.pieces, _backend(vocabulary.tokenizer)
    source, counts = _source(trim), np.zeros(vocabulary.rows, dtype=np.int64)
    sample = even_sample(_counted(texts_of(source), old, counts), SAMPLE)
    if not sample:
        raise CorpusError(f"{trim.corpus}: no text in it; trimming needs texts like those the model will encode")
    built_in, graded = verification_texts(calibration_texts(None).texts, encoder.max_length), _graded()
    before = _measure(encoder, sample, built_in, graded)
    kept = kept_ids(words, counts.tolist(), trim.min_count, vocabulary.named, reachable_in(old, words.prefix))
    new = _backend(cut(encoder, kept))
    after = _measure(encoder, sample, built_in, graded)
    cutting = _Cutting(old, new, {i: place for place, i in enumerate(kept)}, words.pieces[words.unknown])
    again = _source(trim)
    corpus, others = cutting.compare(texts_of(again)), cutting.compare(built_in)
    if again.sha256 != source.sha256:
        raise CorpusError(
            f"{trim.corpus}: changed while the vocabulary was trimmed to it; the result cannot be trusted"
        )
    same = [text_same for text_same, _ in cutting.each(sample)]
    cosines = np.einsum("nd,nd->n", before.built_in, after.built_in)
    figures = {
        "corpus_max_abs": largest_difference(before.sample[same], after.sample[same]) if any(same) else float("nan"),
        "unchanged": corpus.unchanged / max(corpus.texts, 1),
        "new_unknown": float(corpus.new_unknown + others.new_unknown),
        "cosine_mean": float(cosines.mean()),
        "graded_drop": before.graded - after.graded,
    }
    return TrimReport(
        corpus=source.name,
        sha256=source.sha256,
        texts=corpus.texts,
        min_count=trim.min_count,
        vocabulary_before=vocabulary.rows,
        vocabulary_after=len(kept),
        bytes_before=before.bytes,
        bytes_after=after.bytes,
        figures=figures,
        cosine_min=float(cosines.min()),
        built_in_texts=len(built_in),
        built_in_unchanged=others.unchanged / len(built_in),
        graded_before=before.graded,
        graded_after=after.graded,
        limits=trim._held_to(),
    )


def _source(trim: Trim) -> TextSource:
    return TextSource(str(trim.corpus), Reading((trim.column,) if trim.column else None))


@dataclass(frozen=True)
class _Measured:
    """Vectors float32 [n, dim] of the texts to compare, and what else is told of a model."""

    sample: Floats
    built_in: Floats
    graded: float  # Spearman x 100
    bytes: int  # of the weights, as fp32


def _measure(encoder: SentenceEncoder, sample: list[str], built_in: list[str], graded: _Graded) -> _Measured:
    texts = (graded.left, graded.right, sample, built_in)
    left, right, own, others = (encoder.encode(some) for some in texts)
    agreement = spearman(np.einsum("nd,nd->n", left, right).round(DIGITS), graded.scores)
    weights = sum(p.numel() for p in encoder.parameters())
    return _Measured(own, others, 100 * agreement, 4 * weights)


@dataclass(frozen=True)
class _Compared:
    texts: int
    unchanged: int  # texts that are cut into the same pieces
    new_unknown: int  # texts with more unknown tokens than before


@dataclass(frozen=True)
class _Cutting:
    """How texts are cut before and after."""

    old: Tokenizer
    new: Tokenizer
    new_ids: Mapping[int, int]  # by old id
    unknown: int  # old id

    def each(self, texts: Iterable[str]) -> Iterator[tuple[bool, bool]]:
        """Yield for each text whether its pieces are the same, and whether it has more unknown tokens."""
        unknown = self.new_ids[self.unknown]
        for block in chunks(texts, BLOCK):
            pairs = zip(self.old.encode_batch_fast(block), self.new.encode_batch_fast(block), strict=True)
            for before, after in pairs:
                same = [self.new_ids.get(i) for i in before.ids] == after.ids
                yield same, after.ids.count(unknown) > before.ids.count(self.unknown)

    def compare(self, texts: Iterable[str]) -> _Compared:
        count = unchanged = new_unknown = 0
        for same, worse in self.each(texts):
            count, unchanged, new_unknown = count + 1, unchanged + same, new_unknown + worse
        return _Compared(count, unchanged, new_unknown)


def _counted(texts: Iterable[str], backend: Tokenizer, counts: Counts) -> Iterator[str]:
    """Yield the texts, and add to `counts` how often each id occurs in them."""
    for block in chunks(texts, BLOCK):
        ids = [i for encoding in backend.encode_batch_fast(block) for i in encoding.ids]
        counts += np.bincount(ids, minlength=len(counts))
        yield from block


def _backend(value: Mapping[str, Any]) -> Tokenizer:
    """Return a tokenizer of its own, which neither cuts nor pads."""
    return Tokenizer.from_str(json.dumps(value))


@dataclass(frozen=True)
class _Graded:
    scores: list[float]
    left: list[str]
    right: list[str]


def _graded() -> _Graded:
    rows = list(TextSource(str(GRADED), Reading(("1", "2", "3"), header=False), 3).records())
    return _Graded([float(score) for score, _, _ in rows], [left for _, left, _ in rows], [row[2] for row in rows])
