"""Distil an encoder into a vector for each token, whose sum points where the encoder's sentence vector does.

The beginning is model2vec's: what the encoder makes of each token alone, fewer dimensions by PCA, and weights that let
frequent tokens count for less (SIF, Arora et al. 2017). Two things differ: a token's frequency is counted in texts and
only backed by Zipf's law over the vocabulary, and the vectors are then fitted to the encoder's own sentence vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mirrorkit.errors import ConfigError
from mirrorkit.exporter.quantize.calibration import ordinary_tokens
from mirrorkit.exporter.static.corpus import StaticCorpus
from mirrorkit.extras import require
from mirrorkit.formats.table_file import TokenTable, rounded
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.progress import Progress
from mirrorkit.text.ragged import Floats, Ints, RaggedIds, pad_batch, token_budget_batches

require("torch", extra="train")
import torch
from torch import Tensor
from torch.nn import functional

DIM = 256
_SIF = 3e-4  # a token of this frequency counts half as much as one that is never seen
_ZIPF_TOKENS = 300_000  # as much text as Zipf's law over the order of the vocabulary counts for
_EPOCHS, _BATCH, _RATE = 5, 256, 3e-3  # of the fit; the table's vectors have a mean length of 1
_BATCH_TOKENS = 4096


@dataclass(frozen=True)
class Distilled:
    """The table, and what it was learnt from."""

    table: TokenTable
    tokens: int  # in the texts, special ones left out
    seed: int


def check_dim(dim: int, width: int) -> None:
    """Raise ConfigError for a number of dimensions that the encoder's vectors cannot be brought down to."""
    if not 2 <= dim <= width:
        raise ConfigError(f"static_dim {dim}: must be from 2 to the {width} dimensions of the model")


def distil(encoder: SentenceEncoder, corpus: StaticCorpus, dim: int, progress: Progress, seed: int = 0) -> Distilled:
    """Return a table of `dim` dimensions; special tokens have a row of zeros, and so count for nothing.

    The same `seed`, which orders the texts of the fit, gives the same table on one machine.
    """
    ordinary = np.array(ordinary_tokens(encoder.tokenizer), dtype=np.int64)
    ids = encoder.tokenize(corpus.texts)
    progress.phase("encoding the texts that the static table is fitted to")
    targets = _sentences(encoder, corpus.texts, progress)
    progress.phase("encoding every token of the vocabulary")
    alone = _tokens_alone(encoder, ordinary, progress)
    rows = max(encoder.backbone.config.vocab_size, int(ordinary.max()) + 1)
    counts = np.bincount(ids.flat, minlength=rows)[ordinary].astype(np.float64)

    middle = targets.mean(axis=0)
    basis = _principal(targets - middle, dim)
    start = (alone - alone.mean(axis=0)) @ basis * frequency_weights(counts)[:, None]
    lengths = np.linalg.norm(start, axis=1)
    vectors = np.zeros((rows, dim), dtype=np.float32)
    vectors[ordinary] = start / (lengths[counts > 0] if counts.any() else lengths).mean()
    progress.phase("fitting the static table")
    fitted = _fit(vectors, ids, (targets - middle) @ basis, ordinary, seed)
    return Distilled(rounded(fitted), int(counts.sum()), seed)


def frequency_weights(
    counts: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return SIF weights [tokens] from how often each token occurs, in the order of the vocabulary.

    Vocabularies are ordered by frequency, more or less: what few texts leave open Zipf's law tells.
    """
    zipf = 1 / np.arange(2, len(counts) + 2)
    share = (counts + _ZIPF_TOKENS * zipf / zipf.sum()) / (counts.sum() + _ZIPF_TOKENS)
    weights: np.ndarray[tuple[int], np.dtype[np.float64]] = _SIF / (_SIF + share)
    return weights


def _sentences(encoder: SentenceEncoder, texts: list[str], progress: Progress) -> Floats:
    done = 0

    def count(texts_done: int) -> None:
        nonlocal done
        done += texts_done
        progress.advance(done, len(texts))

    return _unit(encoder.encode(texts, on_progress=count))


def _tokens_alone(encoder: SentenceEncoder, ordinary: Ints, progress: Progress) -> Floats:
    """Return what the encoder makes of each token between the special ones, unit vectors [tokens, dim].

    Of an encoder that takes the mean of its tokens it is that token's own vector, of any other the sentence vector.
    """
    before, after = _around(encoder)
    rows = RaggedIds.from_blocks([[[*before, int(token), *after] for token in ordinary]])
    own = encoder.pooling.startswith("mean")
    vectors = np.empty((len(ordinary), encoder.dim), dtype=np.float32)
    done = 0
    with torch.inference_mode():
        for batch in token_budget_batches(rows.lengths, _BATCH_TOKENS):
            given = [torch.from_numpy(a).to(encoder.device) for a in pad_batch(rows, batch, 0)]
            hidden, sentences = encoder(*given)
            if own:
                place = len(before)
                sentences = encoder.chain(hidden[:, place : place + 1], torch.ones_like(given[1][:, :1]))
            vectors[batch] = sentences.cpu().numpy()
            done += len(batch)
            progress.advance(done, len(ordinary))
    return _unit(vectors)


def _around(encoder: SentenceEncoder) -> tuple[list[int], list[int]]:
    """Return the special tokens that the tokenizer puts before and behind a text."""
    whole = [int(i) for i in encoder.tokenize(["a"], prompt="")[0]]
    special = set(encoder.tokenizer.all_special_ids)
    inner = [place for place, token in enumerate(whole) if token not in special]
    return (whole[: inner[0]], whole[inner[-1] + 1 :]) if inner else ([], [])


def _principal(centred: Floats, dim: int) -> Floats:
    """Return the axes [width, dim] along which the rows differ most."""
    wide = centred.astype(np.float64)
    _, axes = np.linalg.eigh(wide.T @ wide)
    return np.asarray(axes[:, ::-1][:, :dim], dtype=np.float32)


def _fit(start: Floats, ids: RaggedIds, targets: Floats, ordinary: Ints, seed: int) -> Floats:
    """Turn the token vectors until the sums over texts point where `targets` [texts, dim] do."""
    counted = np.zeros(len(start), dtype=np.bool_)
    counted[ordinary] = True
    places = np.flatnonzero(ids.lengths > 0)
    table = torch.nn.EmbeddingBag.from_pretrained(torch.from_numpy(start), mode="sum", freeze=False, sparse=True)
    optimizer = torch.optim.SparseAdam(table.parameters(), lr=_RATE)
    order = np.random.default_rng(seed)
    wanted = torch.from_numpy(np.asarray(targets, dtype=np.float32))
    steps, step = _EPOCHS * -(-len(places) // _BATCH), 0
    for _ in range(_EPOCHS):
        shuffled = order.permutation(places)
        for first in range(0, len(shuffled), _BATCH):
            rows = shuffled[first : first + _BATCH]
            optimizer.param_groups[0]["lr"] = _RATE * (1 - step / steps)
            flat, offsets = _bags(ids, rows, counted)
            cosines = functional.cosine_similarity(table(flat, offsets), wanted[torch.from_numpy(rows)])
            optimizer.zero_grad()
            (1 - cosines.mean()).backward()  # type: ignore[no-untyped-call]
            optimizer.step()  # type: ignore[no-untyped-call]
            step += 1
    return np.asarray(table.weight.detach().numpy(), dtype=np.float32)


def _bags(ids: RaggedIds, rows: Ints, counted: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[Tensor, Tensor]:
    """Return the ordinary tokens of these texts, and where each text begins."""
    bags = [ids[int(row)][counted[ids[int(row)]]] for row in rows]
    offsets = np.concatenate([[0], np.cumsum([len(bag) for bag in bags])])[:-1]
    return torch.from_numpy(np.concatenate(bags).astype(np.int64)), torch.from_numpy(offsets)


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), dtype=np.float32)
