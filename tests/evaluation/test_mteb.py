"""Run mteb on our encoder, with tasks that are here and nothing from a network."""

from __future__ import annotations

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
from mirrorkit.evaluation.loading import Loaded
from mirrorkit.evaluation.mteb import MtebEncoder

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
