"""Vectors that may be cut: the loss held to sentence-transformers', in every way a batch is made, and what is told."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from mirrorkit import SentenceEncoder, finetune
from mirrorkit.assets.paths import GRADED
from mirrorkit.errors import ConfigError, OutputError
from mirrorkit.formats.layout_reader import read_layout
from mirrorkit.formats.training_record import read_training
from mirrorkit.training.corpus import load_corpus
from mirrorkit.training.loop import _Draw, train
from mirrorkit.training.loss import nt_xent, ranking
from mirrorkit.training.matryoshka import nested, parse_dims
from mirrorkit.training.objective import Batch, Objective
from mirrorkit.training.own import OwnLoss
from mirrorkit.training.passes import Passes, gradients, plan_passes
from mirrorkit.training.ranks import Ranks
from mirrorkit.training.recipe import Recipe
from tests.formats.making import Base, dense
from tests.training.test_checkpoint import Halting, Killed, kill

TEMPERATURE, DIMS, DIM = 0.2, (3, 8, 20), 32
SENTENCES = list(dict.fromkeys(line.split("\t")[1] for line in GRADED.read_text(encoding="utf-8").splitlines()))[:40]
SETTINGS: dict[str, Any] = {"batch_size": 8, "steps": 3, "max_length": 24, "matryoshka": "4,16"}
SETTINGS |= {"device": "cpu", "autocast": "fp32", "verdict": False}


def raw(rows: int, seed: int = 1) -> Tensor:
    return torch.randn(rows, DIM, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def symmetric(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Return the multiple negatives symmetric ranking loss by its formula."""
    similarity = first @ second.T / temperature
    own = torch.arange(len(first))
    return (cross_entropy(similarity, own) + cross_entropy(similarity.T, own)) / 2


def of_recipe(vectors: Tensor, views: int, own: OwnLoss | None = None) -> Tensor:
    """Return the loss of the trainer, whose model gives vectors of any length."""
    encoder = SentenceEncoderLike()
    recipe = Recipe(temperature=TEMPERATURE, matryoshka=",".join(map(str, DIMS)))
    objective = Objective(encoder, recipe, Ranks(), own)  # type: ignore[arg-type]
    return objective.of(Batch(np.arange(len(vectors) // views), None, views))(vectors)


class SentenceEncoderLike:
    """What the loss asks of an encoder."""

    dim = DIM

    class usage:  # noqa: N801
        normalized = False


class Given(nn.Module):
    """What a loss of sentence-transformers asks of a model: here the features are the vectors."""

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"sentence_embedding": features["vectors"]}

    def get_embedding_dimension(self) -> int:
        return DIM


def of_sentence_transformers(name: str, columns: tuple[Tensor, ...]) -> Tensor:
    pytest.importorskip("sentence_transformers", reason="needs sentence-transformers")
    from sentence_transformers import losses

    model: Any = Given()
    inner = getattr(losses, name)(model, scale=1 / TEMPERATURE)
    loss: Tensor = losses.MatryoshkaLoss(model, inner, [*DIMS, DIM])(
        [{"vectors": column} for column in columns], torch.empty(0)
    )
    return loss


@pytest.mark.parametrize(
    ("name", "views", "own"),
    [("MultipleNegativesSymmetricRankingLoss", 2, symmetric), ("MultipleNegativesRankingLoss", 3, None)],
)
def test_loss_and_gradient_are_those_of_sentence_transformers(name: str, views: int, own: OwnLoss | None) -> None:
    ours, theirs = raw(6 * views), raw(6 * views)
    loss, expected = of_recipe(ours, views, own), of_sentence_transformers(name, theirs.chunk(views))
    loss.backward()  # type: ignore[no-untyped-call]
    expected.backward()  # type: ignore[no-untyped-call]
    assert ours.grad is not None
    assert theirs.grad is not None
    count = len(DIMS) + 1  # theirs is the sum, each length with weight 1; ours the mean
    torch.testing.assert_close(loss * count, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.grad * count, theirs.grad, atol=1e-5, rtol=1e-5)


def test_nt_xent_is_the_mean_over_the_lengths_by_the_plain_formula() -> None:
    vectors = raw(12)
    every = []
    for dim in (*DIMS, DIM):
        short = vectors[:, :dim].double()
        short = short / short.norm(dim=1, keepdim=True)
        for i in range(12):
            powers = torch.exp(short @ short[i] / TEMPERATURE)
            every.append(-torch.log(powers[(i + 6) % 12] / (powers.sum() - powers[i])))
    expected = torch.stack(every).mean()
    torch.testing.assert_close(of_recipe(vectors, 2).double(), expected, atol=1e-5, rtol=1e-5)
    (gradient,) = torch.autograd.grad(of_recipe(vectors, 2), vectors)
    (wanted,) = torch.autograd.grad(expected, vectors)
    torch.testing.assert_close(gradient, wanted, atol=1e-5, rtol=1e-5)


def test_without_lengths_the_loss_is_the_same_bits() -> None:
    vectors = normalize(raw(12), dim=-1)
    assert torch.equal(nested(lambda v: nt_xent(v, 0.1), vectors, ()), nt_xent(vectors, 0.1))
    assert Recipe().cut_dims == ()
    nothing = torch.zeros(12, DIM)  # of which no cut has a direction
    assert math.isfinite(float(nested(lambda v: ranking(v, 0.1), nothing, (1, 2))))


def batch_gradients(encoder: SentenceEncoder, plan: Callable[[Passes], Passes]) -> dict[str, Tensor]:
    views = encoder.tokenize(SENTENCES[:12])
    rows = np.arange(6)
    both = _Draw(views, None, [rows], rows).both(rows)
    encoder.zero_grad()
    objective = Objective(encoder, Recipe(temperature=TEMPERATURE, matryoshka="4,16"), Ranks())
    passes = plan(plan_passes(encoder, views.lengths[both], encoder.max_length))
    loss = gradients(encoder, views, both, passes, objective.of(Batch(rows)))
    return {"loss": loss, **{name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}}


def test_a_batch_in_parts_has_the_gradient_of_the_whole(tiny_random: Callable[[str], Path]) -> None:
    encoder = SentenceEncoder.load(tiny_random("bert"), dropout=0.0).train()
    whole = batch_gradients(encoder, lambda plan: plan)
    parts = [np.array([row]) for row in range(12)]
    twice = batch_gradients(encoder, lambda plan: Passes(parts, True, plan.kept, plan.whole, plan.pad_to))
    assert whole.keys() == twice.keys()
    for name, gradient in whole.items():
        torch.testing.assert_close(twice[name], gradient, atol=1e-5, rtol=1e-4)


def test_killed_and_resumed_it_ends_with_the_same_bits(
    tiny_random: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mirrorkit.training.watch.Watch._EVERY", 0.0)
    base = tiny_random("bert")
    straight = finetune(base, SENTENCES, tmp_path / "straight", **SETTINGS)
    with pytest.raises(Killed):
        finetune(base, SENTENCES, tmp_path / "m", checkpoint_every=1, progress=Halting(2, kill), **SETTINGS)
    with pytest.raises(OutputError, match="made with another recipe"):
        finetune(base, SENTENCES, tmp_path / "m", resume=True, **{**SETTINGS, "matryoshka": "4"})
    resumed = finetune(base, SENTENCES, tmp_path / "m", resume=True, **SETTINGS)
    for one, other in zip(straight.encoder.parameters(), resumed.encoder.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_saved_folder_names_the_lengths_and_the_scores_at_each(
    tiny_random: Callable[[str], Path], tmp_path: Path
) -> None:
    pairs = tmp_path / "graded.tsv"
    pairs.write_text("\n".join(GRADED.read_text(encoding="utf-8").splitlines()[:30]) + "\n", encoding="utf-8")
    result = finetune(tiny_random("bert"), SENTENCES, tmp_path / "m", evaluate=f"sts:{pairs}", **SETTINGS)
    record = read_training(tmp_path / "m")
    assert record is not None
    assert record.truncate_dims == (4, 16)
    assert record.cuts == result.cuts
    assert [cut.dim for cut in record.cuts] == [4, 16]
    rows = [line.split("\t") for line in pairs.read_text(encoding="utf-8").splitlines()]
    from scipy.stats import spearmanr

    for dim, (one,) in [*((cut.dim, cut.changes) for cut in record.cuts), (DIM, record.changes)]:
        left, right = (result.encoder.encode([row[side] for row in rows])[:, :dim] for side in (1, 2))
        cosines = (left * right).sum(axis=1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)
        expected = 100 * spearmanr(cosines, [float(row[0]) for row in rows]).statistic
        assert one.after == pytest.approx(expected, abs=0.05)
    assert record.cuts[0].changes[0].after != record.changes[0].after
    assert "vectors may be cut to" in record.rows()
    card = (tmp_path / "m" / "README.md").read_text(encoding="utf-8")
    assert "The first 4 or 16 numbers" in card
    assert f"| set | measure | 4 | 16 | {DIM} |" in card
    # what others read stays as it is: nothing cuts the vectors unless it is asked for
    assert "truncate_dim" not in json.loads((tmp_path / "m" / "config_sentence_transformers.json").read_text())
    assert read_layout(tmp_path / "m").truncate_dim is None
    without = {**SETTINGS, "matryoshka": ""}
    finetune(tiny_random("bert"), SENTENCES, tmp_path / "plain", evaluate=f"sts:{pairs}", **without)
    plain_card = (tmp_path / "plain" / "README.md").read_text(encoding="utf-8")
    assert "atryoshka" not in plain_card
    assert "Shorter" not in plain_card


def test_the_lengths_are_sorted_and_may_stand_apart() -> None:
    assert Recipe(matryoshka=" 128, 64,256 ").matryoshka == "64,128,256"
    assert parse_dims("  ") == ()


@pytest.mark.parametrize("asked", ["0", "-1", "a", "64,64", "64;128", "64,,128", "64,", "1e2", "6.4", "²", "9" * 12])
def test_what_is_no_list_of_lengths_is_refused(asked: str) -> None:
    with pytest.raises(ConfigError, match=r"^matryoshka .*: must be lengths of shorter vectors such as 64,128,256"):
        Recipe(matryoshka=asked)


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^matryoshka 64: must be text"):
        Recipe(matryoshka=64)  # type: ignore[arg-type]


@pytest.mark.parametrize("asked", ["32", "9999", "8,32"])
def test_lengths_that_the_model_does_not_have_are_refused(
    tiny_random: Callable[[str], Path], tmp_path: Path, asked: str
) -> None:
    wanted = f"^matryoshka {asked}: the model's vectors have 32 dimensions, so each must be from 1 to 31"
    with pytest.raises(ConfigError, match=wanted):
        finetune(tiny_random("bert"), SENTENCES, tmp_path / "m", **{**SETTINGS, "matryoshka": asked})
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match=wanted):
        train(SentenceEncoder.load(tiny_random("bert")), load_corpus(SENTENCES), Recipe(matryoshka=asked))


def test_behind_a_dense_layer_the_last_width_counts(tiny_random: Callable[[str], Path], tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="needs sentence-transformers")
    dense(tmp_path / "dense", Base(tiny_random("bert")))  # 32 to 24
    with pytest.raises(ConfigError, match="have 24 dimensions, so each must be from 1 to 23"):
        finetune(tmp_path / "dense", SENTENCES, **{**SETTINGS, "matryoshka": "24"})
    assert finetune(tmp_path / "dense", SENTENCES, **{**SETTINGS, "matryoshka": "23"}).encoder.dim == 24
    wide = {**SETTINGS, "matryoshka": "40", "pooling": "cls+mean"}
    assert finetune(tiny_random("bert"), SENTENCES, **wide).encoder.dim == 64
