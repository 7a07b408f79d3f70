"""Run mteb on our encoder, with tasks that are here and nothing from a network."""

from __future__ import annotations

import importlib
import json
import math
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mirrorkit.errors import ConfigError, MissingExtraError
from mirrorkit.evaluation.beir import read_retrieval
from mirrorkit.evaluation.loading import Loaded
from mirrorkit.evaluation.mteb import MtebEncoder
from mirrorkit.evaluation.search import score_search, search_scores
from tests.evaluation.fakes import Drawn, write_beir

ROWS = [
    ("A man plays a guitar.", "Someone makes music.", 4.0),
    ("It rained all day.", "The weather was wet.", 4.2),
    ("The cat sleeps.", "Prices rose again.", 0.2),
    ("Two dogs run.", "Dogs are running.", 4.9),
    ("He reads a book.", "She cooks rice.", 0.9),
]


class Fake:
    """Count letters."""

    def encode(self, texts: Sequence[str], /) -> npt.NDArray[np.float32]:
        return np.array([[1 + text.lower().count(c) for c in "abcdefghijklmnopqrst"] for text in texts], np.float32)

    def cosine(self, left: str, right: str) -> float:
        a, b = self.encode([left, right]).astype(float)
        return float(a @ b / math.sqrt(a @ a) / math.sqrt(b @ b))


@pytest.fixture(scope="module")
def mteb() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_DATASETS_OFFLINE", "1")
        return pytest.importorskip("mteb", minversion="2", reason="needs the mteb extra")


@pytest.fixture
def task(mteb: Any) -> Any:
    """Return an STS task of mteb's own kind whose rows are those above."""
    datasets: Any = pytest.importorskip("datasets", reason="needs the mteb extra")

    class LocalSTS(mteb.abstasks.AbsTaskSTS):  # type: ignore[misc]
        metadata = mteb.TaskMetadata(
            name="LocalSTS",
            description="Five pairs.",
            dataset={"path": "none", "revision": "none"},
            type="STS",
            category="t2t",
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="cosine_spearman",
            modalities=["text"],
        )
        min_score, max_score = 0, 5

        def load_data(self, **_: Any) -> None:
            left, right, score = zip(*ROWS, strict=True)
            columns = {"sentence1": list(left), "sentence2": list(right), "score": list(score)}
            self.dataset = datasets.DatasetDict({"test": datasets.Dataset.from_dict(columns)})
            self.data_loaded = True

    return LocalSTS()


@pytest.fixture
def searched(tmp_path: Path) -> Path:
    """Write a search of 300 documents in BEIR's layout, with graded judgements and documents of the same text."""
    rng = np.random.default_rng(1)
    documents = {f"d{i}": f"document {i % 250}" for i in range(300)}
    queries = {f"q{i}": f"query {i}" for i in range(60)}
    judged = [
        (query, str(one), int(rng.integers(0, 4)) or int(not place))
        for query in queries
        for place, one in enumerate(rng.choice(list(documents), rng.integers(1, 12), replace=False))
    ]
    return write_beir(tmp_path / "drawn", documents, queries, judged)


@pytest.fixture
def search_task(mteb: Any, searched: Path) -> Any:
    """Return a retrieval task of mteb's own kind over that search; it keeps what mteb finds for every query."""
    datasets: Any = pytest.importorskip("datasets", reason="needs the mteb extra")
    metrics = importlib.import_module("mteb._evaluators.retrieval_metrics")

    class LocalRetrieval(mteb.abstasks.AbsTaskRetrieval):  # type: ignore[misc]
        metadata = mteb.TaskMetadata(
            name="LocalRetrieval",
            description="Drawn documents.",
            dataset={"path": "none", "revision": "none"},
            type="Retrieval",
            category="t2t",
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
            modalities=["text"],
        )
        by_query: dict[str, dict[str, float]]

        def load_data(self, **_: Any) -> None:
            corpus, queries = (
                [json.loads(line) for line in (searched / name).read_text(encoding="utf-8").splitlines()]
                for name in ("corpus.jsonl", "queries.jsonl")
            )
            relevant: dict[str, dict[str, int]] = {}
            for row in (searched / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines():
                query, document, grade = row.split("\t")
                if grade.isdigit():  # not the header
                    relevant.setdefault(query, {})[document] = int(grade)
            columns = {"id": [row["_id"] for row in corpus], "text": [row["text"] for row in corpus]}
            asked = {"id": [row["_id"] for row in queries], "text": [row["text"] for row in queries]}
            split = {
                "corpus": datasets.Dataset.from_dict(columns),
                "queries": datasets.Dataset.from_dict(asked),
                "relevant_docs": relevant,
                "top_ranked": None,
            }
            self.dataset = {"default": {"test": split}}
            self.data_loaded = True

        def task_specific_scores(self, scores: Any, qrels: Any, results: Any, **_: Any) -> dict[str, float]:
            ranks = metrics.mrr(qrels, results, [10])["MRR@10"]
            self.by_query = {
                query: {**scores[query], "mrr_10": rank} for query, rank in zip(results, ranks, strict=True)
            }
            return {}

    return LocalRetrieval()


@pytest.fixture
def wrapped(mteb: Any, tmp_path: Path) -> MtebEncoder:
    return MtebEncoder(Loaded(Fake(), tmp_path, None, 20, 64), "here/letters", "r1")


@pytest.mark.filterwarnings("default")  # mteb's own
def test_mteb_scores_our_encoder_as_scipy_does(mteb: Any, task: Any, wrapped: MtebEncoder) -> None:
    stats = pytest.importorskip("scipy.stats")
    result = mteb.evaluate(wrapped, task, cache=None, show_progress_bar=False)
    cosines = [Fake().cosine(a, b) for a, b, _ in ROWS]
    expected = stats.spearmanr(cosines, [score for *_, score in ROWS]).statistic
    assert result.task_results[0].get_score() == pytest.approx(expected)
    assert (result.model_name, result.model_revision) == ("here/letters", "r1")


@pytest.mark.filterwarnings("default")
def test_mteb_ranks_for_every_query_as_we_do(mteb: Any, search_task: Any, searched: Path, tmp_path: Path) -> None:
    drawn = Drawn()
    model = MtebEncoder(Loaded(drawn, tmp_path, None, drawn.dim, 64), "here/drawn", "r1")
    result = mteb.evaluate(model, search_task, cache=None, show_progress_bar=False)
    data = read_retrieval(searched)
    ours = search_scores(drawn, data)
    theirs = {
        "ndcg_at_10": "ndcg_cut_10",
        "mrr_at_10": "mrr_10",
        "map_at_100": "map_cut_100",
        **{f"recall_at_{k}": f"recall_{k}" for k in (1, 10, 100)},
    }
    assert set(theirs) == set(ours)
    (means,) = result.task_results[0].scores["test"]
    score = score_search(drawn, data)
    for measure, name in theirs.items():
        wanted = [search_task.by_query[query][name] for query in data.queries]
        assert ours[measure] == pytest.approx(wanted, abs=1e-6), measure
        assert means[measure] == pytest.approx(getattr(score, measure).value / 100, abs=5.1e-6)  # mteb rounds means


@pytest.mark.filterwarnings("default")
def test_mteb_takes_a_model_and_names_its_state(mteb: Any, task: Any, tiny: Path, tmp_path: Path) -> None:
    encoder = MtebEncoder.load(tiny, device="cpu")
    assert isinstance(encoder, mteb.models.EncoderProtocol)
    result = mteb.evaluate(encoder, task, cache=None, show_progress_bar=False)
    assert result.model_name == "mirrorkit/tiny-mlm"
    assert -1 <= result.task_results[0].get_score() <= 1

    same, other = tmp_path / "same", tmp_path / "other"
    shutil.copytree(tiny, same)
    shutil.copytree(tiny, other)
    with (other / "model.safetensors").open("r+b") as weights:
        weights.seek(-4, 2)
        weights.write(b"\x00\x00\x80\x3f")
    revisions = [
        MtebEncoder.load(folder, device="cpu", pooling=pooling).mteb_model_meta.revision
        for folder, pooling in ((tiny, None), (same, None), (other, None), (tiny, "cls"))
    ]
    assert revisions[0] == revisions[1]
    assert len(set(revisions)) == 3


def test_batches_come_back_in_order_and_prompts_change_nothing(wrapped: MtebEncoder) -> None:
    texts = [text for left, right, _ in ROWS for text in (left, right)]
    batches = [{"text": texts[:3]}, {"text": texts[3:]}]
    vectors = wrapped.encode(batches, task_metadata=None, hf_split="test", hf_subset="x", prompt_type="query")
    assert (vectors == Fake().encode(texts)).all()
    cosines = np.array([[Fake().cosine(a, b) for b in texts] for a in texts])
    assert np.asarray(wrapped.similarity(vectors, vectors)) == pytest.approx(cosines, abs=1e-6)
    assert np.asarray(wrapped.similarity_pairwise(vectors[:5], vectors[5:])) == pytest.approx(
        [cosines[i, i + 5] for i in range(5)], abs=1e-6
    )


@pytest.mark.parametrize("name", ["letters", "a/b/c", "/letters", ""])
def test_a_name_is_organisation_and_model(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="mteb wants organisation/model"):
        MtebEncoder(Loaded(Fake(), tmp_path, None, 20, 64), name, "r1")


def test_without_mteb_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mteb.similarity_functions", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mirrorkit\[mteb\]'"):
        MtebEncoder(Loaded(Fake(), tmp_path, None, 20, 64), "here/letters", "r1")
