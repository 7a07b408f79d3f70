"""Hold retrieval to pytrec_eval on the same vectors, and a folder in BEIR's layout to what can be wrong with it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mirrorkit.errors import ConfigError, CorpusError, ModelError
from mirrorkit.evaluation.beir import evaluate_retrieval, read_retrieval
from mirrorkit.evaluation.intervals import mean_intervals
from mirrorkit.evaluation.search import MEASURES, SearchSet, measures, score_search, search_scores
from tests.evaluation.fakes import Drawn, Given, write_beir, write_jsonl

TREC = {
    "ndcg_at_10": "ndcg_cut_10",
    "recall_at_1": "recall_1",
    "recall_at_10": "recall_10",
    "recall_at_100": "recall_100",
    "map_at_100": "map_cut_100",
}


def judged_set(seed: int, documents: int, queries: int, repeats: int = 0) -> SearchSet:
    """Draw a set with graded judgements; `repeats` documents have the text of another, so they tie."""
    rng = np.random.default_rng(seed)
    texts = {f"d{i}": f"document {i % (documents - repeats)}" for i in range(documents)}
    asked = {f"q{i}": f"query {i}" for i in range(queries)}
    relevant = {
        query: {
            str(d): int(rng.integers(1, 4))
            for d in rng.choice(list(texts), rng.integers(1, min(15, documents)), replace=False)
        }
        for query in asked
    }
    return SearchSet("drawn", asked, texts, relevant)


def by_trec_eval(data: SearchSet, encoder: Drawn) -> dict[str, dict[str, float]]:
    pytrec_eval = pytest.importorskip("pytrec_eval", reason="needs pytrec-eval-terrier")
    names = list(data.documents)
    queries, documents = (encoder.unit(list(texts.values())) for texts in (data.queries, data.documents))
    cosines = queries.astype(np.float64) @ documents.astype(np.float64).T
    run = {
        query: {name: float(score) for name, score in zip(names, row, strict=True) if data.itself.get(query) != name}
        for query, row in zip(data.queries, cosines, strict=True)
    }
    found = pytrec_eval.RelevanceEvaluator(
        data.relevant, {"ndcg_cut.10", "recall.1,10,100", "map_cut.100", "recip_rank"}
    ).evaluate(run)
    # trec_eval's own reciprocal rank knows no cut: one beyond rank 10 is none.
    return {q: {**row, "mrr_at_10": row["recip_rank"] * (row["recip_rank"] >= 0.1 - 1e-9)} for q, row in found.items()}


@pytest.mark.parametrize(
    ("documents", "queries", "repeats"), [(400, 60, 0), (400, 60, 150), (40, 30, 0), (12, 12, 6), (1, 1, 0)]
)
def test_every_measure_of_every_query_is_that_of_pytrec_eval(documents: int, queries: int, repeats: int) -> None:
    if documents == 1:
        data = SearchSet("one", {"q": "a"}, {"d": "b"}, {"q": {"d": 1}})
    else:
        data = judged_set(documents, documents, queries, repeats)
    encoder = Drawn()
    expected = by_trec_eval(data, encoder)
    found = search_scores(encoder, data)
    for measure in MEASURES:
        wanted = [expected[query][TREC.get(measure, measure)] for query in data.queries]
        assert found[measure] == pytest.approx(wanted, abs=1e-6), measure
    score = score_search(encoder, data)
    for measure in MEASURES:
        interval = getattr(score, measure)
        assert interval.value == pytest.approx(100 * float(found[measure].mean()))
        assert interval.low <= interval.value <= interval.high


def test_documents_of_one_vector_rank_as_trec_eval_ranks_them() -> None:
    class OnePoint(Drawn):
        def vector(self, text: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
            return np.ones(4, np.float32)

    data, encoder = judged_set(5, 150, 20), OnePoint()
    expected, found = by_trec_eval(data, encoder), search_scores(encoder, data)
    for measure in MEASURES:
        wanted = [expected[query][TREC.get(measure, measure)] for query in data.queries]
        assert found[measure] == pytest.approx(wanted, abs=1e-6), measure


def test_the_measures_by_hand() -> None:
    gains = np.zeros((2, 100))
    gains[0, [1, 4]] = 2, 1
    gains[1, 50] = 1
    found = measures(gains, [{"a": 2, "b": 1, "c": 1}, {"a": 1}])
    best = 2 + 1 / np.log2(3) + 1 / np.log2(4)
    assert found["ndcg_at_10"] == pytest.approx([(2 / np.log2(3) + 1 / np.log2(6)) / best, 0])
    assert found["mrr_at_10"].tolist() == [0.5, 0]
    assert found["recall_at_1"].tolist() == [0, 0]
    assert found["recall_at_10"] == pytest.approx([2 / 3, 0])
    assert found["recall_at_100"] == pytest.approx([2 / 3, 1])
    assert found["map_at_100"] == pytest.approx([(1 / 2 + 2 / 5) / 3, 1 / 51])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    documents = {"d1": "Cats sleep.", "d2": "Dogs bark.", "d3": "Trains leave."}
    queries = {"q1": "when do cats sleep", "q2": "dogs", "q3": "of another split"}
    return write_beir(tmp_path / "animals", documents, queries, [("q1", "d1", 1), ("q2", "d2", 2), ("q2", "d1", 0)])


def test_queries_and_documents_are_encoded_apart_each_text_once(folder: Path) -> None:
    encoder = Drawn()
    score = evaluate_retrieval(encoder, folder)
    assert [sorted(texts) for texts in encoder.asked] == [
        ["dogs", "when do cats sleep"],
        ["Cats sleep.", "Dogs bark.", "Trains leave."],
    ]
    assert (score.queries, score.documents, score.outside, score.kind) == (2, 3, 0, "judged")
    assert set(score.as_dict()["ndcg_at_10"]) == {"value", "low", "high"}  # type: ignore[call-overload]


def test_a_title_stands_before_the_text_and_a_score_of_0_is_not_right(folder: Path) -> None:
    write_jsonl(
        folder / "corpus.jsonl", [{"_id": "d1", "title": "Cats", "text": "They sleep."}, {"_id": 2, "text": "x"}]
    )
    data = read_retrieval(folder)
    assert data.documents == {"d1": "Cats They sleep.", "2": "x"}
    assert data.relevant["q1"] == {"d1": 1}
    assert data.relevant["q2"] == {"d2": 2}
    assert (data.name, data.outside) == ("animals", 1)


def test_a_query_that_is_a_document_does_not_find_itself(folder: Path) -> None:
    vectors = {"same": (1, 0), "near": (0.9, 0.1), "far": (0, 1), "other": (0, 1)}
    write_jsonl(folder / "corpus.jsonl", [{"_id": f"d{i}", "text": t} for i, t in enumerate(("same", "near", "far"))])
    write_jsonl(folder / "queries.jsonl", [{"_id": "d0", "text": "same"}, {"_id": "d2", "text": "other"}])
    (folder / "qrels" / "test.tsv").write_text("d0\td1\t1\nd2\td2\t1\n", encoding="utf-8")
    data = read_retrieval(folder)
    assert data.itself == {"d0": "d0"}  # the other shares an id with a document, but not its text
    assert search_scores(Given(vectors), data)["mrr_at_10"].tolist() == [1, 1]


def test_splits(folder: Path) -> None:
    (folder / "qrels" / "dev.tsv").write_text("q3\td3\t1\n", encoding="utf-8")
    assert list(read_retrieval(folder).queries) == ["q1", "q2"]
    assert list(read_retrieval(folder, "dev").queries) == ["q3"]
    with pytest.raises(ConfigError, match="no split 'train', there are dev, test"):
        read_retrieval(folder, "train")
    (folder / "qrels" / "test.tsv").rename(folder / "qrels.tsv")
    assert list(read_retrieval(folder).queries) == ["q3"]  # the only split
    (folder / "qrels" / "dev.tsv").unlink()
    assert list(read_retrieval(folder).queries) == ["q1", "q2"]
    with pytest.raises(ConfigError, match=r"no split 'test', there is only qrels.tsv"):
        read_retrieval(folder, "test")


def test_what_is_not_there_is_counted_and_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    blank: dict[str, object] = {"_id": "d2", "text": " ", "title": None}
    write_jsonl(
        folder / "corpus.jsonl", [{"_id": "d1", "text": "Cats sleep."}, blank, {"_id": "d3", "text": "Trains."}]
    )
    with (folder / "qrels" / "test.tsv").open("a", encoding="utf-8") as file:
        file.write("q1\tgone\t1\nnobody\td1\t1\n")
    with caplog.at_level(logging.WARNING, "mirrorkit"):
        data = read_retrieval(folder)
    assert (list(data.queries), list(data.documents), data.outside) == (["q1", "q2"], ["d1", "d3"], 2)
    said = "\n".join(caplog.messages)
    assert "1 judged queries are not in queries.jsonl and are left out" in said
    assert "2 documents judged right are not in corpus.jsonl, or blank there, and count as not found" in said
    assert "1 documents of corpus.jsonl have no text and are left out" in said
    found = search_scores(Drawn(), data)
    assert found["recall_at_100"].tolist() == [0.5, 0]


def corpus(*rows: dict[str, object]) -> Callable[[Path], object]:
    return lambda folder: write_jsonl(folder / "corpus.jsonl", rows)


def text(name: str, content: str | bytes) -> Callable[[Path], object]:
    raw = content if isinstance(content, bytes) else content.encode()
    return lambda folder: (folder / name).write_bytes(raw)


BAD: list[tuple[Callable[[Path], object], str]] = [
    (lambda f: (f / "corpus.jsonl").unlink(), r"corpus.jsonl: cannot be read \(No such file"),
    (lambda f: (f / "queries.jsonl").unlink(), r"queries.jsonl: cannot be read \(No such file"),
    (lambda f: (f / "qrels" / "test.tsv").unlink(), "neither qrels/SPLIT.tsv nor qrels.tsv in it"),
    (corpus({"_id": "d1", "text": "a"}, {"_id": "d1", "text": "b"}), "line 2: the id 'd1' appears twice"),
    (corpus({"_id": "d1", "text": ""}, {"_id": "d1", "text": "b"}), "line 2: the id 'd1' appears twice"),
    (corpus({"_id": "d1", "text": ""}), "none of its 1 documents has text"),
    (corpus(), "no documents in it"),
    (corpus({"id": "d1", "text": "a"}), "line 1: _id must be a string, is None"),
    (corpus({"_id": "d1", "text": ["a"]}), "line 1: text must be a string, is list"),
    (corpus({"_id": "x", "text": "a"}), "none of the 2 documents that are judged right is in corpus.jsonl"),
    (text("corpus.jsonl", "{}\n[1]\n"), "line 1: _id must be"),
    (text("corpus.jsonl", '{"_id": "d1", "text": "a"}\n[1]\n'), "line 2: expected an object, found list"),
    (text("corpus.jsonl", '{"_id": "d1", "text": "a"}\n{"_id"\n'), "line 2: not JSON"),
    (text("corpus.jsonl", b'{"_id": "d1", "text": "\xff"}\n'), "corpus.jsonl, line 1: byte 0xff is not UTF-8"),
    (text("queries.jsonl", '{"_id": "q1", "text": ""}\n'), "line 1: the query 'q1' has no text"),
    (text("queries.jsonl", '{"_id": "q1", "text": "a"}\n' * 2), "line 2: the id 'q1' appears twice"),
    (text("queries.jsonl", '{"_id": "other", "text": "a"}\n'), "none of the 2 judged queries is in queries.jsonl"),
    (text("qrels/test.tsv", "q1\td1\t0\n"), "no query with a right document in its 1 rows"),
    (text("qrels/test.tsv", ""), "no query with a right document in its 0 rows"),
    (text("qrels/test.tsv", "q1\td1\n"), "line 1: has 2 tab-separated columns, wanted 3"),
    (text("qrels/test.tsv", "q1\td1\t0.5\n"), "line 1: the score '0.5' is not a whole number"),
    (text("qrels/test.tsv", "q1\td1\tyes\n"), "line 1: the score 'yes' is not a number"),
    (text("qrels/test.tsv", "q1\td1\t1\nq1\td1\t1\n"), "line 2: the query 'q1' and the document 'd1' are judged twice"),
]


@pytest.mark.parametrize(("spoil", "complaint"), BAD, ids=[complaint for _, complaint in BAD])
def test_what_is_wrong_with_a_folder_is_named(folder: Path, spoil: Callable[[Path], object], complaint: str) -> None:
    spoil(folder)
    with pytest.raises(CorpusError, match=complaint) as caught:
        read_retrieval(folder)
    assert str(folder) in str(caught.value)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no such folder of a retrieval set"):
        read_retrieval(tmp_path / "none")


def test_vectors_that_are_no_numbers_are_refused(folder: Path) -> None:
    broken = Given(dict.fromkeys(["when do cats sleep", "dogs"], (float("nan"), 1.0)))
    with pytest.raises(ModelError, match="NaN or infinity"):
        evaluate_retrieval(broken, folder)


def test_the_interval_holds_the_mean_of_all_queries_19_times_in_20() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for seed in range(300):
        drawn = (rng.random((1, 120)) < 0.3).astype(np.float64)
        (interval,) = mean_intervals(drawn, seed=seed)
        inside += interval.low <= 0.3 <= interval.high
    assert 0.91 < inside / 300 < 0.99
