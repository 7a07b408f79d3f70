"""Prove, for every architecture, that dropout and drophead do something in training and nothing afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")
import numpy as np
import torch
import transformers
from torch import Tensor

from mirrorkit.errors import ConfigError, ModelError
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.text.ragged import pad_batch
from mirrorkit.training.drophead import drophead, head_scale

HEADS, HEAD_DIM = 4, 8  # of the tiny random models
IMPLEMENTATIONS = ["eager", "sdpa"]


def output(encoder: SentenceEncoder, texts: list[str], seed: int) -> Tensor:
    ids = encoder.tokenize(texts)
    input_ids, mask = pad_batch(ids, np.arange(len(ids)), encoder.tokenizer.pad_token_id)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        hidden: Tensor = encoder(torch.from_numpy(input_ids), torch.from_numpy(mask)).last_hidden_state
    return hidden


def with_attention(folder: Path, implementation: str) -> SentenceEncoder:
    """Load without dropout and with that attention, or skip where the architecture has none of that name."""
    encoder = SentenceEncoder.load(folder, dropout=0.0)
    config = encoder.backbone.config
    try:
        body = transformers.AutoModel.from_pretrained(folder, config=config, attn_implementation=implementation)
    except ValueError:  # of transformers, on its way through the config, before any weight is read
        pytest.skip(f"{folder.name} has no {implementation} attention in transformers {transformers.__version__}")
    assert body.config._attn_implementation == implementation
    encoder.backbone = body.eval()
    return encoder


def test_dropout_works_in_training_only(architecture: Path, real_texts: list[str]) -> None:
    encoder = SentenceEncoder.load(architecture, dropout=0.1)
    rest = output(encoder, real_texts, seed=1)
    assert torch.equal(rest, output(encoder, real_texts, seed=2))
    encoder.train()
    one, two = output(encoder, real_texts, seed=1), output(encoder, real_texts, seed=2)
    assert torch.equal(one, output(encoder, real_texts, seed=1))
    for left, right in ((one, rest), (two, rest), (one, two)):
        assert (left - right).abs().amax(dim=(1, 2)).min() > 1e-3  # in every text
    assert torch.equal(output(encoder.eval(), real_texts, seed=1), rest)


def test_without_dropout_training_mode_is_quiet(architecture: Path, real_texts: list[str]) -> None:
    encoder = SentenceEncoder.load(architecture, dropout=0.0)
    rest = output(encoder, real_texts, seed=1)
    torch.testing.assert_close(output(encoder.train(), real_texts, seed=1), rest, atol=1e-5, rtol=0)


def test_every_dropout_of_the_body_is_set(architecture: Path) -> None:
    encoder = SentenceEncoder.load(architecture, dropout=0.25)
    modules = [m for m in encoder.modules() if isinstance(m, torch.nn.Dropout)]
    assert modules
    assert {m.p for m in modules} == {0.25}


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_drophead_works_in_training_only(architecture: Path, real_texts: list[str], implementation: str) -> None:
    encoder = with_attention(architecture, implementation)
    rest = output(encoder, real_texts, seed=1)
    with drophead(encoder.backbone, 0.5):
        assert torch.equal(output(encoder, real_texts, seed=1), rest)  # evaluation mode
        encoder.train()
        one, two = output(encoder, real_texts, seed=1), output(encoder, real_texts, seed=2)
        assert torch.equal(one, output(encoder, real_texts, seed=1))
    changed = (one - rest).abs().amax(dim=(1, 2)) > 1e-3
    assert changed.float().mean() > 0.8  # all heads of both layers are kept in one text of 256
    assert ((one - two).abs().amax(dim=(1, 2)) > 1e-3).float().mean() > 0.8
    after = output(encoder, real_texts, seed=1)
    torch.testing.assert_close(after, rest, atol=1e-5, rtol=0)  # still in training mode: the hooks are gone


def contexts(encoder: SentenceEncoder, texts: list[str], p: float) -> list[tuple[Tensor, Tensor]]:
    """Return what goes into each output projection [batch, seq, heads, head_dim], before and after drophead."""
    before: list[Tensor] = []
    after: list[Tensor] = []
    seen: list[Any] = []

    def remember(store: list[Tensor]) -> Any:
        return lambda module, args: store.append(args[0].unflatten(-1, (HEADS, HEAD_DIM)).clone())

    linear = [m for m in encoder.modules() if isinstance(m, torch.nn.Linear)]
    with drophead(encoder.backbone, 0.5):
        hooked = [m for m in linear if m._forward_pre_hooks]
    seen += [m.register_forward_pre_hook(remember(before)) for m in hooked]
    with drophead(encoder.backbone, p):
        seen += [m.register_forward_pre_hook(remember(after)) for m in hooked]
        output(encoder, texts, seed=3)
    for handle in seen:
        handle.remove()
    return list(zip(before, after, strict=True))


def test_whole_heads_are_dropped_and_the_others_rescaled(architecture: Path, real_texts: list[str]) -> None:
    encoder = SentenceEncoder.load(architecture, dropout=0.0).train()
    layers = contexts(encoder, real_texts, 0.9)
    assert len(layers) == encoder.backbone.config.num_hidden_layers
    for before, after in layers:
        alive = after.abs().amax(dim=(1, 3)) > 0  # [batch, heads]
        kept = alive.sum(dim=1)
        assert kept.min() >= 1
        assert (kept < HEADS).float().mean() > 0.8
        scale = alive * (HEADS / kept[:, None])
        torch.testing.assert_close(after, before * scale[:, None, :, None])
    assert not torch.equal(layers[0][1] == 0, layers[1][1] == 0)  # each layer draws its own


@pytest.mark.parametrize("p", [0.05, 0.5, 0.99])
def test_the_scale_of_the_heads(p: float) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        scale = head_scale(20_000, HEADS, p)
    kept = (scale > 0).sum(dim=1)
    assert kept.min() >= 1
    torch.testing.assert_close(scale.sum(dim=1), torch.full((20_000,), float(HEADS)))
    assert all(len(row[row > 0].unique()) == 1 for row in scale[:100])
    # One is spared where all would go, which happens with probability p to the power of the heads.
    expected = HEADS * (1 - p) + p**HEADS
    assert kept.float().mean() == pytest.approx(expected, abs=0.03)
    torch.testing.assert_close(
        (scale > 0).float().mean(dim=0), torch.full((HEADS,), expected / HEADS), atol=0.02, rtol=0
    )


def test_a_drophead_that_cannot_be_is_refused(tiny: Path) -> None:
    encoder = SentenceEncoder.load(tiny)
    for wrong in (-0.1, 1.0):
        with (
            pytest.raises(ConfigError, match=f"drophead {wrong}: must be at least 0 and below 1"),
            drophead(encoder.backbone, wrong),
        ):
            pass
    with (
        pytest.raises(ModelError, match="Linear: drophead does not know its attention layers"),
        drophead(torch.nn.Linear(2, 2), 0.1),
    ):
        pass
    with pytest.raises(ConfigError, match=r"dropout 1\.0: must be at least 0 and below 1"):
        SentenceEncoder.load(tiny, dropout=1.0)


def test_the_hooks_go_when_the_block_fails(tiny: Path) -> None:
    encoder = SentenceEncoder.load(tiny)

    def fail() -> None:
        assert any(m._forward_pre_hooks for m in encoder.modules())
        raise RuntimeError("in the block")

    with pytest.raises(RuntimeError, match="in the block"), drophead(encoder.backbone, 0.5):
        fail()
    assert not any(m._forward_pre_hooks for m in encoder.modules())
