"""The user's own labelled files: which kind they are, that they score as `evaluate` does, and what changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mirrorkit.assets.paths import GRADED
from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.evaluation.bli import read_lexicon, score_lexicon
from mirrorkit.evaluation.entities import read_linking, score_linking
from mirrorkit.evaluation.graded import read_pairs
from mirrorkit.evaluation.knn import evaluate_knn
from mirrorkit.evaluation.own import OwnSet, read_all, read_own
from mirrorkit.evaluation.pairs import score_pairs
from mirrorkit.evaluation.qnli import read_qnli, score_qnli
from tests.evaluation.fakes import Drawn

FILES = {
    "graded.tsv": "5\ta cat\tthe cat\n1\ta cat\tstock\n3\ta cat\ta dog\n2\ta dog\tstocks\n",
    "graded.csv": "a cat,the cat,5\na cat,stock,1\na cat,a dog,3\n",
    "glue.tsv": "id\tsentence1\tsentence2\tscore\n1\ta cat\tthe cat\t5\n2\ta cat\tstock\t1\n",
    "topics.tsv": "".join(f"{a} number {i}\t{a}\n" for i in range(7) for a in ("cat", "stock")),
    "words.tsv": "old\tnew\t1.58\nsmart\tclever\t9.2\n",
    "en-de.tsv": "dog\tHund\ncat\tKatze\nhouse\tHaus\n",
    "answers.tsv": "Who sang?\tAnna sang.\tentailment\nWho ran?\tStocks fell.\tnot_entailment\n",
    "names.tsv": "influenza\tD1\nasthma\tD2\n",
    "mentions.tsv": "influenca\tD1\nastma\tD2\n",
    "pets/corpus.jsonl": '{"_id": "d1", "text": "They sleep."}\n{"_id": "d2", "text": "They bark."}\n',
    "pets/queries.jsonl": '{"_id": "q1", "text": "who sleeps"}\n',
    "pets/qrels/test.tsv": "q1\td1\t1\n",
    "handbook.txt": "Holidays\n\nAsk two weeks before you leave, in writing, and name who does your work.\n",
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "name", "measure", "count"),
    [
        ("graded.tsv", "sts:graded", "Spearman", 4),
        ("graded.csv", "sts:graded", "Spearman", 3),
        ("glue.tsv", "sts:glue", "Spearman", 2),
        ("lexical:words.tsv", "lexical:words", "Spearman", 2),
        ("bli:en-de.tsv", "bli:en-de", "MRR", 3),
        ("qnli:answers.tsv", "qnli:answers", "AUC", 2),
        ("entities:names.tsv,mentions.tsv", "entities:mentions", "accuracy@1", 2),
        ("pets", "retrieval:pets", "nDCG@10", 1),
        ("knn:topics.tsv", "knn:topics", "kNN accuracy", 14),
    ],
)
def test_every_kind_is_read(files: Path, given: str, name: str, measure: str, count: int) -> None:
    (one,) = read_own(given)
    assert (one.name, one.measure, one.count) == (name, measure, count)
    items = one.items(Drawn(), None)
    assert items.shape == (count,)
    same = one.change(items, items)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_scores_are_those_of_the_evaluators(files: Path) -> None:
    encoder = Drawn()

    def own(given: str) -> float:
        (one,) = read_own(given)
        return one.score(one.items(encoder, None))

    graded = read_pairs(Path("graded.tsv"), score_column=0)
    assert own("graded.tsv") == pytest.approx(score_pairs(encoder, [graded])["graded"].spearman)
    assert own("bli:en-de.tsv") == pytest.approx(score_lexicon(encoder, read_lexicon("en-de.tsv")).cosine.mrr)
    assert own("qnli:answers.tsv") == pytest.approx(score_qnli(encoder, read_qnli("answers.tsv")).auc)
    linked = score_linking(encoder, read_linking("names.tsv", "mentions.tsv"))
    assert own("entities:names.tsv,mentions.tsv") == pytest.approx(linked.accuracy_at_1)
    assert own("knn:topics.tsv") == pytest.approx(evaluate_knn(encoder, "topics.tsv").accuracy.value)


def test_a_folder_of_graded_pairs_gives_each_file(files: Path) -> None:
    (files / "sets").mkdir()
    for name in ("mine", "yours"):
        (files / "sets" / f"{name}.tsv").write_text(FILES["graded.tsv"], encoding="utf-8")
    assert [one.name for one in read_own("sets")] == ["sts:mine", "sts:yours"]


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ("topics.tsv", "cannot be told what it is; say it as KIND:FILE"),
        ("knm:topics.tsv", "knm is no kind of labelled file"),
        ("no.tsv", "no such file"),
        ("knn:no.tsv", "no such file"),
        ("sts:no.tsv", "no such file"),
        ("entities:names.tsv", "must be two files with a comma between"),
        ("sts:topics.tsv", "line 1"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_line(files: Path, given: str, part: str) -> None:
    with pytest.raises((ConfigError, CorpusError), match=r"^[^\n]*\Z") as caught:
        read_own(given)
    assert part in str(caught.value)


def test_two_sets_of_one_name_are_refused(files: Path) -> None:
    with pytest.raises(ConfigError, match="two sets are called sts:graded"):
        read_all(["graded.tsv", "graded.csv"])


def test_the_interval_holds_the_change_of_every_measure() -> None:
    rng = np.random.default_rng(0)
    gold = rng.normal(size=200)
    weak, strong = gold + rng.normal(0, 2, 200), gold + rng.normal(0, 0.5, 200)
    for one in (
        OwnSet("a", "Spearman", 200, lambda _e, _p: weak, gold=tuple(gold)),
        OwnSet("b", "AUC", 200, lambda _e, _p: weak, answers=tuple((gold > 0).tolist())),
    ):
        change = one.change(weak, strong)
        assert change.value == pytest.approx(one.score(strong) - one.score(weak))
        assert 0 < change.low < change.value < change.high
    mean = OwnSet("c", "MRR", 200, lambda _e, _p: weak)
    change = mean.change(np.zeros(200), np.ones(200) * 0.25)
    assert (change.value, change.low, change.high) == (25, 25, 25)


def test_the_shipped_graded_set_is_read_as_it_lies() -> None:
    (one,) = read_own(GRADED)
    assert one.name == "sts:graded"
