"""Hold ranking, lexicon induction and entity linking to plain loops, ties included."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise, permutations
from pathlib import Path

import numpy as np
import pytest

from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.evaluation import ranking
from mirrorkit.evaluation.bli import Lexicon, read_lexicon, score_lexicon
from mirrorkit.evaluation.entities import read_linking, score_linking
from mirrorkit.evaluation.ranking import rank
from mirrorkit.formats.plain import plain
from mirrorkit.text.ragged import Floats


class Fake:
    """Give each string a vector of its own, not of unit length."""

    def encode(self, texts: Sequence[str], /) -> Floats:
        return np.stack([self.vector(text) for text in texts])

    def vector(self, text: str) -> Floats:
        rng = np.random.default_rng(list(text.encode()))
        return (rng.normal(size=6) + 0.5).astype(np.float32) * 3

    def cosine(self, left: str, right: str) -> float:
        a, b = self.vector(left).astype(float), self.vector(right).astype(float)
        return float(a @ b / math.sqrt(a @ a) / math.sqrt(b @ b))


class OnePoint:
    def encode(self, texts: Sequence[str], /) -> Floats:
        return np.ones((len(texts), 3), np.float32)


def over_all_orders(row: Sequence[float], right: set[int], k: int) -> tuple[float, float]:
    """Return hit@k and reciprocal rank, averaged over every order that sorts the candidates by score."""
    hits, reciprocal = [], []
    for order in permutations(range(len(row))):
        if all(row[a] >= row[b] for a, b in pairwise(order)):
            first = min(order.index(i) for i in right)
            hits.append(float(first < k))
            reciprocal.append(1 / (first + 1))
    return statistics.fmean(hits), statistics.fmean(reciprocal)


@pytest.mark.parametrize("seed", range(8))
def test_ties_are_the_mean_over_all_orders(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 3, (12, 6)) / 2.0  # three values for six candidates: ties everywhere
    right = [rng.choice(6, size=rng.integers(1, 4), replace=False) for _ in scores]
    ranks = rank(lambda part: scores[part], right, 6, at=(1, 2, 5))
    for query, row in enumerate(scores):
        for k in (1, 2, 5):
            hit, reciprocal = over_all_orders(row.tolist(), set(right[query].tolist()), k)
            assert ranks.hits[k][query] == pytest.approx(hit)
            assert ranks.reciprocal[query] == pytest.approx(reciprocal)
    assert ranks.accuracy(1) == pytest.approx(100 * ranks.hits[1].mean())
    assert ranks.mrr == pytest.approx(100 * ranks.reciprocal.mean())


def test_blocks_of_queries_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.random.default_rng(0).normal(size=(23, 9))
    right = [np.array([i % 9]) for i in range(23)]
    whole = rank(lambda part: scores[part], right, 9)
    monkeypatch.setattr(ranking, "_BLOCK", 9 * 4)
    assert [part.stop - part.start for part in ranking.blocks(23, 9)] == [4, 4, 4, 4, 4, 3]
    parts = rank(lambda part: scores[part], right, 9)
    assert (parts.reciprocal == whole.reciprocal).all()
    assert (parts.hits[5] == whole.hits[5]).all()


def test_noise_of_the_last_digits_is_a_tie_and_no_right_answer_a_miss() -> None:
    scores = np.array([[0.5, 0.5 + 2e-7, 0.5 - 2e-7, 0.1], [0.5, 0.5, 0.5, 0.5]])
    ranks = rank(lambda part: scores[part], [np.array([0]), np.array([], dtype=np.intp)], 4, at=(1, 2))
    assert ranks.hits[1].tolist() == pytest.approx([1 / 3, 0])
    assert ranks.hits[2].tolist() == pytest.approx([2 / 3, 0])
    assert ranks.reciprocal.tolist() == pytest.approx([(1 + 1 / 2 + 1 / 3) / 3, 0])


def lexicon_file(folder: Path, pairs: Sequence[tuple[str, str]], between: str = "\t") -> Path:
    file = folder / "en-de.txt"
    file.write_text("".join(f"{a}{between}{b}\n" for a, b in pairs), encoding="utf-8")
    return file


PAIRS = [(f"word{i}", f"Wort{i}") for i in range(30)] + [("word3", "Ausdruck"), ("word7", "Wort8"), ("word7", "Wort7")]


@pytest.mark.parametrize("neighbours", [3, 10, 1000])
def test_bli_is_the_plain_loops(tmp_path: Path, neighbours: int) -> None:
    extra = tmp_path / "vocabulary.txt"
    extra.write_text("".join(f"mehr{i}\n" for i in range(20)) + "Wort1\n", encoding="utf-8")
    lexicon = read_lexicon(lexicon_file(tmp_path, PAIRS), extra)
    encoder = Fake()
    score = score_lexicon(encoder, lexicon, neighbours=neighbours)

    targets = [f"Wort{i}" for i in range(30)] + ["Ausdruck"] + [f"mehr{i}" for i in range(20)]
    gold: dict[str, set[str]] = {}
    for source, target in PAIRS:
        gold.setdefault(source, set()).add(target)
    cosine = {(s, t): encoder.cosine(s, t) for s in gold for t in targets}
    near_source = {s: statistics.fmean(sorted(cosine[s, t] for t in targets)[-neighbours:]) for s in gold}
    near_target = {t: statistics.fmean(sorted(cosine[s, t] for s in gold)[-neighbours:]) for t in targets}
    csls = {(s, t): 2 * value - near_source[s] - near_target[t] for (s, t), value in cosine.items()}
    for measure, found in ((cosine, score.cosine), (csls, score.csls)):
        ranks = [
            min(1 + sum(measure[s, o] > measure[s, t] for o in targets) for t in right) for s, right in gold.items()
        ]
        assert found.accuracy_at_1 == pytest.approx(100 * statistics.fmean(r == 1 for r in ranks))
        assert found.mrr == pytest.approx(100 * statistics.fmean(1 / r for r in ranks))
    assert (score.sources, score.candidates) == (30, 51)
    assert set(plain(score)) == {"cosine", "csls", "sources", "candidates"}


def test_csls_mends_a_hub() -> None:
    """Candidate `hub` is nearest to every source by cosine; CSLS sees that it is near to all and puts it back."""
    angles = {"a": 0.0, "b": 1.0, "A": -0.6, "B": 1.6, "hub": 0.5}

    class Plane:
        def encode(self, texts: Sequence[str], /) -> Floats:
            return np.array([[math.cos(angles[t]), math.sin(angles[t])] for t in texts], np.float32)

    lexicon = Lexicon("hubs", {"a": ["A"], "b": ["B"]}, ["A", "B", "hub"])
    score = score_lexicon(Plane(), lexicon, neighbours=2)
    assert score.cosine.accuracy_at_1 == 0
    assert score.csls.accuracy_at_1 == 100
    with pytest.raises(ConfigError, match="neighbours 0"):
        score_lexicon(Plane(), lexicon, neighbours=0)


def test_an_encoder_of_one_point_gets_what_guessing_gets(tmp_path: Path) -> None:
    score = score_lexicon(OnePoint(), read_lexicon(lexicon_file(tmp_path, [(f"s{i}", f"t{i}") for i in range(20)])))
    assert score.cosine.accuracy_at_1 == pytest.approx(5)
    assert score.csls.accuracy_at_1 == pytest.approx(5)
    assert score.cosine.mrr == pytest.approx(100 * statistics.fmean(1 / r for r in range(1, 21)))


@pytest.mark.parametrize("between", ["\t", " ", "   "])
def test_lexicons_stand_between_tabs_or_spaces(tmp_path: Path, between: str) -> None:
    lexicon = read_lexicon(lexicon_file(tmp_path, [("the", "der"), ("the", "die"), ("dog", "Hund")], between))
    assert lexicon.translations == {"the": ["der", "die"], "dog": ["Hund"]}
    assert lexicon.candidates == ["der", "die", "Hund"]


def test_bad_lexicons_are_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"line 2: has 3 space-separated columns, wanted 2"):
        read_lexicon(lexicon_file(tmp_path, [("a", "b"), ("c", "d e")], " "))
    with pytest.raises(CorpusError, match=r"line 1: the translation is blank"):
        read_lexicon(lexicon_file(tmp_path, [("a", " ")]))
    with pytest.raises(CorpusError, match="no translations in it"):
        read_lexicon(lexicon_file(tmp_path, []))
    with pytest.raises(CorpusError, match="no such file of translations"):
        read_lexicon(tmp_path / "no.txt")
    with pytest.raises(CorpusError, match=r"no\.txt: cannot be read"):
        read_lexicon(lexicon_file(tmp_path, [("a", "b")]), tmp_path / "no.txt")


DICTIONARY = "heart attack\tD1\nmyocardial infarction\tD1\nflu\tD2|D3\ninfluenza\tD2\nflu\tD4\ncold\tD5\nfever\tD6\n"
MENTIONS = "cardiac infarct\tD1\nthe flu\tD4|D9\ncold\tD5\nfeverish\tD6\nfeverish\tD6\nghost\tD99\n"


@pytest.fixture
def linking(tmp_path: Path) -> tuple[Path, Path]:
    files = tmp_path / "names.tsv", tmp_path / "mentions.tsv"
    for file, content in zip(files, (DICTIONARY, MENTIONS), strict=True):
        file.write_text(content, encoding="utf-8")
    return files


def test_linking_is_the_plain_loops(linking: tuple[Path, Path]) -> None:
    names = {
        "heart attack": {"D1"},
        "myocardial infarction": {"D1"},
        "flu": {"D2", "D3", "D4"},
        "influenza": {"D2"},
        "cold": {"D5"},
        "fever": {"D6"},
    }
    mentions = [(line.split("\t")[0], set(line.split("\t")[1].split("|"))) for line in MENTIONS.splitlines()]
    data = read_linking(*linking)
    assert (data.name, data.names, data.mentions) == ("mentions", names, mentions)
    encoder = Fake()
    score = score_linking(encoder, data)
    found = {1: 0, 5: 0}
    for mention, ids in mentions:
        nearest = sorted(names, key=lambda name, mention=mention: -encoder.cosine(mention, name))  # type: ignore[misc]
        for k in found:
            found[k] += any(names[name] & ids for name in nearest[:k])
    assert score.accuracy_at_1 == pytest.approx(100 * found[1] / 6)
    assert score.accuracy_at_5 == pytest.approx(100 * found[5] / 6)
    assert found[1] < found[5] < 6
    assert (score.mentions, score.names, score.outside) == (6, 6, 1)


def test_the_order_of_biosyn_and_csv_with_a_header_are_read(tmp_path: Path, linking: tuple[Path, Path]) -> None:
    bars, commas = tmp_path / "names.txt", tmp_path / "names.csv"
    bars.write_text("D1|D7||heart attack\nD2||flu\n", encoding="utf-8")
    commas.write_text('name,id\n"attack, heart",D1\nflu,D2|D3\n', encoding="utf-8")
    assert read_linking(bars, linking[1]).names == {"heart attack": {"D1", "D7"}, "flu": {"D2"}}
    assert read_linking(commas, linking[1]).names == {"attack, heart": {"D1"}, "flu": {"D2", "D3"}}


BAD_LINKING = {
    "no id": ("flu\tD1\ncold\n", "line 2: has 1 tab-separated columns, wanted 2"),
    "blank id": ("flu\t|\n", "line 1: the id is blank"),
    "blank name": ("flu\tD1\n \tD2\n", "line 2: the name is blank"),
    "empty": ("", "an empty dictionary"),
}


@pytest.mark.parametrize("case", BAD_LINKING)
def test_a_bad_dictionary_is_named(linking: tuple[Path, Path], case: str) -> None:
    content, complaint = BAD_LINKING[case]
    linking[0].write_text(content, encoding="utf-8")
    with pytest.raises(CorpusError, match=rf"names\.tsv(, |: ){complaint}"):
        read_linking(*linking)
    with pytest.raises(CorpusError, match="no such file of mentions"):
        read_linking(linking[1], linking[0].parent / "no.tsv")
