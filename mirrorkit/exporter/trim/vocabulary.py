"""Drop the entries of a vocabulary that a domain never uses: smaller embeddings, the same vectors for its texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from mirrorkit.assets.paths import GRADED
from mirrorkit.correlation import DIGITS, spearman
from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.exporter.quantize.calibration import calibration_texts, even_sample, texts_of
from mirrorkit.exporter.trim.gate import TrimLimits, TrimReport, trim_limits
from mirrorkit.exporter.trim.plan import kept_ids, tokenizer_of
from mirrorkit.exporter.trim.rows import cut, vocabulary_of
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.text.awkward import verification_texts
from mirrorkit.text.files import Files, Source, source_of
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
    """What to trim a vocabulary to: the pieces that a corpus needs. For WordPiece, Unigram and BPE tokenizers.

    Raises ConfigError for a value out of range.

    >>> from mirrorkit import Trim, export
    >>> result = export("model", "trimmed", precision=["fp32"], optimize=False, trim=Trim("corpus.txt"))
    >>> report = result.about.trim
    >>> report.vocabulary_after < report.vocabulary_before
    True
    """

    # File of the domain's texts (txt, csv, tsv, jsonl, parquet, .gz), folder or pattern, or several: one a language.
    corpus: str | Path | Sequence[str | Path]
    column: str | None = None  # of the texts, where the file has several: a name or a number
    min_count: int = 1  # keep pieces that occur so often in the corpus
    limits: Mapping[str, float] = field(default_factory=dict)  # of the user's own: unchanged, cosine_mean, graded_drop

    def __post_init__(self) -> None:
        if isinstance(self.min_count, bool) or not isinstance(self.min_count, int) or self.min_count < 1:
            raise ConfigError(f"`trim.min_count` {self.min_count!r}: must be a whole number of at least 1")
        if not self.corpora or "" in self.corpora:
            raise ConfigError("`trim`: names no corpus; give a file of texts like those the model will encode")
        if "-" in map(str, self.corpora):
            raise ConfigError("`trim` reads the corpus twice, so it cannot be standard input; give a file")
        self._held_to()

    @property
    def corpora(self) -> tuple[str | Path, ...]:
        """The corpus as a list of what was named."""
        return (self.corpus,) if isinstance(self.corpus, (str, Path)) else tuple(self.corpus)

    def _held_to(self) -> TrimLimits:
        """Return the limits; where nothing that occurs is dropped, every corpus text must stay as it is."""
        limits = trim_limits(self.limits)
        return limits if self.min_count > 1 or "unchanged" in limits.overridden else replace(limits, unchanged=1.0)


def trim_vocabulary(encoder: SentenceEncoder, trim: Trim) -> TrimReport:
    """Trim `encoder` in place to what the corpus needs, and measure what that did.

    Kept are special and added tokens, all single characters and bytes, the pieces that the corpus is cut into at least
    `min_count` times, and those on the way to them: with a count of 1 its texts are cut as before and keep their
    vectors, and no text gets an unknown token that had none. Whether the report `passed` is for the caller to act on.
    Raises ConfigError for a tokenizer of another kind or a model whose embeddings cannot be cut, CorpusError for a
    file without text.
    """
    vocabulary = vocabulary_of(encoder)
    pieces, old = vocabulary.pieces, tokenizer_of(vocabulary.tokenizer)
    source, counts = _source(trim), np.zeros(vocabulary.rows, dtype=np.int64)
    sample = even_sample(_counted(_texts(source), old, counts), SAMPLE)
    built_in, graded = verification_texts(calibration_texts(None).texts, encoder.max_length), _graded()
    kept = kept_ids(pieces, counts.tolist(), trim.min_count, vocabulary.named)
    anyway = pieces.needed(()) | vocabulary.named
    before = _measure(encoder, sample, built_in, graded)
    new = tokenizer_of(cut(encoder, vocabulary, kept))
    after = _measure(encoder, sample, built_in, graded)
    cutting = _Cutting(old, new, {i: place for place, i in enumerate(kept)}, pieces.unknown)
    again, seen = _source(trim), _Seen(counts.tolist(), trim.min_count, anyway)
    corpus, others = cutting.compare(_texts(again), seen), cutting.compare(built_in)
    if again.sha256 != source.sha256:
        raise CorpusError(f"{again.name}: changed while the vocabulary was trimmed to it; the result cannot be trusted")
    same = [text_same for text_same, _, _ in cutting.each(sample)]
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
        unseen_unchanged=corpus.unseen_unchanged / max(corpus.texts, 1),
        cosine_min=float(cosines.min()),
        built_in_texts=len(built_in),
        built_in_unchanged=others.unchanged / len(built_in),
        graded_before=before.graded,
        graded_after=after.graded,
        limits=trim._held_to(),
    )


def _source(trim: Trim) -> Source:
    reading = Reading((trim.column,) if trim.column else None)
    return source_of(trim.corpora, reading=reading, width=1, unit=None)[0]


def _texts(source: Source) -> Iterator[str]:
    """Yield the texts of all corpora; raises CorpusError for one without text."""
    for part in source.parts if isinstance(source, Files) else [source]:
        empty = True
        for text in texts_of(part):
            empty = False
            yield text
        if empty:
            raise CorpusError(f"{part.name}: no text in it; trimming needs texts like those the model will encode")


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
    unseen_unchanged: int  # texts that would be cut into the same pieces were they not of the corpus


@dataclass(frozen=True)
class _Seen:
    """How often the corpus has each piece, which tells what would be kept without one of its texts."""

    counts: list[int]  # by old id
    min_count: int
    anyway: Collection[int]  # kept whatever the corpus is

    def without(self, text: list[int]) -> bool:
        """Return whether all pieces of a text occur often enough in the others."""
        return all(i in self.anyway or self.counts[i] - own >= self.min_count for i, own in Counter(text).items())


@dataclass(frozen=True)
class _Cutting:
    """How texts are cut before and after."""

    old: Tokenizer
    new: Tokenizer
    new_ids: Mapping[int, int]  # by old id
    unknown: int | None  # old id

    def each(self, texts: Iterable[str]) -> Iterator[tuple[bool, bool, list[int]]]:
        """Yield for each text whether its pieces are the same, whether it has more unknown tokens, and its old ids."""
        unknown = -1 if self.unknown is None else self.unknown  # an id that no text has
        new_unknown = self.new_ids.get(unknown, -1)
        for block in chunks(texts, BLOCK):
            pairs = zip(self.old.encode_batch_fast(block), self.new.encode_batch_fast(block), strict=True)
            for before, after in pairs:
                same = [self.new_ids.get(i) for i in before.ids] == after.ids
                yield same, after.ids.count(new_unknown) > before.ids.count(unknown), before.ids

    def compare(self, texts: Iterable[str], seen: _Seen | None = None) -> _Compared:
        count = unchanged = new_unknown = unseen = 0
        for same, worse, ids in self.each(texts):
            count, unchanged, new_unknown = count + 1, unchanged + same, new_unknown + worse
            unseen += seen is not None and seen.without(ids)
        return _Compared(count, unchanged, new_unknown, unseen)


def _counted(texts: Iterable[str], backend: Tokenizer, counts: Counts) -> Iterator[str]:
    """Yield the texts, and add to `counts` how often each id occurs in them."""
    for block in chunks(texts, BLOCK):
        ids = [i for encoding in backend.encode_batch_fast(block) for i in encoding.ids]
        counts += np.bincount(ids, minlength=len(counts))
        yield from block


@dataclass(frozen=True)
class _Graded:
    scores: list[float]
    left: list[str]
    right: list[str]


def _graded() -> _Graded:
    rows = list(TextSource(str(GRADED), Reading(("1", "2", "3"), header=False), 3).records())
    return _Graded([float(score) for score, _, _ in rows], [left for _, left, _ in rows], [row[2] for row in rows])
