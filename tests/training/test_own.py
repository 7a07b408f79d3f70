"""Functions of the user's own: the views of a text and the loss of a batch, held to what they return."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch
from torch import Tensor, nn

from mirrorkit import FinetuneResult, SentenceEncoder, finetune, nt_xent
from mirrorkit.assets.paths import GRADED
from mirrorkit.errors import ConfigError, OutputError
from mirrorkit.training.corpus import load_corpus
from mirrorkit.training.memory import Costs
from mirrorkit.training.objective import Batch, Objective
from mirrorkit.training.own import name_of
from mirrorkit.training.pairs import PairMaker
from mirrorkit.training.passes import gradients, plan_passes
from mirrorkit.training.ranks import Ranks
from mirrorkit.training.recipe import Recipe
from mirrorkit.training.view_choice import Views
from mirrorkit.training.watch import Watch
from tests.training.test_checkpoint import Halting, Killed, kill

SENTENCES = list(dict.fromkeys(line.split("\t")[1] for line in GRADED.read_text(encoding="utf-8").splitlines()))[:40]
SETTINGS: dict[str, Any] = {"batch_size": 8, "steps": 7, "max_length": 24, "device": "cpu", "autocast": "fp32"}
# What `auto` has for identity views alone, taken away.
PLAIN: dict[str, Any] = {
    "shuffle": 0.0,
    "span_mask": 0,
    "decoupled": False,
    "average_last": 0.0,
    "temperature": 0.07,
    "learning_rate": 1e-4,
}


def halves(text: str, rng: np.random.Generator) -> tuple[str, str]:
    """Cut at a word drawn at random."""
    words = text.split()
    place = int(rng.integers(1, len(words)))
    return " ".join(words[:place]), " ".join(words[place:])


def twice(text: str, rng: np.random.Generator) -> tuple[str, str]:
    return text, text


def ranking(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Multiple negatives ranking: the other second views are the negatives of a first one."""
    return nn.functional.cross_entropy(first @ second.T / temperature, torch.arange(len(first)))


def contrast(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    return nt_xent(torch.cat([first, second]), temperature)


def same(left: FinetuneResult, right: FinetuneResult) -> bool:
    theirs = right.encoder.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in left.encoder.state_dict().items())


def test_the_pairs_are_what_the_function_returns_drawn_from_the_runs_numbers() -> None:
    corpus = load_corpus(SENTENCES)
    maker = PairMaker(corpus, Recipe(views=Views.OWN), halves)
    drawn = maker.draw(np.arange(5), np.random.default_rng(3))
    rng = np.random.default_rng(3)
    assert list(zip(drawn.first, drawn.second, strict=True)) == [halves(text, rng) for text in SENTENCES[:5]]


def test_views_that_are_the_string_twice_train_as_identity_does() -> None:
    own = finetune("tiny", SENTENCES, views=twice, **SETTINGS)
    assert same(own, finetune("tiny", SENTENCES, views="identity", **PLAIN, **SETTINGS))
    assert own.recipe.span_mask == 0  # what the function returns is what is trained on
    masked = finetune("tiny", SENTENCES, views=twice, span_mask=5, **SETTINGS)
    assert same(masked, finetune("tiny", SENTENCES, views="identity", **PLAIN | {"span_mask": 5}, **SETTINGS))


def test_a_run_with_own_views_and_loss_is_seeded_recorded_and_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watch, "_EVERY", 0.0)
    own: dict[str, Any] = {"views": halves, "loss": ranking, **SETTINGS}
    whole = finetune("tiny", SENTENCES, tmp_path / "whole", **own)
    record = json.loads((tmp_path / "whole" / "training.json").read_text("utf-8"))
    assert record["views"] == f"own: {__name__}.halves"
    assert record["loss_function"] == f"{__name__}.ranking"
    assert f"{__name__}.ranking" in (tmp_path / "whole" / "README.md").read_text("utf-8")
    assert not same(whole, finetune("tiny", SENTENCES, seed=1, **own))
    with pytest.raises(Killed):
        finetune("tiny", SENTENCES, tmp_path / "out", checkpoint_every=2, progress=Halting(5, kill), **own)
    with pytest.raises(ConfigError, match=r"views own: give the function"):
        finetune("tiny", SENTENCES, recipe=whole.recipe, steps=2)
    assert same(finetune("tiny", SENTENCES, tmp_path / "out", resume=True, **own), whole)


def test_a_checkpoint_is_not_gone_on_from_with_another_function(tmp_path: Path) -> None:
    kept: dict[str, Any] = {"checkpoint_every": 1, "progress": Halting(7, kill)}
    with pytest.raises(Killed):
        finetune("tiny", SENTENCES, tmp_path / "out", views=halves, **kept, **SETTINGS)
    with pytest.raises(OutputError, match="with another function for the views"):
        finetune("tiny", SENTENCES, tmp_path / "out", views=twice, resume=True, **SETTINGS)
    with pytest.raises(OutputError, match="with another function for the loss"):
        finetune("tiny", SENTENCES, tmp_path / "out", views=halves, loss=ranking, resume=True, **SETTINGS)


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        ("ab", "returns 'ab' for"),
        (("a",), r"returns \('a',\) for"),
        (("a", " "), r"not blank, and returns \('a', ' '\) for"),
        (("a", b"b"), r"returns \('a', b'b'\)"),
        (None, "returns None for 'To "),
        ((["a"] * 3), "returns"),
    ],
)
def test_anything_but_two_texts_is_one_line_that_names_the_views(tmp_path: Path, returned: Any, told: str) -> None:
    def bad(text: str, rng: np.random.Generator) -> Any:
        return returned

    with pytest.raises(ConfigError, match=rf"^views {__name__}\..*bad: must return two texts.*{told}") as caught:
        finetune("tiny", SENTENCES, tmp_path / "out", views=bad, **SETTINGS)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_error_in_the_function_is_one_line_with_the_text() -> None:
    def broken(text: str, rng: np.random.Generator) -> tuple[str, str]:
        raise KeyError(text[:1])

    with pytest.raises(ConfigError, match=r"views .*broken: must return two texts, and raises KeyError for '"):
        finetune("tiny", SENTENCES, views=broken, **SETTINGS)


def test_views_of_known_pairs_and_the_bare_name_of_own_views_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"views .*halves: the strings of `pairs` have their second view"):
        finetune("tiny", [("a", "b"), ("c", "d")], pairs=True, views=halves)
    with pytest.raises(ConfigError, match=r"views 'own': must be one of auto, .*; in Python also a function"):
        finetune("tiny", SENTENCES, views="own")


def test_nt_xent_as_own_loss_trains_as_the_default_does() -> None:
    assert same(
        finetune("tiny", SENTENCES, loss=contrast, **SETTINGS), finetune("tiny", SENTENCES, decoupled=False, **SETTINGS)
    )


@pytest.mark.parametrize("room", [float("inf"), 150.0])
def test_an_own_loss_has_the_gradient_of_plain_autograd_in_parts_too(
    tiny_random: Callable[[str], Path], real_texts: list[str], room: float
) -> None:
    encoder = SentenceEncoder.load(tiny_random("bert"), dropout=0.0)
    ids = encoder.tokenize(real_texts)
    rows = np.arange(len(ids) // 2 * 2)
    arrays = encoder.batch(ids, rows)
    vectors = encoder(*(torch.from_numpy(array) for array in arrays)).sentence_embedding
    first, second = vectors.chunk(2)
    loss = ranking(first, second, 0.1)
    loss.backward()  # type: ignore[no-untyped-call]
    expected = {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}
    encoder.zero_grad()
    plan = plan_passes(encoder, ids.lengths[rows], encoder.max_length, Costs(1.0, 0.0, 0.0, 0.0), room)
    assert plan.twice == (room < 1000)
    objective = Objective(encoder, Recipe(temperature=0.1), Ranks(), ranking)
    found = gradients(encoder, ids, rows, plan, objective.of(Batch(rows[: len(rows) // 2])))
    torch.testing.assert_close(found, loss.detach(), atol=1e-5, rtol=1e-5)
    for name, p in encoder.named_parameters():
        if name in expected:
            torch.testing.assert_close(p.grad, expected[name], atol=1e-5, rtol=1e-4)


class Weighted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, first: Tensor, second: Tensor, temperature: float) -> Tensor:
        return self.weight * ranking(first, second, temperature)


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        (lambda first, second, temperature: 1.0, "depends on the vectors, and returns 1.0"),
        (lambda first, second, temperature: (first - second).square(), r"returns a tensor \[8, 64\]"),
        (lambda first, second, temperature: first.detach().sum(), "returns one without a gradient"),
        (lambda first, second, temperature: first @ second, r"raises RuntimeError for vectors \[8, 64\]"),
        (lambda first, second, temperature: torch.ones((), requires_grad=True), "does not depend on the vectors"),
        (Weighted(), "must have no weights of its own"),
        ("nt_xent", "must be a function"),
    ],
)
def test_a_loss_that_is_none_is_one_line_that_names_it(tmp_path: Path, loss: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=rf"loss.*{told}") as caught:
        finetune("tiny", SENTENCES, tmp_path / "out", loss=loss, **SETTINGS)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_functions_are_named_by_where_they_are() -> None:
    assert name_of(functools.partial(halves, rng=np.random.default_rng(0))) == f"{__name__}.halves"
    assert name_of(Weighted()) == f"{__name__}.Weighted"
