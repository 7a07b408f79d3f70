"""Read word similarity and multilingual STS as their authors publish them, and score them as scipy does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

stats = pytest.importorskip("scipy.stats", reason="needs the train extra")

from mirrorkit.errors import CorpusError
from mirrorkit.evaluation.lexical import read_word_pairs
from mirrorkit.evaluation.multisimlex import read_multisimlex
from mirrorkit.evaluation.pairs import score_pairs
from mirrorkit.evaluation.sts import evaluate_sts, read_tasks

# The first rows of each set, in the columns of its publication; the scores are the human ones.
PUBLISHED = {
    "SimLex-999.txt": (
        "word1\tword2\tPOS\tSimLex999\tconc(w1)\tconc(w2)\tconcQ\tAssoc(USF)\tSimAssoc333\tSD(SimLex)\n"
        "old\tnew\tA\t1.58\t2.72\t2.81\t2\t7.25\t1\t0.41\n"
        "smart\tintelligent\tA\t9.2\t1.75\t2.46\t1\t7.11\t1\t0.67\n",
        [(1.58, "old", "new"), (9.2, "smart", "intelligent")],
    ),
    "SimVerb-3500.txt": (
        "take\tremove\tV\t6.81\tSYNONYMS\nwalk\ttrail\tV\t4.81\tCOHYPONYMS\n",
        [(6.81, "take", "remove"), (4.81, "walk", "trail")],
    ),
    "MEN_dataset_natural_form_full": (
        "sun sunlight 50.000000\nautomobile car 50.000000\n",
        [(50.0, "sun", "sunlight"), (50.0, "automobile", "car")],
    ),
    "MEN_dataset_lemma_form_full": (
        "sun-n sunlight-n 50.000000\ndrive-v red-j 3.000000\n",
        [(50.0, "sun", "sunlight"), (3.0, "drive", "red")],
    ),
    "combined.csv": (
        "Word 1,Word 2,Human (mean)\nlove,sex,6.77\ntiger,cat,7.35\n",
        [(6.77, "love", "sex"), (7.35, "tiger", "cat")],
    ),
    "combined.tab": (
        "Word 1\tWord 2\tHuman (mean)\nlove\tsex\t6.77\ntiger\tcat\t7.35\n",
        [(6.77, "love", "sex"), (7.35, "tiger", "cat")],
    ),
    "wordsim_similarity_goldstandard.txt": (
        "tiger\tcat\t7.35\ntiger\ttiger\t10.00\n",
        [(7.35, "tiger", "cat"), (10.0, "tiger", "tiger")],
    ),
    "rw.txt": (
        "squishing\tsquirt\t5.88\t6\t7\t6\t3\t8\t7\t6\t7\t6\t4\nundated\tundatable\t5.83\t9\t9\t0\t6\t7\t8\t6\t0\t6\t7\n",
        [(5.88, "squishing", "squirt"), (5.83, "undated", "undatable")],
    ),
    "rg65.csv": ("cord;smile;0.02\nrooster;voyage;0.04\n", [(0.02, "cord", "smile"), (0.04, "rooster", "voyage")]),
    "indexed.csv": (
        'ID,Word 1,Word 2,Annotator 1,Score\n1,"to cut, off",end,3,2.5\n2,a b,c,1,1.5\n',
        [(2.5, "to cut, off", "end"), (1.5, "a b", "c")],
    ),
    "several words.tsv": (
        "ice cream\tsorbet\t4\nhot dog\tdog\t1\n",
        [(4.0, "ice cream", "sorbet"), (1.0, "hot dog", "dog")],
    ),
}


class Letters:
    """Count letters: vectors that differ, without a model."""

    def encode(self, texts: Sequence[str], /) -> npt.NDArray[np.float32]:
        return np.array([[1 + text.lower().count(c) for c in "abcdefghijklmnopqrst"] for text in texts], np.float32)

    def cosine(self, left: str, right: str) -> float:
        a, b = self.encode([left, right]).astype(float)
        return float(a @ b / math.sqrt(a @ a) / math.sqrt(b @ b))


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_every_set_is_read_as_published(tmp_path: Path, name: str, line_end: str) -> None:
    content, wanted = PUBLISHED[name]
    file = tmp_path / name
    file.write_bytes(("\ufeff" + content).replace("\n", line_end).encode())
    data = read_word_pairs(file)
    assert list(zip(data.score, data.left, data.right, strict=True)) == wanted
    assert data.name == file.stem


def test_the_score_is_scipys(tmp_path: Path) -> None:
    words = [("cat", "cast"), ("dog", "frog"), ("tea", "eat"), ("hill", "mole"), ("ant", "art")]
    file = tmp_path / "words.txt"
    file.write_text("".join(f"{a} {b} {i * i}\n" for i, (a, b) in enumerate(words)), encoding="utf-8")
    cosines = [round(Letters().cosine(a, b), 9) for a, b in words]
    (score,) = score_pairs(Letters(), [read_word_pairs(file)]).values()
    assert score.spearman == pytest.approx(100 * stats.spearmanr(cosines, [0, 1, 4, 9, 16]).statistic)
    assert score.pearson == pytest.approx(100 * stats.pearsonr(cosines, [0, 1, 4, 9, 16]).statistic, abs=1e-3)


BAD_WORDS = {
    "no number, no header": ("old\tnew\tA\thigh\n", 1, "no number behind the two words"),
    "bad score in a plain file": ("old\tnew\thigh\n", 1, "the score 'high' is not a number"),
    "bad score further on": ("a\tb\tN\t1\nc\td\tN\tx\n", 2, "the score 'x' is not a number"),
    "infinite": ("a b 1\nc d inf\n", 2, "the score 'inf' is not finite"),
    "a column too few": ("a b 1\nc 2\n", 2, "has 2 space-separated columns, wanted 3"),
    "a column too many": ("word1,word2,score\na,b,1\nc,d,e,2\n", 3, "has 4 comma-separated columns, wanted 3"),
    "a blank word": ("a\tb\t1\nc\t \t2\n", 2, "the word is blank"),
    "annotators alone": (
        "Word 1,Word 2,Annotator 1,Annotator 2\na,b,1,2\n",
        1,
        "has the scores of individual annotators",
    ),
}


@pytest.mark.parametrize("case", BAD_WORDS)
def test_a_bad_row_of_words_is_named(tmp_path: Path, case: str) -> None:
    content, line, complaint = BAD_WORDS[case]
    file = tmp_path / "words.txt"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(CorpusError) as caught:
        read_word_pairs(file)
    assert str(caught.value).startswith(f"{file}, line {line}: {complaint}")


def test_broken_quoting_is_named(tmp_path: Path) -> None:
    file = tmp_path / "words.csv"
    file.write_text('a,b,1\n"c"d,e,2\n', encoding="utf-8")
    with pytest.raises(CorpusError, match=r"words\.csv, line 2: "):
        read_word_pairs(file)


@pytest.mark.parametrize("content", ["", "word1 word2 score\n", "a b 1\n"])
def test_too_few_words_is_an_error(tmp_path: Path, content: str) -> None:
    file = tmp_path / "words.txt"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(CorpusError, match="at least 2 are needed"):
        read_word_pairs(file)


def test_the_shared_simlex_is_read_whole(shared_data: Path) -> None:
    data = read_word_pairs(shared_data / "data" / "lexical" / "simlex999.tsv")
    assert len(data) == 999
    assert (data.score[0], data.left[0], data.right[0]) == (1.58, "old", "new")


TRANSLATION = "ID,ENG 1,ENG 2,FRA Word 1,FRA Word 2,SPA 1\n1,sea,lake,mer,lac,mar\n2,dog,tree,chien,arbre,perro\n"
SCORES = "ID,ENG,FRA\n2,0.5,0.75\n1,3.5,3.25\n"


@pytest.fixture
def multisimlex(tmp_path: Path) -> Path:
    (tmp_path / "translation.csv").write_text(TRANSLATION, encoding="utf-8")
    (tmp_path / "scores.csv").write_text(SCORES, encoding="utf-8")
    return tmp_path


def test_multisimlex_is_joined_by_id(multisimlex: Path) -> None:
    english, french = read_multisimlex(multisimlex)
    assert (english.name, english.score, english.left) == ("multisimlex-ENG", [3.5, 0.5], ["sea", "dog"])
    assert (french.score, french.left, french.right) == ([3.25, 0.75], ["mer", "chien"], ["lac", "arbre"])
    assert [data.name for data in read_multisimlex(multisimlex, ["fra"])] == ["multisimlex-FRA"]


def test_multisimlex_without_ids_is_joined_by_order(multisimlex: Path) -> None:
    (multisimlex / "scores.csv").write_text("ENG\n1\n2\n", encoding="utf-8")
    (english,) = read_multisimlex(multisimlex)
    assert (english.score, english.left) == ([1.0, 2.0], ["sea", "dog"])
    (multisimlex / "scores.csv").write_text("ENG\n1\n2\n3\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"scores\.csv: 3 rows, translation\.csv has 2"):
        read_multisimlex(multisimlex)


BAD_SCORES = {
    "unknown id": ("ID,ENG\n1,1\n9,2\n", r"translation\.csv, line 3: the ID '2' is not in the other file"),
    "id twice": ("ID,ENG\n1,1\n1,2\n", r"scores\.csv, line 3: the ID '1' is already on line 2"),
    "no number": ("ID,ENG\n1,1\n2,\n", r"scores\.csv, line 3: the score '' is not a number"),
    "too few": ("ID,ENG\n1\n2,1\n", r"scores\.csv, line 2: has 1 comma-separated columns, wanted 2"),
    "no language": ("ID,SPA\n1,1\n2,2\n", r"no language with words and scores \(there: none\)"),
    "empty": ("ID,ENG\n", r"scores\.csv: no rows below a header"),
}


@pytest.mark.parametrize("case", BAD_SCORES)
def test_a_bad_multisimlex_is_named(multisimlex: Path, case: str) -> None:
    content, complaint = BAD_SCORES[case]
    (multisimlex / "scores.csv").write_text(content, encoding="utf-8")
    with pytest.raises(CorpusError, match=complaint):
        read_multisimlex(multisimlex)


def test_absent_languages_and_files_are_named(multisimlex: Path) -> None:
    with pytest.raises(CorpusError, match=r"no SPA, XXX with words and scores \(there: ENG, FRA\)"):
        read_multisimlex(multisimlex, ["SPA", "eng", "xxx"])
    (multisimlex / "scores.csv").unlink()
    with pytest.raises(CorpusError, match=r"scores\.csv: no such file; Multi-SimLex is a folder of"):
        read_multisimlex(multisimlex)


def test_multilingual_sts_is_a_csv_with_the_score_last(tmp_path: Path) -> None:
    (tmp_path / "stsb-de-test.csv").write_text(
        '"Ein Mann, der ""isst"".",Jemand isst.,4.2\nx y z,"a\nb",0.0\n', encoding="utf-8"
    )
    (tmp_path / "named.csv").write_text("sentence1,sentence2,score\na,b,1\nc,c,2\n", encoding="utf-8")
    german, named = read_tasks(tmp_path, ["stsb-de-test", "named"])
    assert german.left == ['Ein Mann, der "isst".', "x y z"]
    assert (german.right, german.score) == (["Jemand isst.", "a\nb"], [4.2, 0.0])
    assert (named.name, named.left, named.right, named.score) == ("named", ["a", "c"], ["b", "c"], [1.0, 2.0])
    assert set(evaluate_sts(Letters(), tmp_path, ["named", "stsb-de-test"]).tasks) == {"named", "stsb-de-test"}


def test_a_bad_sts_csv_is_named(tmp_path: Path) -> None:
    (tmp_path / "de.csv").write_text('"a\nb",c,1\nd,e,viel\n', encoding="utf-8")
    with pytest.raises(CorpusError, match=r"de\.csv, line 3: the score 'viel' is not a number"):
        read_tasks(tmp_path, ["de"])
    (tmp_path / "de.tsv").write_text("1\ta\tb\n2\tc\td\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"de exists both as \.tsv and as \.csv"):
        read_tasks(tmp_path, ["de"])
