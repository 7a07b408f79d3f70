"""Hold the terms that the ladder tries as losses of one's own to their papers' formulas, in double precision."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch
from torch import Tensor

from benchmarks.ladder import spread
from mirrorkit.training.loss import nt_xent_logits
from tests.training.test_losses import DIM, PAIRS, T, agree, anchors, contrast, cross_entropy, views


def test_gaussian_negatives_stand_among_the_others() -> None:
    noise = 3 * torch.randn(4, DIM, generator=torch.Generator().manual_seed(5))

    def slow(vectors: Tensor) -> Tensor:
        similarity = vectors @ (noise / noise.norm(dim=1, keepdim=True)).double().T / T
        return cross_entropy([(p, [*n, *row]) for (p, n), row in zip(anchors(vectors), similarity, strict=True)])

    def fast(vectors: Tensor) -> Tensor:
        logits, positive = nt_xent_logits(vectors, T)
        return torch.nn.functional.cross_entropy(spread.with_gaussian(logits, vectors, noise, T), positive)

    agree(fast, slow, views())


@pytest.mark.parametrize("most", [0.3, 0.6])
def test_negatives_of_a_larger_cosine_are_left_out(most: float) -> None:
    vectors = views(seed=3)
    near = [[n for n in others if n * T > most] for _, others in anchors(vectors)]
    assert 0 < sum(map(len, near)) < 2 * PAIRS * (2 * PAIRS - 2)

    def slow(vectors: Tensor) -> Tensor:
        return cross_entropy([(p, [n for n in others if n * T <= most]) for p, others in anchors(vectors)])

    agree(contrast(lambda logits, positive: spread.without_near(logits, positive, T, most)), slow, vectors)


def correlations(first: Tensor, second: Tensor) -> Tensor:
    def standard(x: Tensor) -> Tensor:
        return (x - x.mean(dim=0)) / x.std(dim=0, unbiased=False)

    return standard(first).T @ standard(second) / len(first)


def halves(term: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda vectors: term(*vectors.chunk(2))


def test_decorrelation_is_that_of_barlow_twins_over_the_width() -> None:
    def slow(first: Tensor, second: Tensor) -> Tensor:
        c = correlations(first, second)
        total = torch.zeros((), dtype=torch.float64)
        for i in range(DIM):
            for j in range(DIM):
                total = total + ((1 - c[i, i]) ** 2 if i == j else 0.005 * c[i, j] ** 2)
        return total / DIM

    agree(halves(spread.decorrelation), halves(slow), views(40))


def test_the_contrast_over_dimensions_is_that_of_its_paper() -> None:
    def slow(first: Tensor, second: Tensor) -> Tensor:
        c = torch.exp(correlations(first, second) / 5)
        return torch.stack([-torch.log(c[i, i] / c[i].sum()) for i in range(DIM)]).mean()

    agree(halves(spread.dimension_contrast), halves(slow), views(40))


def test_a_dimension_that_never_changes_is_no_division_by_nothing() -> None:
    vectors = torch.nn.functional.normalize(torch.cat([views(12), torch.zeros(12, 2)], dim=1), dim=-1).requires_grad_()
    loss = halves(spread.decorrelation)(vectors) + halves(spread.dimension_contrast)(vectors)
    (gradient,) = torch.autograd.grad(loss, vectors)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("labels", [None, [0, 1, 0, 3, 4, 5]])
def test_uniformity_is_that_of_the_paper(labels: list[int] | None) -> None:
    names = labels or list(range(PAIRS))

    def one(view: Tensor) -> Tensor:
        pairs = [(i, j) for i in range(PAIRS) for j in range(i) if names[i] != names[j]]
        return torch.stack([torch.exp(-2 * (view[i] - view[j]).square().sum()) for i, j in pairs]).mean().log()

    told = None if labels is None else torch.tensor(labels * 2)
    agree(
        halves(lambda first, second: spread.uniformity(first, second, told)),
        halves(lambda first, second: (one(first) + one(second)) / 2),
        views(),
    )


def test_uniformity_of_one_text_is_nothing() -> None:
    vectors = views(2).requires_grad_()
    loss = halves(spread.uniformity)(vectors)
    assert loss.item() == 0
    assert loss.requires_grad


@pytest.mark.parametrize("rows", [4, 40])
def test_entropy_is_that_of_the_squared_singular_values(rows: int) -> None:
    def slow(vectors: Tensor) -> Tensor:
        shares: Tensor = torch.linalg.svdvals(vectors).square() / len(vectors)
        return -(shares * shares.log()).sum()

    agree(spread.entropy, slow, views(rows))


def test_entropy_from_one_direction_to_all() -> None:
    assert spread.entropy(torch.eye(1, 8).repeat(5, 1)).item() == pytest.approx(0, abs=1e-5)
    assert spread.entropy(torch.eye(8).repeat(2, 1)).item() == pytest.approx(math.log(8), abs=1e-5)


@pytest.mark.parametrize("name", spread.OWN_LOSSES)
def test_each_is_a_loss_with_a_gradient(name: str) -> None:
    vectors = views(40).requires_grad_()
    first, second = vectors.chunk(2)
    loss = spread.OWN_LOSSES[name](first, second, T)
    (gradient,) = torch.autograd.grad(loss, vectors)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().max() > 1e-4
