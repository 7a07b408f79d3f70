"""Drop the WordPiece entries that a domain never uses: smaller embeddings, the same vectors for the domain's texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from mirrorkit.errors import ConfigError, CorpusError, ModelError
from mirrorkit.exporter.calibration import MAX_CHARACTERS, calibration_texts, even_sample
from mirrorkit.exporter.trim_gate import TrimLimits, TrimReport, trim_limits
from mirrorkit.exporter.trim_pieces import WordPieces, kept_ids
from mirrorkit.exporter.trim_rewrite import (
    cut,
    ids_of_config,
    positions_hang_on_padding,
    tokenizer_json,
    word_table,
)
from mirrorkit.model import SentenceEncoder
from mirrorkit.readers import Source
from mirrorkit.verification.measure import Floats, largest_difference, spearman
from mirrorkit.verification.texts import verification_texts

GRADED = Path(__file__).parent.parent / "assets" / "graded.tsv"
SAMPLE = 256  # corpus texts whose vectors are compared
BLOCK = 4096  # texts tokenised at a time

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Trim:
    """What to trim a vocabulary to."""

    corpus: str | Path  # file of the domain's texts: txt, csv, tsv, jsonl, parquet, .gz
    column: str | None = None  # of the texts, where the file has several: a name or a number
    min_count: int = 1  # keep pieces that occur so often in the corpus
    limits: Mapping[str, float] = field(default_factory=dict)  # in place of those of `trim_gate`, by name

    def held_to(self) -> TrimLimits:
        """Return the limits; where nothing that occurs is dropped, every corpus text must stay as it is."""
        limits = trim_limits(self.limits)
        return limits if self.min_count > 1 or "unchanged" in limits.overridden else replace(limits, unchanged=1.0)

    def check(self) -> None:
        """Raise ConfigError for values that cannot be."""
        if isinstance(self.min_count, bool) or not isinstance(self.min_count, int) or self.min_count < 1:
            raise ConfigError(f"--trim-min-count {self.min_count!r}: must be a whole number of at least 1")
        if str(self.corpus) == "-":
            raise ConfigError("--trim-vocab reads the corpus twice, so it cannot be standard input; give a file")
        self.held_to()

    def texts(self, source: Source) -> Iterator[str]:
        """Yield the rows that are not blank, as far as any model reads."""
        for (text,) in source.records():
            if stripped := text.strip():
                yield stripped[:MAX_CHARACTERS]

    def source(self) -> Source:
        return Source(str(self.corpus), [self.column] if self.column else None, 1)


def trim_vocabulary(encoder: SentenceEncoder, trim: Trim) -> TrimReport:
    """Trim `encoder` in place to what the corpus needs, and measure what that did.

    Kept are special and added tokens, all single characters, and the pieces that the corpus is cut into at least
    `min_count` times: with a count of 1 its texts are cut as before and keep their vectors, and no text gets an
    unknown token that had none. Whether the report `passed` is for the caller to act on. Raises ConfigError for a
    tokenizer that is no WordPiece or a model whose embeddings cannot be cut, CorpusError for a file without text.
    """
    trim.check()
    rows = word_table(encoder.backbone).num_embeddings
    words, old = _word_pieces(encoder, rows), _backend(encoder)
    source, counts = trim.source(), np.zeros(rows, dtype=np.int64)
    sample = even_sample(_counted(trim.texts(source), old, counts), SAMPLE)
    if not sample:
        raise CorpusError(f"{trim.corpus}: no text in it; trimming needs texts like those to come")
    built_in, graded = verification_texts(calibration_texts(None).texts, encoder.max_length), _graded()
    before = _measure(encoder, sample, built_in, graded)
    kept = kept_ids(words, counts.tolist(), trim.min_count, _needed(encoder), _reachable(old, words.prefix))
    cut(encoder, kept)
    after = _measure(encoder, sample, built_in, graded)
    cutting = _Cutting(old, _backend(encoder), {i: place for place, i in enumerate(kept)}, words.pieces[words.unknown])
    again = trim.source()
    corpus, others = cutting.compare(trim.texts(again)), cutting.compare(built_in)
    if again.sha256 != source.sha256:
        raise CorpusError(
            f"{trim.corpus}: changed while the vocabulary was trimmed to it; nothing of that can be trusted"
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
        vocabulary_before=rows,
        vocabulary_after=len(kept),
        bytes_before=before.bytes,
        bytes_after=after.bytes,
        figures=figures,
        cosine_min=float(cosines.min()),
        built_in_texts=len(built_in),
        built_in_unchanged=others.unchanged / len(built_in),
        graded_before=before.graded,
        graded_after=after.graded,
        limits=trim.held_to(),
    )


@dataclass(frozen=True)
class _Measured:
    """Vectors float32 [n, dim] of the texts to compare, and what else is told of a model."""

    sample: Floats
    built_in: Floats
    graded: float  # Spearman x 100
    bytes: int  # of the weights, as fp32


def _measure(encoder: SentenceEncoder, sample: list[str], built_in: list[str], graded: _Graded) -> _Measured:
    left, right = encoder.encode(graded.left), encoder.encode(graded.right)
    agreement = spearman(np.einsum("nd,nd->n", left, right), np.array(graded.scores))
    weights = sum(p.numel() for p in encoder.parameters())
    return _Measured(encoder.encode(sample), encoder.encode(built_in), 100 * agreement, 4 * weights)


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
        for block in _blocks(texts):
            pairs = zip(self.old.encode_batch_fast(block), self.new.encode_batch_fast(block), strict=True)
            for before, after in pairs:
                same = [self.new_ids.get(i) for i in before.ids] == after.ids
                yield same, after.ids.count(unknown) > before.ids.count(self.unknown)

    def compare(self, texts: Iterable[str]) -> _Compared:
        count = unchanged = new_unknown = 0
        for same, worse in self.each(texts):
            count, unchanged, new_unknown = count + 1, unchanged + same, new_unknown + worse
        return _Compared(count, unchanged, new_unknown)


def _word_pieces(encoder: SentenceEncoder, rows: int) -> WordPieces:
    value, kind = tokenizer_json(encoder.tokenizer), encoder.backbone.config.model_type
    model = value["model"]
    if model["type"] != "WordPiece":
        raise ConfigError(
            f"--trim-vocab: the tokenizer of this {kind} is {model['type']}; only WordPiece can be trimmed"
        )
    added = {token["content"]: token["id"] for token in value["added_tokens"]}
    if (highest := max([*model["vocab"].values(), *added.values()])) >= rows:
        raise ModelError(f"the tokenizer of this {kind} has the id {highest}, its word embeddings only {rows} rows")
    if model["unk_token"] not in model["vocab"]:
        raise ModelError(f"the vocabulary of this {kind} lacks its own unknown token, {model['unk_token']!r}")
    reserved = set(added) | set(encoder.tokenizer.all_special_tokens) | {model["unk_token"]}
    return WordPieces(model["vocab"], model["continuing_subword_prefix"], model["unk_token"], reserved)


def _needed(encoder: SentenceEncoder) -> set[int]:
    """Return the ids that must stay whatever the corpus holds: those of tokens that somebody names."""
    added = {token["id"] for token in tokenizer_json(encoder.tokenizer)["added_tokens"]}
    named = set(ids_of_config(encoder.backbone.config).values()) | set(encoder.tokenizer.all_special_ids)
    before_padding = range(encoder.tokenizer.pad_token_id) if positions_hang_on_padding(encoder.backbone) else ()
    return added | named | set(before_padding)


def _reachable(backend: Tokenizer, prefix: str) -> Callable[[str], bool]:
    """Return a function from a piece to whether any text can be cut into it."""

    def words_of(text: str) -> list[str]:
        normal = backend.normalizer.normalize_str(text) if backend.normalizer else text
        split = backend.pre_tokenizer.pre_tokenize_str(normal) if backend.pre_tokenizer else [(normal, (0, 0))]
        return [word for word, _ in split]

    def reachable(piece: str) -> bool:
        bare = piece.removeprefix(prefix)
        return any(word in words_of(word) for word in (piece, bare, f"a{bare}"))

    return reachable


def _counted(texts: Iterable[str], backend: Tokenizer, counts: Counts) -> Iterator[str]:
    """Yield the texts, and add to `counts` how often each id occurs in them."""
    for block in _blocks(texts):
        ids = [i for encoding in backend.encode_batch_fast(block) for i in encoding.ids]
        counts += np.bincount(ids, minlength=len(counts))
        yield from block


def _backend(encoder: SentenceEncoder) -> Tokenizer:
    """Return a tokenizer of its own, which neither cuts nor pads."""
    return Tokenizer.from_str(json.dumps(tokenizer_json(encoder.tokenizer)))


@dataclass(frozen=True)
class _Graded:
    scores: list[float]
    left: list[str]
    right: list[str]


def _graded() -> _Graded:
    rows = list(Source(str(GRADED), ["1", "2", "3"], 3).records())
    return _Graded([float(score) for score, _, _ in rows], [left for _, left, _ in rows], [row[2] for row in rows])


def _blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    stream = iter(texts)
    while block := list(islice(stream, BLOCK)):
        yield block
