"""A teacher: what it adds to the loss, where its vectors come from and are kept, and what is no teacher."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch
from torch import nn

from mirrorkit import FinetuneResult, SentenceEncoder, export, finetune
from mirrorkit.assets.paths import GRADED
from mirrorkit.errors import MirrorkitError, ModelError, OutputError
from mirrorkit.progress import Silent
from mirrorkit.text.ragged import Ints
from mirrorkit.training import teacher_vectors
from mirrorkit.training.corpus import Corpus, load_corpus
from mirrorkit.training.memory import Costs
from mirrorkit.training.objective import Batch, Objective
from mirrorkit.training.passes import gradients, plan_passes
from mirrorkit.training.ranks import Ranks
from mirrorkit.training.recipe import Recipe
from mirrorkit.training.teacher import Taught, listwise
from mirrorkit.training.teacher_vectors import Teacher, ask_teachers
from mirrorkit.training.view_choice import Views
from mirrorkit.training.watch import Watch
from tests.training.test_checkpoint import Halting, Killed, kill

SENTENCES = list(dict.fromkeys(line.split("\t")[1] for line in GRADED.read_text(encoding="utf-8").splitlines()))[:24]
SETTINGS: dict[str, Any] = {"batch_size": 8, "steps": 4, "max_length": 24, "device": "cpu", "autocast": "fp32"}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mirrorkit" / "teacher"


def ask(*names: str | Path, corpus: Corpus | None = None) -> Teacher:
    corpus = corpus or load_corpus(SENTENCES)
    found = ask_teachers(names, corpus, device="cpu", trust_remote_code=False, progress=Silent())
    assert found is not None
    return found


def same(left: FinetuneResult, right: FinetuneResult) -> bool:
    theirs = right.encoder.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in left.encoder.state_dict().items())


def unit(rows: int, seed: int) -> torch.Tensor:
    drawn = torch.randn(rows, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return nn.functional.normalize(drawn, dim=-1).float()


def plain_listwise(
    vectors: torch.Tensor, known: list[torch.Tensor], texts: list[int], student: float, teacher: float
) -> float:
    """Write the sum out: KL of the teacher's distribution over all other texts from the student's, mean over texts."""
    total = 0.0
    for i in range(len(vectors)):
        others = [j for j in range(len(vectors)) if texts[j] != texts[i]]
        own = [math.exp(float(vectors[i] @ vectors[j]) / student) for j in others]
        asked = [math.exp(sum(float(k[i] @ k[j]) for k in known) / len(known) / teacher) for j in others]
        for p, q in zip(asked, own, strict=True):
            total += p / sum(asked) * math.log((p / sum(asked)) / (q / sum(own)))
    return total / len(vectors)


def test_the_loss_is_the_plain_formula() -> None:
    corpus = load_corpus(SENTENCES[:6])
    known = [unit(6, 1).numpy(), unit(6, 2).numpy()]
    keys = teacher_vectors._hashes(corpus.texts)
    teacher = Teacher((), tuple(known), np.sort(keys), np.argsort(keys))
    recipe = Recipe(teacher_weight=3.0, student_temperature=0.2, teacher_temperature=0.1)
    rows = np.array([4, 0, 3])
    vectors = unit(6, 3)
    found = Taught(teacher, corpus, recipe).loss(vectors, Batch(rows))
    twice = [torch.from_numpy(each[np.tile(rows, 2)]) for each in known]
    wanted = plain_listwise(vectors, twice, [*rows, *rows], student=0.2, teacher=0.1)
    assert float(found) == pytest.approx(3 * wanted, rel=1e-5)
    labelled = Taught(teacher, corpus, recipe).loss(vectors, Batch(rows, torch.tensor([0, 1, 0, 0, 1, 0])))
    assert float(labelled) == pytest.approx(
        3 * plain_listwise(vectors, twice, [0, 1, 0, 0, 1, 0], student=0.2, teacher=0.1), rel=1e-5
    )


def test_the_students_own_similarities_have_no_gradient() -> None:
    vectors = unit(8, 1).requires_grad_()
    left_out = torch.eye(8, dtype=torch.bool)
    similarities = (vectors @ vectors.T).detach()
    loss = listwise(vectors, similarities, left_out, 0.05, 0.05)
    loss.backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert vectors.grad.abs().max().item() < 1e-5
    other = listwise(vectors, similarities, left_out, 0.05, 0.1)
    assert other.item() > 0.01


def test_one_that_is_compared_with_nobody_adds_nothing() -> None:
    vectors = unit(4, 1).requires_grad_()
    loss = listwise(vectors, torch.eye(4), torch.ones(4, 4, dtype=torch.bool), 0.05, 0.05)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert vectors.grad is not None
    assert not vectors.grad.any()


def test_parts_of_a_batch_have_the_gradient_of_the_whole() -> None:
    encoder, corpus, recipe = SentenceEncoder.load("tiny"), load_corpus(SENTENCES), Recipe(teacher_weight=2.0)
    objective = Objective(encoder, recipe, Ranks(), None, Taught(ask("tiny"), corpus, recipe))
    rows: Ints = np.arange(12)
    ids = encoder.tokenize(list(corpus.texts[:6]) * 2)
    found = []
    for costs, room in ((None, math.inf), (Costs(1.0, 0.0, 0.0, 0.0), 1.0)):
        encoder.zero_grad()
        plan = plan_passes(encoder, ids.lengths, 24, costs, room)
        assert plan.twice == (room == 1.0)
        gradients(encoder, ids, rows, plan, objective.of(Batch(rows[:6])))
        found.append([p.grad.clone() for p in encoder.parameters() if p.grad is not None])
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*found, strict=True))


def test_partners_neighbours_and_negatives_have_vectors_of_their_own() -> None:
    triples = list(zip(SENTENCES[:5], SENTENCES[5:10], SENTENCES[10:15], strict=True))
    corpus = load_corpus(triples, pairs=True)
    encoder = SentenceEncoder.load("tiny")
    teacher = ask("tiny", corpus=corpus)
    rows = np.array([3, 1])
    found = Taught(teacher, corpus, Recipe()).similarities(Batch(rows, None, 3), torch.device("cpu"))
    vectors = encoder.encode([triples[i][view] for view in range(3) for i in rows])
    assert np.allclose(found.numpy(), vectors @ vectors.T, atol=1e-5)
    texts = load_corpus(SENTENCES)
    taught = Taught(ask("tiny"), texts, Recipe(views=Views.ADJACENT))
    found = taught.similarities(Batch(np.array([0, len(texts) - 1])), torch.device("cpu"))
    vectors = encoder.encode([texts.texts[i] for i in (0, -1, 1, -2)])
    assert np.allclose(found.numpy(), vectors @ vectors.T, atol=1e-5)


@pytest.mark.slow
def test_a_bundle_gives_the_vectors_of_its_folder(tmp_path: Path) -> None:
    export("tiny", tmp_path / "bundle", precision=["fp32"], optimize=False)
    folder, bundle = ask("tiny"), ask(tmp_path / "bundle")
    assert np.abs(folder.vectors[0] - bundle.vectors[0]).max() < 1e-5
    assert bundle.records[0].variant == "fp32"
    assert bundle.records[0].name == "bundle"
    assert bundle.records[0].sha256 != folder.records[0].sha256


def test_vectors_are_computed_once_and_anew_where_they_are_damaged(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []
    plain = SentenceEncoder.encode

    def counted(self: SentenceEncoder, texts: list[str]) -> Any:
        asked.extend(texts)
        return plain(self, texts)

    monkeypatch.setattr(SentenceEncoder, "encode", counted)
    corpus = load_corpus([*SENTENCES, SENTENCES[0]], keep_repeats=True)
    first = ask("tiny", corpus=corpus)
    assert asked == SENTENCES  # each distinct one once
    (entry,) = own_cache.iterdir()
    assert not any(text.encode() in (entry / "vectors.npy").read_bytes() for text in SENTENCES)
    if os.name == "posix":
        assert own_cache.stat().st_mode & 0o077 == 0
    again = ask("tiny", corpus=corpus)
    assert len(asked) == len(SENTENCES)
    assert np.array_equal(first.vectors[0], again.vectors[0])
    ask("tiny", corpus=load_corpus(SENTENCES[:5]))  # other texts are another entry
    assert len(asked) == len(SENTENCES) + 5
    for damage in (b"no array", (entry / "vectors.npy").read_bytes()[:-4] + b"\0\0\1\1"):
        (entry / "vectors.npy").write_bytes(damage)
        caplog.clear()
        mended = ask("tiny", corpus=corpus)
        assert np.array_equal(first.vectors[0], mended.vectors[0])
        assert len([line for line in caplog.messages if "asked again" in line]) == 1
    assert len(asked) == 3 * len(SENTENCES) + 5


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(
    own_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own_cache.parent.parent.mkdir()
    own_cache.parent.write_text("a file")
    found = ask("tiny")
    assert found.vectors[0].shape == (len(SENTENCES), 64 if found.records[0].dim == 64 else 384)
    assert "not kept" in caplog.text


def test_a_training_with_a_teacher_is_another_seeded_recorded_and_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Path
) -> None:
    plain = finetune("tiny", SENTENCES, **SETTINGS)
    whole = finetune("tiny", SENTENCES, tmp_path / "whole", teacher=["tiny", tiny], **SETTINGS)
    assert not same(plain, whole)
    assert same(whole, finetune("tiny", SENTENCES, teacher="tiny", **SETTINGS))  # the mean of two alike
    record = json.loads((tmp_path / "whole" / "training.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in record["teachers"]] == ["tiny", tiny.name]
    assert "| teacher | tiny (sha256" in (tmp_path / "whole" / "README.md").read_text(encoding="utf-8")
    monkeypatch.setattr(Watch, "_EVERY", 0.0)
    with pytest.raises(Killed):
        finetune(
            "tiny",
            SENTENCES,
            tmp_path / "out",
            teacher="tiny",
            checkpoint_every=1,
            progress=Halting(2, kill),
            **SETTINGS,
        )
    with pytest.raises(OutputError, match="another teacher"):
        finetune("tiny", SENTENCES, tmp_path / "out", resume=True, **SETTINGS)
    resumed = finetune("tiny", SENTENCES, tmp_path / "out", teacher="tiny", resume=True, **SETTINGS)
    assert same(whole, resumed)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"teacher": []}, r"teacher \[\]: must be a model or bundle"),
        ({"teacher": [3]}, r"teacher \[3\]: must be a model or bundle"),
        ({"teacher": "tiny", "teacher_weight": 0}, "teacher_weight 0: must be above 0"),
        ({"teacher": "tiny", "teacher_weight": -1.0}, "teacher_weight -1.0: must be at least 0"),
        ({"teacher": "tiny", "teacher_temperature": 0.0}, "teacher_temperature 0.0: must be above 0"),
        ({"teacher_weight": 2.0}, "teacher_weight 2.0: is of what a `teacher` adds"),
        ({"teacher": "tiny", "loss": lambda a, b, t: (a - b).square().sum()}, "goes without a `teacher`"),
        ({"teacher": "./nowhere"}, "nowhere: no such folder"),
        ({"teacher": Path("nowhere")}, "nowhere: no such folder"),
    ],
)
def test_what_is_no_teacher_is_refused(given: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(MirrorkitError, match=said):
        finetune("tiny", SENTENCES, tmp_path / "out", **{**SETTINGS, **given})
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_model_and_vectors_that_are_no_numbers_are_refused(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match=r"no config\.json in it"):
        finetune("tiny", SENTENCES, teacher=tmp_path, **SETTINGS)
    nan = np.full((len(SENTENCES), 64), np.nan, np.float32)
    monkeypatch.setattr(SentenceEncoder, "encode", lambda _self, _texts: nan)
    with pytest.raises(ModelError, match="tiny: its vectors hold NaN or infinity"):
        ask("tiny")
    assert not list(own_cache.glob("[!.]*"))


class Third(Ranks):
    """One of three processes, without the others: their vectors are known to it and have no graph."""

    def __init__(self, rank: int, whole: torch.Tensor) -> None:
        super().__init__(rank, 3)
        self._whole = whole.detach().clone()

    def gather(self, own: torch.Tensor, pairs: int, views: int = 2) -> torch.Tensor:
        mine = self.share(np.arange(pairs))
        places = np.concatenate([mine + view * pairs for view in range(views)])
        return self._whole.clone().index_put((torch.from_numpy(places),), own)


def test_the_gradients_of_several_processes_add_up_to_that_of_one() -> None:
    encoder, corpus, recipe = SentenceEncoder.load("tiny"), load_corpus(SENTENCES), Recipe(teacher_weight=3.0)
    taught, batch = Taught(ask("tiny"), corpus, recipe), Batch(np.arange(7))
    vectors = unit(14, 4).requires_grad_()
    Objective(encoder, recipe, Ranks(), None, taught).of(batch)(vectors).backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None
    wanted, total = vectors.grad.clone(), torch.zeros_like(vectors)
    for rank in range(3):
        ranks = Third(rank, vectors)
        places = np.concatenate([ranks.share(np.arange(7)) + view * 7 for view in range(2)])
        share = vectors.detach()[places].requires_grad_()
        Objective(encoder, recipe, ranks, None, taught).of(batch)(share).backward()  # type: ignore[no-untyped-call]
        assert share.grad is not None
        total[places] += share.grad
    assert torch.allclose(total, wanted, atol=1e-6)
