"""A training with parts of the loss: each has its effect, none draws from the run's numbers, all resume to the bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch

from mirrorkit import FinetuneResult, finetune
from mirrorkit.assets.paths import GRADED
from mirrorkit.errors import ConfigError
from mirrorkit.training.duplicates import overlaps
from mirrorkit.training.recipe import Changes, Recipe
from mirrorkit.training.watch import Watch
from tests.training.test_checkpoint import Halting, Killed, kill

SENTENCES = list(dict.fromkeys(line.split("\t")[1] for line in GRADED.read_text(encoding="utf-8").splitlines()))[:48]
SETTINGS: dict[str, Any] = {"batch_size": 8, "steps": 4, "max_length": 24, "device": "cpu", "autocast": "fp32"}
SETTINGS |= {"dropout": 0.1, "verdict": False}

PARTS: dict[str, Any] = {"duplicate_overlap": 0.5, "hard_negatives": 0.1, "decoupled": True}


@pytest.fixture
def base(tiny_random: Callable[[str], Path]) -> Path:
    return tiny_random("bert")


def run(base: Path, out: Path | None = None, corpus: Any = SENTENCES, **more: Any) -> FinetuneResult:
    return finetune(base, corpus, out, **cast("Changes", SETTINGS | more))


def weights(result: FinetuneResult) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in result.encoder.parameters()])


@pytest.mark.parametrize("name", ["hard_negatives", "decoupled"])
def test_each_part_changes_what_is_learnt(base: Path, name: str) -> None:
    without: dict[str, Any] = {"decoupled": False}  # which `auto` has for sentences
    assert not torch.equal(weights(run(base, **without | {name: PARTS[name]})), weights(run(base, **without)))


def test_texts_that_share_most_of_their_runs_are_no_negatives(base: Path) -> None:
    templates = [f"Order number {'abcdefgh'[i]} was shipped to the customer yesterday" for i in range(8)]
    assert (overlaps(templates) > 0.8).all()
    result = run(base, corpus=templates, duplicate_overlap=0.8)
    assert result.stats.loss == 0  # nobody is left to be told apart from
    assert run(base, corpus=templates).stats.loss > 0.1
    assert torch.equal(weights(run(base, duplicate_overlap=0.8)), weights(run(base)))  # no two sentences are so alike


def test_overlaps_are_the_jaccard_index_of_runs_of_four() -> None:
    texts = [*SENTENCES[:6], SENTENCES[0] + " again", "abc", ""]

    def plain(one: str, other: str) -> float:
        a, b = ({t[i : i + 4] for i in range(max(1, len(t) - 3))} for t in (one.lower(), other.lower()))
        return len(a & b) / len(a | b)

    expected = [[plain(one, other) for other in texts] for one in texts]
    np.testing.assert_allclose(overlaps(texts), expected, atol=0.03)
    assert overlaps(["Room 12", "room 97"]).tolist() == [[1, 1], [1, 1]]  # as for documents, digits do not count


def test_parts_go_with_triplets(base: Path) -> None:
    triples = list(zip(SENTENCES[:16], SENTENCES[16:32], SENTENCES[32:], strict=True))
    result = run(base, corpus=triples, pairs=True, **PARTS)
    assert np.isfinite(result.stats.loss)


def test_in_parts_of_the_batch_the_gradient_is_the_same(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(base, **PARTS | {"dropout": 0.0})
    monkeypatch.setattr("mirrorkit.training.memory.Memory.room", property(lambda memory: 1.0))
    parts = run(base, **PARTS | {"dropout": 0.0})
    assert parts.stats.memory.passes > whole.stats.memory.passes
    assert parts.stats.loss == pytest.approx(whole.stats.loss, rel=1e-4)
    # AdamW makes of a gradient near 0 a step by its sign, which rounding may turn.
    assert ((weights(parts) - weights(whole)).abs() > 2e-5).float().mean() < 0.005


def test_killed_and_resumed_with_all_parts_the_weights_are_the_same(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watch, "_EVERY", 0.0)
    settings = PARTS | {"steps": 14}
    undisturbed = run(base, **settings)
    with pytest.raises(Killed):
        run(base, tmp_path / "out", checkpoint_every=3, progress=Halting(8, kill), **settings)
    resumed = run(base, tmp_path / "out", resume=True, **settings)
    assert torch.equal(weights(resumed), weights(undisturbed))


def test_a_loss_of_ones_own_has_no_parts(base: Path) -> None:
    def apart(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
        return (first - second).square().sum() / temperature

    with pytest.raises(ConfigError, match=r"apart: .* give it without `hard_negatives` and `decoupled`$"):
        run(base, loss=apart, decoupled=True, hard_negatives=1.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("duplicate_overlap", -0.1), ("hard_negatives", -0.1), ("duplicate_overlap", 1.0), ("decoupled", 1.0)],
)
def test_a_bad_value_is_named(name: str, value: float) -> None:
    changes: dict[str, Any] = {name: value}
    with pytest.raises(ConfigError, match=rf"^{name} {value}: must be "):
        Recipe(**changes)
