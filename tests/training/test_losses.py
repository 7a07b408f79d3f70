"""Hold each part of the contrastive loss to its paper's formula, written plainly, in double precision."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch
from torch import Tensor

from mirrorkit.training.loss import nt_xent, nt_xent_logits, ranking_logits
from mirrorkit.training.losses import negatives

T = 0.1
PAIRS, DIM = 6, 5


def views(rows: int = 2 * PAIRS, dim: int = DIM, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(rows, dim, generator=generator), dim=-1)


def agree(fast: Callable[[Tensor], Tensor], slow: Callable[[Tensor], Tensor], vectors: Tensor) -> None:
    """Compare value and gradient, the second in double precision."""
    one, other = vectors.clone().requires_grad_(), vectors.double().requires_grad_()
    loss, expected = fast(one), slow(other)
    assert loss.item() == pytest.approx(expected.item(), rel=2e-5, abs=2e-6)
    (gradient,), (wanted,) = torch.autograd.grad(loss, one), torch.autograd.grad(expected, other)
    torch.testing.assert_close(gradient.double(), wanted, atol=2e-5, rtol=2e-4)
    assert wanted.abs().max() > 1e-4


def anchors(vectors: Tensor) -> list[tuple[Tensor, list[Tensor]]]:
    """Return of each anchor its similarity to its positive, and those to its negatives, over the temperature."""
    rows = len(vectors)
    similarity = vectors @ vectors.T / T
    both = []
    for i in range(rows):
        positive = (i + rows // 2) % rows
        both.append((similarity[i, positive], [similarity[i, j] for j in range(rows) if j not in (i, positive)]))
    return both


def cross_entropy(pairs: list[tuple[Tensor, list[Tensor]]]) -> Tensor:
    terms = [torch.log(1 + sum(torch.exp(n - p) for n in others)) for p, others in pairs]  # type: ignore[arg-type]
    return torch.stack(terms).mean()


def contrast(*steps: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def loss(vectors: Tensor) -> Tensor:
        logits, positive = nt_xent_logits(vectors, T)
        for step in steps:
            logits = step(logits, positive)
        return torch.nn.functional.cross_entropy(logits, positive)

    return loss


@pytest.mark.parametrize("beta", [0.1, 1.0])
def test_hard_negatives_are_weighted_as_in_the_paper(beta: float) -> None:
    def slow(vectors: Tensor) -> Tensor:
        losses = []
        for positive, others in anchors(vectors):
            similarity = torch.stack(others)
            weights = torch.exp(beta * similarity)  # relative to their mean
            reweighted = (weights * torch.exp(similarity)).sum() / weights.mean()
            losses.append(-torch.log(torch.exp(positive) / (torch.exp(positive) + reweighted)))
        return torch.stack(losses).mean()

    agree(contrast(lambda logits, positive: negatives.harder(logits, positive, beta)), slow, views())


def test_hard_negatives_of_a_tiny_exponent_are_all_alike() -> None:
    assert contrast(lambda logits, p: negatives.harder(logits, p, 1e-6))(views()).item() == pytest.approx(
        nt_xent(views(), T).item(), rel=1e-4
    )


def test_the_decoupled_loss_leaves_the_positive_out() -> None:
    def slow(vectors: Tensor) -> Tensor:
        terms = [torch.log(sum(map(torch.exp, others))) - p for p, others in anchors(vectors)]  # type: ignore[arg-type]
        return torch.stack(terms).mean()

    agree(lambda vectors: negatives.decoupled(*nt_xent_logits(vectors, T)), slow, views())


def test_pairs_whose_texts_overlap_are_no_negatives_of_each_other() -> None:
    near = torch.eye(PAIRS, dtype=torch.bool)  # every text overlaps itself, which is no other
    assert torch.equal(contrast(lambda logits, p: negatives.without_pairs(logits, near))(views()), nt_xent(views(), T))
    near[1, 4] = near[4, 1] = True
    labels = [0, 1, 2, 3, 1, 5]
    expected = nt_xent(views(), T, torch.tensor(labels * 2))
    assert torch.equal(contrast(lambda logits, p: negatives.without_pairs(logits, near))(views()), expected)

    triples = views(3 * PAIRS)
    logits, _ = ranking_logits(triples, T)
    kept = negatives.without_pairs(logits, near)
    out = torch.zeros_like(logits, dtype=torch.bool)
    for i, j in [(1, 4), (4, 1)]:
        out[i, j] = out[i, PAIRS + j] = True
    assert torch.equal(kept.isneginf(), out)  # a pair's own negative stays


def test_an_anchor_without_negatives_has_no_part_and_no_nan() -> None:
    vectors = torch.eye(2, 4).repeat(2, 1).requires_grad_()
    logits, positive = nt_xent_logits(vectors, T, torch.tensor([0, 0, 0, 0]))
    logits = negatives.harder(logits, positive, 0.5)
    loss = torch.nn.functional.cross_entropy(logits, positive) + negatives.decoupled(logits, positive)
    assert loss.item() == 0
    (gradient,) = torch.autograd.grad(loss, vectors)
    assert (gradient == 0).all()
