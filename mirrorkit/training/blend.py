"""Pull trained weights back towards where they started: what a strong base knew is kept, what was learned stays.

The share of the start is chosen by documents that were held out of the training: of two crops of each, does one find
the other among all? No labels, and no document of the training or near-duplicate of one is among them. What was trained
for gets better nearly always, also where a search by a few words gets worse: so no share is kept with which phrases of
four words find the documents that they were taken from less well than with the start.

Source: weights averaged between two models of one ancestry, Wortsman et al. 2022 (WiSE-FT, arXiv:2109.01903).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mirrorkit.extras import require
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.text.ragged import Floats, Ints
from mirrorkit.training.corpus import Corpus
from mirrorkit.training.duplicates import equal_to_any, same_documents
from mirrorkit.training.large import LARGE
from mirrorkit.training.pieces import beginning, has_two_crops, phrase, two_crops

require("torch", extra="train")
import torch
from torch import Tensor

log = logging.getLogger(__name__)

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the start's weights, that are tried
PLAIN = 0.5  # share where nothing can be held out
MOST = 200  # documents held out
FEWEST = 32  # fewer tell nothing
_PART = 0.1  # of the documents, at the most
_READ = 500  # characters of a document that a phrase is to find
_TOKENS = 128  # of those, at the most
_ASKED = 3  # shares that phrases are asked of besides the start, the best ones: that takes longest
_PHRASES = 4  # of each document: several lower the noise, and cost little


@dataclass(frozen=True)
class BlendReport:
    """Which share of the start's weights was kept, and how each did on the documents held out.

    `scores` and `phrases` are share -> mean reciprocal rank x 100; empty where nothing was held out. Phrases are asked
    only of the start and of the three shares whose crops are found best, up to the first that loses nothing.
    """

    share: float
    scores: dict[float, float]  # of crops
    documents: int  # held out
    phrases: dict[float, float] = field(default_factory=dict)  # also empty where crops chose the start itself

    @property
    def why(self) -> str:
        """Say it in a sentence for people."""
        if not self.scores:
            return f"{self.share:g} of the start's weights"
        told = f"crops found, MRR of {self.documents} held-out documents; {_listed(self.scores)}"
        if self.phrases:
            told += f"; found by four of their words; {_listed(self.phrases)}"
        return f"{self._kept} (share of the start: {told})"

    @property
    def _kept(self) -> str:
        if self.share < 1:
            lost = any(self.phrases[share] < self.phrases[1] for share in self.phrases)
            return "the best is kept with which four words find no less than before" if lost else "the best is kept"
        if self.phrases:
            return "after training four words of a text find it less well, so the base's own weights are kept"
        return "training did not help, so the base's own weights are kept"


def _listed(scores: dict[float, float]) -> str:
    return ", ".join(f"{share:g}: {score:.1f}" for share, score in sorted(scores.items()))


@dataclass(frozen=True)
class HeldOut:
    """Of each document that is kept out of the training: two crops, what it begins with, and phrases of that."""

    first: list[str]
    second: list[str]
    texts: list[str]
    phrases: list[list[str]]  # _PHRASES lists with one of each document


def hold_out(corpus: Corpus, crop: tuple[int, int], seed: int) -> tuple[HeldOut | None, Corpus]:
    """Return crops and phrases of each of up to 200 documents, and the corpus without these and their near-duplicates.

    None, and the whole corpus, where there are too few documents to tell anything. Of a large corpus, 200,000 strings
    are looked at, and its near-duplicates are those equal but for case and digits.
    """
    if corpus.partners is not None:
        return None, corpus
    rng = np.random.default_rng([seed, 1])  # not the numbers that the training draws
    sample = corpus
    if len(corpus) > LARGE:
        sample = corpus.take(np.sort(rng.choice(len(corpus), LARGE, replace=False))).in_memory()
    long = np.array([has_two_crops(text, *crop) for text in sample.texts])
    wanted = min(MOST, int(long.sum() * _PART))
    if wanted < FEWEST:
        return None, corpus
    groups = same_documents(sample.texts)
    own = np.flatnonzero(long & (np.bincount(groups, minlength=len(groups))[groups] == 1))
    drawn = np.sort(rng.choice(own, min(wanted, len(own)), replace=False))
    found = [two_crops(sample.texts[i], *crop, rng.random(5).tolist()) for i in drawn.tolist()]
    pairs = [pair for pair in found if pair]
    if len(pairs) < FEWEST:
        return None, corpus
    texts = [beginning(sample.texts[i], _READ) for i, pair in zip(drawn.tolist(), found, strict=True) if pair]
    phrases = [
        [phrase(text, draw) for text, draw in zip(texts, rng.random(len(texts)), strict=True)] for _ in range(_PHRASES)
    ]
    rest = np.setdiff1d(np.arange(len(corpus)), drawn)
    if sample is not corpus:
        rest = np.flatnonzero(~equal_to_any(corpus.texts, (sample.texts[i] for i in drawn.tolist())))
    return HeldOut([pair[0] for pair in pairs], [pair[1] for pair in pairs], texts, phrases), corpus.take(rest)


def weights_of(encoder: SentenceEncoder) -> dict[str, Tensor]:
    """Return a copy of the weights, on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in encoder.state_dict().items()}


def blend(
    encoder: SentenceEncoder, start: dict[str, Tensor], share: float | None, held: HeldOut | None, max_length: int
) -> BlendReport:
    """Give `encoder` a mean of the weights it has and those of `start`, of which it takes `share`.

    None chooses the share that finds the held-out crops best among those with which phrases find their documents no
    less well than with the start; the larger one where two do as well. Where nothing else is as good, that is the start
    itself. Without documents held out it is the plain mean.
    """
    end = weights_of(encoder)
    if share is None and held is None:
        log.warning("too few documents to hold some out for choosing `blend`; the mean of start and end is kept")
    if share is not None or held is None:
        share = PLAIN if share is None else share
        _set(encoder, start, end, share)
        return BlendReport(share, {}, 0)
    scores: dict[float, float] = {}
    for each in SHARES:
        _set(encoder, start, end, each)
        scores[each] = _crops_found(encoder, held, max_length)
    best, phrases = _choose(encoder, start, end, scores, held)
    _set(encoder, start, end, best)
    return BlendReport(best, scores, len(held.first), phrases)


def _choose(
    encoder: SentenceEncoder, start: dict[str, Tensor], end: dict[str, Tensor], crops: dict[float, float], held: HeldOut
) -> tuple[float, dict[float, float]]:
    """Return the share to keep, by how well crops are found with each, and how well phrases are with those asked."""
    ranked = sorted(SHARES, key=lambda each: (crops[each], each), reverse=True)
    better = ranked[: ranked.index(1)]  # what is left finds crops less well than the start
    if not better:
        return 1.0, {}
    _set(encoder, start, end, 1)
    phrases = {1.0: _documents_found(encoder, held)}
    for each in better[:_ASKED]:
        _set(encoder, start, end, each)
        phrases[each] = _documents_found(encoder, held)
        if phrases[each] >= phrases[1.0]:
            return each, phrases
    return 1.0, phrases


def _set(encoder: SentenceEncoder, start: dict[str, Tensor], end: dict[str, Tensor], share: float) -> None:
    encoder.load_state_dict(
        {
            name: torch.lerp(end[name], start[name], share) if end[name].is_floating_point() else end[name]
            for name in end
        }
    )


def _crops_found(encoder: SentenceEncoder, held: HeldOut, max_length: int) -> float:
    """Return the mean reciprocal rank x 100 with which crops find their other halves, in both directions."""
    first, second = (_encode(encoder, crops, max_length) for crops in (held.first, held.second))
    cosines = first @ second.T
    return 50 * (_reciprocal_rank(cosines) + _reciprocal_rank(cosines.T))


def _documents_found(encoder: SentenceEncoder, held: HeldOut) -> float:
    """Return the mean reciprocal rank x 100 with which phrases find the documents that they are of."""
    length = min(_TOKENS, encoder.max_length)
    texts = _encode(encoder, held.texts, length)
    ranks = [_reciprocal_rank(_encode(encoder, asked, length) @ texts.T) for asked in held.phrases]
    return 100 * sum(ranks) / len(ranks)


def _encode(encoder: SentenceEncoder, crops: Sequence[str], max_length: int) -> Floats:
    whole, encoder.max_length = encoder.max_length, max_length
    try:
        return encoder.encode(crops)
    finally:
        encoder.max_length = whole


def _reciprocal_rank(cosines: npt.NDArray[np.float32]) -> float:
    ranks: Ints = (cosines >= np.diag(cosines)[:, None]).sum(axis=1)  # its own is among them
    return float((1 / ranks).mean())
