"""The development sets: graded pairs of words by what they are to each other, and synonyms to be found among 5,000."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.word_dev.relations import WordNet
from mirrorkit.correlation import spearman
from mirrorkit.evaluation.pairs import GradedPairs, TextEncoder, pair_cosines
from mirrorkit.text.ragged import Floats

FEWEST = 5  # uses in SemCor of a word; rarer ones are not in the usual sets
EACH = 160  # pairs of a part of speech and a relation
WEIGHTS = {"noun": 666, "verb": 222, "adj": 111}  # in the mean over parts; pairs of SimLex-999
VOCABULARY = 5_000  # words that a synonym is looked for among
_PREFIX = 4  # letters in common at the start that make two words forms of one another

Pair = tuple[str, str]
_Draw = Callable[[str], Collection[str]]  # of a word, those that it has this relation to


@dataclass(frozen=True)
class Synonyms:
    """Words, and for those that ask the places of their synonyms."""

    words: list[str]
    right: dict[int, list[int]]

    def score(self, encoder: TextEncoder) -> float:
        """Return the mean reciprocal rank × 100 of the first synonym among all other words."""
        vectors = encoder.encode(self.words)
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        asked = list(self.right)
        cosines: Floats = vectors[asked] @ vectors.T
        cosines[np.arange(len(asked)), asked] = -np.inf
        ranks = []
        for row, i in zip(cosines, asked, strict=True):
            ranks.append(int((row > row[self.right[i]].max()).sum()) + 1)
        return 100 * float(np.mean(1 / np.array(ranks)))


def graded_pairs(net: WordNet, out: Collection[Pair], seed: int = 0) -> dict[str, GradedPairs]:
    """Return for each part of speech pairs of every relation with their similarity in WordNet.

    `out` are pairs that must not occur, in either order; their words may. Words that begin alike are never paired,
    so that spelling tells nothing.
    """
    rng = random.Random(seed)
    taken = {frozenset(pair) for pair in out}
    sets = {}
    for part in WEIGHTS:
        words = net.words(part, fewest=FEWEST)
        pairs = GradedPairs(f"wordnet-{part}", [], [], [])
        for draw in _relations(net, part, words, rng).values():
            found = 0
            for word in rng.sample(words, len(words)):
                others = sorted(other for other in draw(word) if other != word)
                other = rng.choice(others) if others else word
                if frozenset((word, other)) in taken or alike(word, other):
                    continue
                taken.add(frozenset((word, other)))
                pairs.append(net.similarity(part, word, other), word, other)
                found += 1
                if found == EACH:
                    break
        sets[part] = pairs
    return sets


def synonyms(net: WordNet, out: Collection[Pair]) -> Synonyms:
    """Return the most used nouns, verbs and adjectives; those ask whose most used sense has another of them."""
    uses: dict[str, int] = {}
    for part in WEIGHTS:
        for word in net.words(part, fewest=1):
            uses[word] = uses.get(word, 0) + net.uses[part, word]
    words = sorted(uses, key=lambda word: (-uses[word], word))[:VOCABULARY]
    places, barred = {word: i for i, word in enumerate(words)}, {frozenset(pair) for pair in out}
    right: dict[int, list[int]] = {}
    for word, place in places.items():
        part = max(WEIGHTS, key=lambda one: net.uses.get((one, word), -1))
        mates = net.synsets[net.senses[part, word][0]].words
        fit = [mate for mate in mates if mate in places and not alike(word, mate)]
        if fit and not any(frozenset((word, mate)) in barred for mate in fit):
            right[place] = [places[mate] for mate in fit]
    return Synonyms(words, right)


def alike(first: str, second: str) -> bool:
    """Tell whether two words may be forms of one another."""
    return first == second or first[:_PREFIX] == second[:_PREFIX]


def score_pairs(sets: dict[str, GradedPairs], encoder: TextEncoder) -> dict[str, float]:
    """Return Spearman × 100 of each part of speech, and their mean, weighted as SimLex-999 has them."""
    cosines = pair_cosines(encoder, list(sets.values()))
    found = {part: 100 * spearman(cosines[pairs.name], pairs.score) for part, pairs in sets.items()}
    mean = sum(WEIGHTS[part] * one for part, one in found.items()) / sum(WEIGHTS[part] for part in found)
    return {"pairs": mean, **found}


def _relations(net: WordNet, part: str, words: list[str], rng: random.Random) -> dict[str, _Draw]:
    """Return for each relation a function from a word to the words that have it."""
    known = set(words)
    beneath: dict[str, set[str]] = {}
    for word in words:
        for sense in net.senses[part, word]:
            beneath.setdefault(sense, set()).add(word)

    def mates(word: str) -> set[str]:
        return {other for sense in net.senses[part, word] for other in beneath[sense]}

    def parents(word: str) -> set[str]:
        ups = {up for depth in (1, 2) for up in _ups(net, part, word, depth)}
        return {other for up in ups for other in beneath.get(up, ())}

    def opposites(word: str) -> set[str]:
        return {other for sense in net.senses[part, word] for other in net.opposed(sense, word)} & known

    found: dict[str, _Draw] = {
        "synonyms": mates,
        "associated": lambda word: _associated(net, part, word) & known,
        "opposites": opposites,
        "random": lambda _: {rng.choice(words)},
    }
    if part == "adj":
        return found | {"cluster": _near(net, part, words, 1)}
    levels = {name: _near(net, part, words, depth) for name, depth in (("siblings", 1), ("cousins", 2), ("distant", 4))}
    return found | {"parents": parents, **levels}


def _associated(net: WordNet, part: str, word: str) -> set[str]:
    """Return the words of the gloss of a word's main sense, and its parts and wholes: near, and often unlike."""
    main = net.synsets[net.senses[part, word][0]]
    wholes = {other for one in main.wholes for other in net.synsets[one].words}
    return wholes | set(re.findall(r"[a-z]+", main.gloss.partition('; "')[0]))


def _near(net: WordNet, part: str, words: list[str], depth: int) -> _Draw:
    """Return a function from a word to those that have an ancestor so many steps up in common with it."""
    level: dict[str, set[str]] = {}
    for word in words:
        for up in _ups(net, part, word, depth):
            level.setdefault(up, set()).add(word)
    return lambda word: {other for up in _ups(net, part, word, depth) for other in level[up]}


def _ups(net: WordNet, part: str, word: str, depth: int) -> Iterator[str]:
    """Yield what is so many steps above a word's senses; of an adjective the heads of its clusters."""
    for sense in net.senses[part, word]:
        level = {sense}
        for _ in range(depth):
            level = {up for one in level for up in (net.synsets[one].similar if part == "adj" else net.synsets[one].up)}
        yield from sorted(level)
