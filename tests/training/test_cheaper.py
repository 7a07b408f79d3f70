"""What makes a step cheaper changes nothing: masks are Bernoulli, gradients are those of torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch
from torch import nn
from torch.nn import functional

from mirrorkit import SentenceEncoder
from mirrorkit.training import tables
from mirrorkit.training.dropout import cheap_dropout, factors
from mirrorkit.training.passes import gradients, plan_passes
from mirrorkit.training.recompute import recomputing
from tests.training.test_passes import COSTS, loss_of


@pytest.fixture(autouse=True)
def seeded() -> object:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        yield


@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_an_element_is_dropped_with_that_probability_and_independently(p: float, dtype: torch.dtype) -> None:
    count = 400_003  # no multiple of four
    drawn = factors(torch.Size((count,)), p, dtype)
    assert drawn.dtype == dtype
    dropped = (drawn == 0).double()
    kept = drawn[drawn != 0]
    assert torch.equal(kept, torch.full_like(kept, 1 / (1 - round(p * 65536) / 65536)))
    deviation = (p * (1 - p) / count) ** 0.5
    assert abs(float(dropped.mean()) - p) < 5 * deviation + 1 / 65536
    for apart in (1, 2, 3, 4, 8):  # those that share the bits of one number, and those that do not
        both = float((dropped[apart:] * dropped[:-apart]).mean())
        assert abs(both - p * p) < 5 * (p * p * (1 - p * p) / count) ** 0.5 + 2 * p / 65536 + 2 * p * deviation
    for place in range(4):
        assert abs(float(dropped[place::4].mean()) - p) < 10 * deviation + 1 / 65536


def test_the_layer_drops_scales_and_hands_the_gradient_to_what_is_kept(tiny_random: Callable[[str], Path]) -> None:
    encoder = SentenceEncoder.load(tiny_random("bert"), dropout=0.25)
    layer = next(part for part in encoder.modules() if isinstance(part, nn.Dropout))
    given = torch.ones(64, 48, requires_grad=True)
    with cheap_dropout(encoder):
        assert torch.equal(layer(given), given)
        out = layer.train()(given)
        torch.manual_seed(5)
        first = layer(given)
        torch.manual_seed(5)
        assert torch.equal(layer(given), first)
    assert out.detach().unique().tolist() == pytest.approx([0, 4 / 3])
    out.sum().backward()
    torch.testing.assert_close(given.grad, out.detach())
    torch.manual_seed(5)
    theirs = layer(given)  # outside of the block it is torch's own
    torch.manual_seed(5)
    assert torch.equal(theirs, functional.dropout(given, 0.25))
    assert not torch.equal(theirs, first)


def backward(encoder: SentenceEncoder, texts: list[str], room: float = float("inf")) -> dict[str, torch.Tensor]:
    ids = encoder.tokenize(texts)
    rows = np.arange(len(ids) // 2 * 2)
    encoder.zero_grad()
    torch.manual_seed(3)
    gradients(encoder, ids, rows, plan_passes(encoder, ids.lengths[rows], encoder.max_length, COSTS, room), loss_of)
    return {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("room", [float("inf"), 150.0])
def test_the_gradient_of_a_table_is_that_of_torch(
    architecture: Path, real_texts: list[str], room: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = SentenceEncoder.load(architecture, dropout=0.1).train()
    expected = backward(encoder, real_texts, room)  # these tables are small, so that it is torch's
    monkeypatch.setattr(tables, "_LARGE", 1)
    looked_up = tables._tables(encoder)
    assert looked_up
    found = backward(encoder, real_texts, room)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert not found[name].is_sparse
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-5, msg=name)
    assert not any(part.sparse for part in encoder.modules() if isinstance(part, nn.Embedding))


def test_layers_computed_again_drop_the_same(tiny_random: Callable[[str], Path], real_texts: list[str]) -> None:
    encoder = SentenceEncoder.load(tiny_random("bert"), dropout=0.2).train()
    with cheap_dropout(encoder):
        expected = backward(encoder, real_texts)
        with recomputing(encoder):
            found = backward(encoder, real_texts)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-5, msg=name)
