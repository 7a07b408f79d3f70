"""Graded pairs and mentions in the files in which their authors publish them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from mirrorkit.errors import CorpusError
from mirrorkit.evaluation.entities import read_linking
from mirrorkit.evaluation.geometry import measure_geometry
from mirrorkit.evaluation.graded import read_pairs
from mirrorkit.evaluation.pairs import GradedPairs
from mirrorkit.evaluation.sts import read_tasks
from tests.evaluation.fakes import Given

YEAR = "5.0\tA dog runs.\tA hound runs.\n\tNot graded.\tNobody did.\n0.4\t\"It's a\tA cat, of course.\n"
BENCHMARK = (
    "main-captions\tMSRvid\t2012test\t0024\t2.500\tA girl is styling her hair.\tA girl, brushing it.\n"
    'main-news\theadlines\t2016\t0002\t0.000\t"No," he said.\tAnother "word"\tlicense\tsource one\n'
)
GLUE = (
    "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
    "0\tmain\tMSRvid\t2012\t1\tnone\tnone\tA man is dancing.\tA man talks, too.\t1.000\n"
    '1\tmain\tMSRvid\t2012\t2\tnone\tnone\tTwo cats.\tTwo "cats".\t4.750\n'
)
SICK = (
    "pair_ID\tsentence_A\tsentence_B\tentailment_label\trelatedness_score\tSemEval_set\n"
    "1\tA\tB\tNEUTRAL\t4.5\tTRAIN\n2\tC\tD\tNEUTRAL\t3.2\tTEST\n3\tE\tF\tNEUTRAL\t1\tTEST\n"
)
FILES = {
    "2012.test.tsv": (YEAR, "sts12", [5.0, 0.4], ["A dog runs.", '"It\'s a']),
    "sts-b-test.txt": (BENCHMARK, "stsb-test", [2.5, 0.0], ["A girl is styling her hair.", '"No," he said.']),
    "sts-dev.csv": (BENCHMARK, "stsb-dev", [2.5, 0.0], ["A girl is styling her hair.", '"No," he said.']),
    "SICK_annotated.txt": (SICK, "sickr-test", [3.2, 1.0], ["C", "E"]),
    "glue.tsv": (GLUE, "glue", [1.0, 4.75], ["A man is dancing.", "Two cats."]),
    "own.csv": ("sentence1,sentence2,score\n\"a, b\",c,0.25\nd,e,1\n", "own", [0.25, 1.0], ["a, b", "d"]),
    "last.txt": ("a\tb\t3\nd\te\t1\n", "last", [3.0, 1.0], ["a", "d"]),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_graded_pairs(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    content, task, scores, left = FILES[name]
    (tmp_path / name).write_text(content, encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        (pairs,) = read_tasks(tmp_path, [task])
    assert (pairs.name, pairs.score, pairs.left) == (task, scores, left)
    if name == "2012.test.tsv":
        assert caplog.messages == [f"{tmp_path / name}: 1 rows have no score and are left out"]
    else:
        assert caplog.messages == []


def test_a_packed_file_and_one_in_another_encoding(tmp_path: Path) -> None:
    import gzip

    file = tmp_path / "x.tsv"
    file.write_bytes(gzip.compress("1\tá\tb\n2\tc\td\n".encode()))
    assert read_pairs(file).left == ["á", "c"]
    file.write_bytes("1\tá\tb\n2\tc\td\n".encode("utf-16"))
    assert read_pairs(file).left == ["á", "c"]


def test_a_row_that_does_not_fit_is_named(tmp_path: Path) -> None:
    file = tmp_path / "sts-b-test.txt"
    file.write_text(BENCHMARK + "main\tx\t2012\t1\t2.0\tonly one\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"sts-b-test\.txt, line 3: has 6 tab-separated columns, wanted 7"):
        read_tasks(tmp_path, ["stsb-test"])


def test_alignment_of_scores_up_to_one() -> None:
    encoder = Given({"a": [1, 0], "b": [1, 0], "c": [0, 1], "d": [0.6, 0.8]})
    fives = GradedPairs("x", [5.0, 4.0, 1.0], ["a", "c", "a"], ["b", "d", "c"])
    ones = GradedPairs("x", [1.0, 0.8, 0.2], ["a", "c", "a"], ["b", "d", "c"])
    assert measure_geometry(encoder, [ones]) == measure_geometry(encoder, [fives])


def test_the_mentions_of_biosyn(tmp_path: Path) -> None:
    dictionary = tmp_path / "train_dictionary.txt"
    dictionary.write_text("D1|D9||skin tumour\nD2||flu\n", encoding="utf-8")
    folder = tmp_path / "processed_test"
    folder.mkdir()
    (folder / "1.concept").write_text("101||18|29||Modifier||skin tumours||D1\n", encoding="utf-8")
    (folder / "2.concept").write_text("102||0|3||Disease||influenza||D2|D7\n", encoding="utf-8")
    linking = read_linking(dictionary, folder)
    assert linking.names == {"skin tumour": {"D1", "D9"}, "flu": {"D2"}}
    assert linking.mentions == [("skin tumours", {"D1"}), ("influenza", {"D2", "D7"})]
    assert read_linking(dictionary, folder / "2.concept").mentions == linking.mentions[1:]
    (folder / "3.concept").write_text("103||0|3||Disease||influenza\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"3\.concept, line 1: has 4 \|\|-separated columns, wanted 2"):
        read_linking(dictionary, folder)
    with pytest.raises(CorpusError, match=r"no \*\.concept file in this folder"):
        read_linking(dictionary, tmp_path)
