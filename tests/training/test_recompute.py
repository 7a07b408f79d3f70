"""Gradient checkpointing: the loss and the gradient of the plain pass, with less kept, or refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch

from mirrorkit import SentenceEncoder, finetune
from mirrorkit.errors import ConfigError
from mirrorkit.training.drophead import drophead
from mirrorkit.training.memory import _kept, measure
from mirrorkit.training.passes import gradients, plan_passes
from mirrorkit.training.recompute import recomputing
from tests.training.test_passes import loss_of


def backward(encoder: SentenceEncoder, texts: list[str], *, again: bool) -> tuple[float, dict[str, torch.Tensor]]:
    ids = encoder.tokenize(texts)
    rows = np.arange(len(ids) // 2 * 2)
    passes = plan_passes(encoder, ids.lengths[rows], encoder.max_length)
    encoder.zero_grad()
    with torch.random.fork_rng(), recomputing(encoder, on=again):
        torch.manual_seed(3)
        loss = gradients(encoder, ids, rows, passes, loss_of)
    return float(loss), {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}


def test_loss_and_gradient_are_those_of_the_plain_pass_or_it_is_refused(
    architecture: Path, real_texts: list[str]
) -> None:
    encoder = SentenceEncoder.load(architecture, dropout=0.1).train()
    passed: list[bool] = []
    attention = next(
        part for name, part in encoder.backbone.named_modules() if name.lower().endswith(("attention", "attn"))
    )
    attention.register_forward_hook(lambda *_: passed.append(True))
    loss, expected = backward(encoder, real_texts, again=False)
    plain = len(passed)
    assert plain > 0
    if not encoder.backbone.supports_gradient_checkpointing:
        with pytest.raises(ConfigError, match=r"gradient_checkpointing True: must be False, .*Model has no such thing"):
            backward(encoder, real_texts, again=True)
        return
    again, found = backward(encoder, real_texts, again=True)
    assert len(passed) > 2 * plain  # the plain ones, and more than as many again
    assert again == pytest.approx(loss, abs=1e-5)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-5)
    assert not encoder.backbone.is_gradient_checkpointing  # left as it was


def test_dropped_heads_are_dropped_again(tiny_random: Callable[[str], Path], real_texts: list[str]) -> None:
    encoder = SentenceEncoder.load(tiny_random("bert"), dropout=0.1).train()
    with drophead(encoder.backbone, 0.3):
        loss, expected = backward(encoder, real_texts, again=False)
        again, found = backward(encoder, real_texts, again=True)
    assert again == pytest.approx(loss, abs=1e-5)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-5)


def test_it_is_quiet_and_leaves_the_model_as_it_was(
    tiny_random: Callable[[str], Path], real_texts: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    encoder = SentenceEncoder.load(tiny_random("bert")).train()
    before = encoder.backbone.config.to_dict()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        backward(encoder, real_texts, again=True)
    assert encoder.backbone.config.to_dict() == before
    assert capfd.readouterr().err == ""


def test_less_is_kept_and_that_is_predicted(shipped: Path) -> None:
    encoder = SentenceEncoder.load(shipped, dropout=0.1).train()
    whole = _kept(encoder, torch.float32, 8, 64)
    with recomputing(encoder):
        kept = _kept(encoder, torch.float32, 8, 64)
        costs = measure(encoder, torch.float32, 64, 1 << 40, recomputed=True).costs
    assert kept < whole / 4
    assert costs.of_row(64) == pytest.approx(kept / 8, rel=0.1)
    layers = encoder.backbone.config.num_hidden_layers
    assert costs.of_row(64) * costs.passing > whole / 8 / layers  # a layer's own graph is there for a moment


def test_a_base_that_cannot_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import BertModel

    monkeypatch.setattr(BertModel, "supports_gradient_checkpointing", False)
    with pytest.raises(ConfigError, match="gradient_checkpointing True: must be False, BertModel has no such thing"):
        finetune("tiny", ["a b", "c d"], tmp_path / "out", gradient_checkpointing=True, steps=1)
    assert not list(tmp_path.iterdir())
