"""Hold each part of the contrastive loss to its paper's formula, written plainly, in double precision."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch
from torch import Tensor

from mirrorkit.training.loss import nt_xent, nt_xent_logits, ranking_logits
from mirrorkit.training.losses import negatives, spread
from mirrorkit.training.losses.head import Head
from mirrorkit.training.losses.parts import temperature_at
from mirrorkit.training.recipes import Recipe

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


def test_gaussian_negatives_stand_among_the_others() -> None:
    noise = 3 * torch.randn(4, DIM, generator=torch.Generator().manual_seed(5))

    def slow(vectors: Tensor) -> Tensor:
        similarity = vectors @ (noise / noise.norm(dim=1, keepdim=True)).double().T / T
        return cross_entropy([(p, [*n, *row]) for (p, n), row in zip(anchors(vectors), similarity, strict=True)])

    def fast(vectors: Tensor) -> Tensor:
        logits, positive = nt_xent_logits(vectors, T)
        return torch.nn.functional.cross_entropy(negatives.with_gaussian(logits, vectors, noise, T), positive)

    agree(fast, slow, views())


def test_the_noise_is_that_of_the_texts_and_takes_from_no_generator() -> None:
    before = torch.get_rng_state()
    device = torch.device("cpu")
    texts = np.array([5, 3, 9])
    one = negatives.gaussian_noise(texts, 500, 40, device)
    assert torch.equal(one, negatives.gaussian_noise(texts.copy(), 500, 40, device))
    assert not torch.equal(one, negatives.gaussian_noise(texts[::-1], 500, 40, device))
    assert torch.equal(torch.get_rng_state(), before)
    assert (one.mean().item(), one.std().item()) == pytest.approx((0, 1), abs=0.03)


@pytest.mark.parametrize("most", [0.3, 0.6])
def test_negatives_of_a_larger_cosine_are_left_out(most: float) -> None:
    vectors = views(seed=3)
    near = [[n for n in others if n * T > most] for _, others in anchors(vectors)]
    assert 0 < sum(map(len, near)) < 2 * PAIRS * (2 * PAIRS - 2)

    def slow(vectors: Tensor) -> Tensor:
        return cross_entropy([(p, [n for n in others if n * T <= most]) for p, others in anchors(vectors)])

    agree(contrast(lambda logits, positive: negatives.without_near(logits, positive, T, most)), slow, vectors)


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
    steps: list[Callable[[Tensor, Tensor], Tensor]] = [
        lambda logits, positive: negatives.harder(logits, positive, 0.5),
        lambda logits, positive: negatives.without_near(logits, positive, T, 0.0),
    ]
    for step in steps:
        vectors = torch.eye(2, 4).repeat(2, 1).requires_grad_()
        logits, positive = nt_xent_logits(vectors, T, torch.tensor([0, 0, 0, 0]))
        logits = step(logits, positive)
        loss = torch.nn.functional.cross_entropy(logits, positive) + negatives.decoupled(logits, positive)
        assert loss.item() == 0
        (gradient,) = torch.autograd.grad(loss, vectors)
        assert (gradient == 0).all()


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


def test_the_head_is_a_layer_and_tanh_of_the_seed() -> None:
    before = torch.get_rng_state()
    head, vectors = Head(DIM, 7), views()
    assert torch.equal(torch.get_rng_state(), before)
    hidden = torch.tanh(vectors * math.sqrt(DIM) @ head.weight.T + head.bias)
    torch.testing.assert_close(head(vectors), hidden / hidden.norm(dim=1, keepdim=True))
    torch.testing.assert_close(head(3 * vectors), head(vectors))
    assert torch.equal(Head(DIM, 7).weight, head.weight)
    assert not torch.equal(Head(DIM, 8).weight, head.weight)


def test_the_temperature_goes_linearly_to_that_of_the_end() -> None:
    recipe = Recipe(temperature=0.05, temperature_start=0.25)
    assert [temperature_at(recipe, done) for done in (0, 0.5, 1)] == pytest.approx([0.25, 0.15, 0.05])
    assert temperature_at(Recipe(temperature=0.07), 0.3) == 0.07  # to the bit
