"""Hold NT-Xent to a plain loop over anchors and negatives, in double precision."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch
from torch import Tensor

from mirrorkit.training.loss import nt_xent


def unit(rows: int, dim: int = 16, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(rows, dim, generator=generator), dim=-1)


def plain(vectors: Tensor, temperature: float, labels: list[int] | None = None) -> Tensor:
    rows = len(vectors)
    names = labels or list(range(rows))
    losses = []
    for i in range(rows):
        positive = (i + rows // 2) % rows
        terms = [torch.exp(vectors[i] @ vectors[positive] / temperature)]
        for j in range(rows):
            is_same_string = labels is not None and names[j] in (names[i], names[positive])
            if j not in (i, positive) and not is_same_string:
                terms.append(torch.exp(vectors[i] @ vectors[j] / temperature))
        losses.append(-torch.log(terms[0] / torch.stack(terms).sum()))
    return torch.stack(losses).mean()


CASES: dict[str, list[int] | None] = {
    "no labels": None,
    "all distinct": [0, 1, 2, 3, 4, 0, 1, 2, 3, 4],
    "a repeat": [0, 1, 0, 3, 4, 0, 1, 0, 3, 4],
    "a text three times": [7, 7, 7, 3, 4, 7, 7, 7, 3, 4],
    "pairs that share a partner": [0, 1, 2, 3, 4, 5, 5, 7, 8, 9],
    "a partner that is another's text": [0, 1, 2, 3, 4, 1, 6, 7, 8, 9],
}


@pytest.mark.parametrize("temperature", [0.04, 0.2, 1.0])
@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradient_are_those_of_the_plain_loop(case: str, temperature: float) -> None:
    labels = CASES[case]
    fast = unit(10).requires_grad_()
    slow = unit(10).double().requires_grad_()
    loss = nt_xent(fast, temperature, None if labels is None else torch.tensor(labels))
    expected = plain(slow, temperature, labels)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6, abs=1e-6)
    (gradient,) = torch.autograd.grad(loss, fast)
    (expected_gradient,) = torch.autograd.grad(expected, slow)
    torch.testing.assert_close(gradient.double(), expected_gradient, atol=1e-5, rtol=1e-5)
    assert gradient.abs().max() > 1e-3


def test_labels_change_the_loss_only_where_strings_repeat() -> None:
    vectors = unit(10)
    unlabelled = nt_xent(vectors, 0.2)
    assert torch.equal(nt_xent(vectors, 0.2, torch.tensor(CASES["all distinct"])), unlabelled)
    assert nt_xent(vectors, 0.2, torch.tensor(CASES["a repeat"])) < unlabelled


def test_a_batch_by_hand() -> None:
    """Two strings at right angles, both views alike: each anchor has its positive at 1 and two negatives at 0."""
    vectors = torch.eye(2).repeat(2, 1)
    assert nt_xent(vectors, 0.5).item() == pytest.approx(math.log(1 + 2 * math.exp(-2)))
    assert nt_xent(vectors, 0.5, torch.tensor([0, 0, 0, 0])).item() == 0  # one string four times has no negative


def test_nothing_overflows_at_a_tiny_temperature() -> None:
    vectors = unit(8).requires_grad_()
    loss = nt_xent(vectors, 1e-3)
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    assert vectors.grad is not None
    assert torch.isfinite(vectors.grad).all()
    assert loss > 1  # exp(1000) is more than a float32 holds


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_it_is_computed_in_full_precision_under_autocast(dtype: torch.dtype) -> None:
    vectors = unit(64, dim=32)
    expected = nt_xent(vectors, 0.04)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (vectors @ vectors.T).dtype == torch.bfloat16  # what would happen to the similarities
        assert torch.equal(nt_xent(vectors, 0.04), expected)
    rounded = vectors.to(dtype)
    assert torch.equal(nt_xent(rounded, 0.04), nt_xent(rounded.float(), 0.04))
