"""Strings held out of the training to tell whether it helped: does a half of one find its other half among all?

No labels are asked for. What stands for the half depends on the text: of a document another piece that does not
overlap, of a sentence its end, of a word or a short name a copy with a slip in it, of a known pair its partner.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mirrorkit.text.ragged import Ints
from mirrorkit.text.scripts import is_unspaced, words_in
from mirrorkit.training.corpus import Corpus
from mirrorkit.training.duplicates import equal_documents, equal_to_any, same_documents
from mirrorkit.training.large import LARGE
from mirrorkit.training.pieces import has_two_crops, two_crops
from mirrorkit.training.view_choice import Views

FEWEST, MOST = 100, 2_000  # strings held out
PART = 0.05  # of the corpus
SMALLEST = 10 * FEWEST  # strings of a corpus of which any are held out: a tenth is the most that it may lose
ASKED = 400  # halves that look for the other one; what more would tell costs more than it is worth
OTHERS = 1_000  # that each stands among
LONGEST = 120  # characters of a half that are read
_SHORTEST = 100  # of a piece, where there is room: shorter ones say too little to be found by, whatever is trained on
_WORDS = 6  # of a string that has two halves which say something
_FAMILY = 0.01  # share of the corpus above which near-duplicates of one another are all trained on
_LETTERS = "etaoinshrdlu"
_ROOM = 20  # characters between the shortest and the longest crop, so that a word can end in between


@dataclass(frozen=True)
class Probe:
    """What asks and what answers; `answers[i]` is right for `questions[i]`, and all others are wrong."""

    questions: list[str]
    answers: list[str]  # those of the questions, then the others
    task: str  # what question and answer are to each other, for people
    held_out: int  # strings that are not trained on

    @property
    def among(self) -> int:
        """How many others each answer stands among."""
        return len(self.answers) - 1


def hold_out_probe(corpus: Corpus, views: Views, crop: tuple[int, int], seed: int) -> tuple[Probe | str, Corpus]:
    """Return the probe, or why there is none, and the corpus without the probe's strings and their near-duplicates.

    5 % of the strings are held out, 100 at least and 2,000 at the most; up to 400 of them ask. Where they are fewer
    than 1,000, the answers of strings that are trained on stand among theirs, so that a search is as hard in a small
    corpus as in a large one. Of `adjacent` views the last strings are taken, so that neighbours stay neighbours.
    """
    if len(corpus) < SMALLEST:
        return f"{len(corpus):,} strings are too few to hold {FEWEST} out; {SMALLEST:,} are needed", corpus
    rng = np.random.default_rng([seed, 2])  # not the numbers of the training, nor those of the blend
    sample, groups = _looked_at(corpus, views, rng)
    kinds = np.array(_kinds(sample, crop))
    task, fit = max(
        ((str(task), np.flatnonzero(kinds == task)) for task in np.unique(kinds)), key=lambda each: len(each[1])
    )
    if task in (_HALVES, _CROPS):  # a sentence and a document can be asked for together
        fit = np.flatnonzero((kinds == _HALVES) | (kinds == _CROPS))
    wanted = int(np.clip(PART * len(corpus), FEWEST, MOST))
    if task == _NONE or len(fit) < SMALLEST:
        return f"only {len(fit) if task != _NONE else 0:,} of {len(sample):,} strings have two halves", corpus
    sizes = np.bincount(groups, minlength=len(groups))
    firsts = fit[np.unique(groups[fit], return_index=True)[1]]  # one of each family of near-duplicates
    firsts = firsts[sizes[groups[firsts]] <= max(1, _FAMILY * len(sample))]
    order = np.sort(firsts)[::-1] if views is Views.ADJACENT else rng.permutation(firsts)
    held, rest = order[:wanted], order[wanted:]
    if len(held) < FEWEST:
        return f"{len(firsts):,} different strings are too few to hold {FEWEST} out", corpus
    asked = held[:ASKED]
    others = np.concatenate([held[ASKED:], rest])[: max(0, OTHERS + 1 - len(asked))]
    made = [_halves(sample, int(i), crop, rng) for i in np.concatenate([asked, others])]
    if sample is corpus:
        out = np.isin(groups, groups[held])
    else:
        out = equal_to_any(corpus.texts, (sample.texts[i] for i in held.tolist()))
    kept = np.flatnonzero(~out)
    return Probe(
        questions=[one[0] for one in made[: len(asked)]],
        answers=[one[1] for one in made],
        task=_told(kinds[asked]),
        held_out=len(corpus) - len(kept),
    ), corpus.take(kept)


def _looked_at(corpus: Corpus, views: Views, rng: np.random.Generator) -> tuple[Corpus, Ints]:
    """Return the strings among which some are held out, all of them unless they are many, and their families."""
    if len(corpus) <= LARGE:
        return corpus, same_documents(corpus.texts)
    rows = np.arange(len(corpus))[-LARGE:]
    if views is not Views.ADJACENT:
        rows = np.sort(rng.choice(len(corpus), LARGE, replace=False))
    sample = corpus.take(rows).in_memory()
    return sample, equal_documents(sample.texts)


_PAIRS, _CROPS, _HALVES, _SLIPS, _NONE = "known pairs", "two pieces", "two halves", "copies with a slip", ""


def _kinds(corpus: Corpus, crop: tuple[int, int]) -> list[str]:
    if corpus.partners is not None:
        return [_NONE if text == own else _PAIRS for text, own in zip(corpus.texts, corpus.partners, strict=True)]
    return [_kind(text, crop) for text in corpus.texts]


def _kind(text: str, crop: tuple[int, int]) -> str:
    if has_two_crops(text, *crop):
        return _CROPS
    if words_in(text) >= _WORDS:
        return _HALVES
    return _SLIPS if sum(map(str.isalnum, text)) > 3 else _NONE


def _told(kinds: Sequence[str] | np.ndarray[tuple[int], np.dtype[np.str_]]) -> str:
    """Return what the questions are, most frequent first."""
    names, counts = np.unique(np.array(kinds), return_counts=True)
    return " and ".join(str(names[i]) for i in np.argsort(-counts))


def _halves(corpus: Corpus, i: int, crop: tuple[int, int], rng: np.random.Generator) -> tuple[str, str]:
    """Return what asks and what answers, of the string at `i`."""
    text = corpus.texts[i]
    if corpus.partners is not None:
        return text, corpus.partners[i]
    kind = _kind(text, crop)
    if kind == _CROPS:
        shortest = min(max(crop[0], _SHORTEST), LONGEST - _ROOM)
        found = two_crops(text, shortest, shortest + _ROOM, rng.random(5).tolist())
        if found:
            return found
    if kind == _SLIPS:
        return _with_slips(text, rng), text
    return _cut(text)


def _cut(text: str) -> tuple[str, str]:
    """Return the two halves, parted between words or, in a script without blanks, between characters."""
    middle = len(text) // 2
    if is_unspaced(text) or " " not in text:
        while middle < len(text) - 1 and unicodedata.category(text[middle])[0] == "M":
            middle += 1
    else:
        places = [place for place, one in enumerate(text) if one == " "]
        middle = min(places, key=lambda place: abs(place - middle))
    first, second = text[:middle].strip(), text[middle:].strip()
    return first[-LONGEST:], second[:LONGEST]


def _with_slips(text: str, rng: np.random.Generator) -> str:
    """Return the text with a letter dropped, doubled, exchanged or swapped: one, or of a long text one in eight.

    A sub-word tokenizer sees other pieces there; the first letter stays.
    """
    letters = list(text)
    for _ in range(max(1, len(text) // 8)):
        places: Ints = np.array([i for i in range(1, len(letters)) if letters[i].isalnum()])
        if not len(places):
            break
        at = int(rng.choice(places))
        way = int(rng.integers(4))
        if way == 0:
            del letters[at]
        elif way == 1:
            letters.insert(at, letters[at])
        elif way == 2:
            letters[at] = _LETTERS[int(rng.integers(len(_LETTERS)))]
        else:
            letters[at - 1], letters[at] = letters[at], letters[at - 1]
    return "".join(letters)
