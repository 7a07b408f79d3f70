"""WordNet as relations between words: senses that are in use, hypernyms, and how much two senses share."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.domains.packages import unpacked
from benchmarks.domains.wordnet import HOME, PARTS
from mirrorkit.errors import ConfigError

SENSES, SHARE = 2, 0.25  # senses of a word that count: so many at most, each with such a share of its uses
SIMILAR, SAME_CLUSTER = 0.8, 0.6  # of adjectives, which have no hypernyms: head and satellite, two satellites
OPPOSITE = 0.1  # as in SimLex-999 and SimVerb-3500, whose instructions call antonyms unlike
_WORD = re.compile(r"[a-z]{3,}")
_PART = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
_KINDS = {"1": "noun", "2": "verb", "3": "adj", "4": "adv", "5": "adj"}  # of a sense key, senseidx(5WN)
_WHOLES = ("#m", "#s", "#p", "%m", "%s", "%p")


@dataclass
class Synset:
    part: str
    words: list[str]
    gloss: str
    up: list[str] = field(default_factory=list)  # hypernyms
    similar: list[str] = field(default_factory=list)  # of an adjective
    wholes: list[str] = field(default_factory=list)  # parts and wholes, members and groups
    opposites: set[tuple[str, str]] = field(default_factory=set)  # word here, word there
    uses: float = 0.0  # in SemCor, its own and those beneath it


class WordNet:
    """Synsets by part and offset, and of each word the senses that are in use, most frequent first.

    Uses are SemCor's, as `cntlist.rev` has them. Words are of three plain letters or more.
    """

    def __init__(self, home: Path | None = None) -> None:
        home = home or (HOME if HOME.is_dir() else unpacked("wordnet-base") / "usr/share/wordnet")
        if not (home / "cntlist.rev").is_file():
            raise ConfigError(f"{home}: no cntlist.rev in it; this is not WordNet's folder")
        self.synsets: dict[str, Synset] = {}
        self.senses: dict[tuple[str, str], list[str]] = {}  # (part, word)
        self.uses: dict[tuple[str, str], int] = {}
        for part in PARTS[:3]:
            self._read_data(home / f"data.{part}", part)
        counts = _counts(home / "cntlist.rev")
        for part in PARTS[:3]:
            self._read_index(home / f"index.{part}", part, counts)
        self._above: dict[str, frozenset[str]] = {}
        self._total: dict[str, float] = {}
        self._spread()

    def words(self, part: str, *, fewest: int) -> list[str]:
        """Return the words with so many uses or more, most used first."""
        found = [(-uses, word) for (own, word), uses in self.uses.items() if own == part and uses >= fewest]
        return [word for _, word in sorted(found)]

    def similarity(self, part: str, first: str, second: str) -> float:
        """Return 0 to 1: the most that a sense of each has in common; antonyms are unlike.

        Of nouns and verbs: Lin 1998, "An Information-Theoretic Definition of Similarity", with a root above all.
        """
        senses, others = self.senses[part, first], self.senses[part, second]
        if any((second in self.opposed(one, first)) for one in senses):
            return OPPOSITE
        measure = self._cluster if part == "adj" else self._lin
        return max(measure(one, other) for one in senses for other in others)

    def opposed(self, sense: str, word: str) -> set[str]:
        """Return the antonyms of a word in this sense."""
        return {there for here, there in self.synsets[sense].opposites if here == word}

    def above(self, sense: str) -> frozenset[str]:
        """Return the sense and all its hypernyms."""
        if sense not in self._above:
            self._above[sense] = frozenset()  # against circles
            self._above[sense] = frozenset({sense}).union(*(self.above(up) for up in self.synsets[sense].up))
        return self._above[sense]

    def _lin(self, first: str, second: str) -> float:
        if first == second:
            return 1.0
        shared = self.above(first) & self.above(second)
        if not shared:
            return 0.0
        both = self._information(first) + self._information(second)
        return 2 * max(map(self._information, shared)) / both if both else 0.0

    def _information(self, sense: str) -> float:
        synset = self.synsets[sense]
        return -math.log(synset.uses / self._total[synset.part])

    def _cluster(self, first: str, second: str) -> float:
        if first == second:
            return 1.0
        near, other = set(self.synsets[first].similar), set(self.synsets[second].similar)
        if second in near or first in other:
            return SIMILAR
        return SAME_CLUSTER if near & other else 0.0

    def _read_data(self, file: Path, part: str) -> None:
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.startswith("  "):  # the licence
                continue
            record, _, gloss = line.partition(" | ")
            fields = record.split()
            end = 4 + 2 * int(fields[3], 16)
            words = [word.partition("(")[0].lower() for word in fields[4:end:2]]
            synset = Synset(part, words, gloss)
            for i in range(end + 1, end + 1 + 4 * int(fields[end]), 4):
                symbol, offset, kind, ends = fields[i : i + 4]
                there = f"{_PART[kind]}/{offset}"
                if symbol in ("@", "@i"):
                    synset.up.append(there)
                elif symbol == "&":
                    synset.similar.append(there)
                elif symbol in _WHOLES:
                    synset.wholes.append(there)
                elif symbol == "!":
                    synset.opposites.add((words[int(ends[:2], 16) - 1], f"{there} {int(ends[2:], 16) - 1}"))
            self.synsets[f"{part}/{fields[0]}"] = synset

    def _read_index(self, file: Path, part: str, counts: dict[tuple[str, str, int], int]) -> None:
        for line in file.read_text(encoding="utf-8").splitlines():
            fields = line.split()
            if line.startswith("  ") or not _WORD.fullmatch(word := fields[0]):
                continue
            offsets = fields[-int(fields[2]) :]
            uses = [counts.get((part, word, number), 0) for number in range(1, len(offsets) + 1)]
            for offset, count in zip(offsets, uses, strict=True):
                self.synsets[f"{part}/{offset}"].uses += count
            self.uses[part, word] = sum(uses)
            kept = [i for i in range(len(offsets)) if uses[i] >= SHARE * sum(uses) and (uses[i] or not i)][:SENSES]
            self.senses[part, word] = [f"{part}/{offsets[i]}" for i in kept or [0]]

    def _spread(self) -> None:
        """Add the uses of every synset, and one more, to all its hypernyms; give antonyms their words."""
        own = {name: synset.uses + 1 for name, synset in self.synsets.items()}
        sums: dict[str, float] = defaultdict(float)
        for name, uses in own.items():
            self._total[self.synsets[name].part] = self._total.get(self.synsets[name].part, 0.0) + uses
            for above in self.above(name):
                sums[above] += uses
        for name, synset in self.synsets.items():
            synset.uses = sums[name]
            places = [(here, *there.split()) for here, there in synset.opposites]
            synset.opposites = {
                (here, self.synsets[other].words[int(i)]) for here, other, i in places if other in self.synsets
            }


def _counts(file: Path) -> dict[tuple[str, str, int], int]:
    """Return the uses of each sense, by part, word and the number of the sense."""
    found: dict[tuple[str, str, int], int] = defaultdict(int)
    for line in file.read_text(encoding="utf-8").splitlines():
        key, number, uses = line.split()
        word, _, kind = key.partition("%")
        found[_KINDS[kind[0]], word, int(number)] += int(uses)
    return found
