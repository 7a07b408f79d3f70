"""The development sets of words: what WordNet's files say, Lin's measure, and which pairs must not occur."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.word_dev.relations import OPPOSITE, SAME_CLUSTER, SIMILAR, WordNet
from benchmarks.word_dev.sets import Synonyms, alike, graded_pairs, synonyms
from benchmarks.word_dev.test import summary
from benchmarks.word_dev.views import CONTEXTS, OWN
from mirrorkit.errors import ConfigError
from mirrorkit.text.ragged import Floats

LICENCE = "  1 This is the licence.\n"
NOUNS = """\
00000001 03 n 01 entity 0 002 ~ 00000002 n 0000 ~ 00000005 n 0000 | all there is
00000002 03 n 01 animal 0 003 @ 00000001 n 0000 ~ 00000003 n 0000 ~ 00000004 n 0000 | what lives
00000003 03 n 02 dog 0 hound 0 001 @ 00000002 n 0000 | an animal that barks at a cat
00000004 03 n 01 cat 0 001 @ 00000002 n 0000 | an animal that purrs
00000005 03 n 01 peace 0 002 @ 00000001 n 0000 ! 00000006 n 0101 | no war
00000006 03 n 01 war 0 002 @ 00000001 n 0000 ! 00000005 n 0101 | no peace
"""
ADJECTIVES = """\
00000001 00 a 01 wet(p) 0 002 & 00000002 a 0000 ! 00000004 a 0101 | with water
00000002 00 s 01 damp 0 001 & 00000001 a 0000 | a little wet
00000003 00 s 01 soaked 0 001 & 00000001 a 0000 | very wet
00000004 00 a 01 dry 0 001 ! 00000001 a 0101 | without water
"""
COUNTS = {"dog%1:05:00::": 6, "hound%1:05:00::": 5, "cat%1:05:00::": 9, "peace%1:26:00::": 7, "war%1:04:00::": 8}


@pytest.fixture
def net(tmp_path: Path) -> WordNet:
    for part, data in (("noun", NOUNS), ("verb", ""), ("adj", ADJECTIVES)):
        (tmp_path / f"data.{part}").write_text(LICENCE + data, encoding="utf-8")
        lines = [line.split() for line in data.splitlines()]
        index = {word.partition("(")[0]: line[0] for line in lines for word in line[4 : 4 + 2 * int(line[3], 16) : 2]}
        rows = [f"{word} {part[0]} 1 0 1 0 {offset}  \n" for word, offset in index.items()]
        (tmp_path / f"index.{part}").write_text(LICENCE + "".join(rows), encoding="utf-8")
    rows = [f"{key} 1 {count}\n" for key, count in COUNTS.items()]
    (tmp_path / "cntlist.rev").write_text("".join(rows), encoding="utf-8")
    return WordNet(tmp_path)


def test_similarity_is_lins(net: WordNet) -> None:
    # Uses and one more of each of the six synsets: all 35 + 6, of animals 20 + 3.
    total, animal, dog, cat = 41, 23, 12, 10
    lin = 2 * math.log(animal / total) / (math.log(dog / total) + math.log(cat / total))
    assert net.similarity("noun", "dog", "cat") == pytest.approx(lin, abs=1e-12)
    assert net.similarity("noun", "dog", "hound") == 1
    assert net.similarity("noun", "dog", "peace") == 0  # the root tells nothing
    assert net.similarity("noun", "war", "peace") == net.similarity("noun", "peace", "war") == OPPOSITE


def test_similarity_of_adjectives_goes_by_clusters(net: WordNet) -> None:
    assert net.similarity("adj", "wet", "damp") == net.similarity("adj", "damp", "wet") == SIMILAR
    assert net.similarity("adj", "damp", "soaked") == SAME_CLUSTER
    assert net.similarity("adj", "wet", "dry") == OPPOSITE
    assert net.similarity("adj", "damp", "dry") == 0


def test_pairs_that_are_barred_never_occur(net: WordNet) -> None:
    found = graded_pairs(net, [])["noun"]
    pairs = {frozenset(pair) for pair in zip(found.left, found.right, strict=True)}
    assert {frozenset(("dog", "hound")), frozenset(("war", "peace")), frozenset(("dog", "cat"))} <= pairs
    assert len(pairs) == len(found)
    fewer = graded_pairs(net, [("hound", "dog"), ("cat", "dog")])["noun"]
    left = {frozenset(pair) for pair in zip(fewer.left, fewer.right, strict=True)}
    assert not left & {frozenset(("dog", "hound")), frozenset(("dog", "cat"))}


def test_synonyms_ask_for_one_another(net: WordNet) -> None:
    asked = synonyms(net, [])
    places = {asked.words[i]: [asked.words[j] for j in right] for i, right in asked.right.items()}
    assert places == {"dog": ["hound"], "hound": ["dog"]}
    assert not synonyms(net, [("hound", "dog")]).right


def test_forms_of_a_word_are_alike() -> None:
    assert alike("walk", "walking")
    assert alike("art", "art")
    assert not alike("art", "artist")
    assert not alike("start", "state")


class Table:
    def __init__(self, rows: dict[str, list[float]]) -> None:
        self._rows = rows

    def encode(self, texts: Sequence[str], /) -> Floats:
        return np.array([self._rows[text] for text in texts], dtype=np.float32)


def test_score_of_synonyms_is_the_mean_reciprocal_rank() -> None:
    table = Table({"a": [2, 0], "b": [1, 1], "c": [3, 0.1], "d": [0, 1]})
    asked = Synonyms(["a", "b", "c", "d"], {0: [1], 3: [1, 2]})
    assert asked.score(table) == pytest.approx(100 * (1 / 2 + 1) / 2)  # c stands before b; b is the nearest of d


@pytest.mark.parametrize("name", OWN)
def test_views_keep_the_word_or_a_form_of_it(name: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        first, second = OWN[name]("harvest", rng)
        assert first[0] in '"h' or first in {one.format("harvest") for one in CONTEXTS}
        assert "h" in second


def test_a_folder_that_is_not_wordnets_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no cntlist\.rev"):
        WordNet(tmp_path)


def test_summary_has_mean_and_deviation() -> None:
    runs = {f"tiny/before/{seed}": {"men": value} for seed, value in ((1, 10.0), (2, 12.0))}
    lines = list(summary({"bases": {"tiny": {"men": 5.0}}, "runs": runs}))
    assert lines == ["tiny as it is: men 5.00", "tiny before, 2 seeds: men 11.00 ± 1.41"]
