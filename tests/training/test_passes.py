"""Hold the passes of a batch to one pass over it: in chunks, in chunks twice, whatever the memory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the train extra")
import numpy as np
import torch
from torch import Tensor

from mirrorkit.errors import ConfigError
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.text.ragged import Ints, RaggedIds
from mirrorkit.training import memory
from mirrorkit.training.corpus import load_corpus
from mirrorkit.training.drophead import drophead
from mirrorkit.training.loop import train
from mirrorkit.training.loss import nt_xent
from mirrorkit.training.memory import Costs, size_of
from mirrorkit.training.passes import Passes, gradients, plan_passes
from mirrorkit.training.recipe import Recipe

COSTS = Costs(token=1.0, square=0.0, fixed=0.0, passing=0.0)  # a byte a token: the room is a number of tokens


def loss_of(vectors: Tensor) -> Tensor:
    labels = torch.arange(len(vectors) // 2).repeat(2)
    labels[1] = labels[0]  # a string that occurs twice
    return nt_xent(vectors, 0.2, labels)


def backward(
    encoder: SentenceEncoder, ids: RaggedIds, rows: Ints, plan: Passes
) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """Return the loss, the gradients, and the next random number."""
    encoder.zero_grad()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        loss = gradients(encoder, ids, rows, plan, loss_of)
        following = torch.rand(1)
    return loss, {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}, following


def assert_same(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    largest = max(float(gradient.abs().max()) for gradient in left.values())
    assert largest > 1e-3
    for name, gradient in left.items():
        torch.testing.assert_close(right[name], gradient, atol=1e-5 * largest, rtol=1e-5, msg=f"{name} differs")


def even(ids: RaggedIds, seed: int = 1) -> Ints:
    rows = np.random.default_rng(seed).permutation(len(ids))
    return rows[: len(rows) // 2 * 2]


def test_gradients_in_chunks_are_those_of_one_pass(architecture: Path, real_texts: list[str]) -> None:
    """Hold them to plain autograd over one padded batch."""
    encoder = SentenceEncoder.load(architecture, dropout=0.0)
    ids = encoder.tokenize(real_texts)
    rows = even(ids)
    arrays = encoder.batch(ids, rows)
    loss = loss_of(encoder(*(torch.from_numpy(array) for array in arrays)).sentence_embedding)
    loss.backward()  # type: ignore[no-untyped-call]
    expected = {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}
    for room in (float("inf"), 150.0, 1.0):
        plan = plan_passes(encoder, ids.lengths[rows], encoder.max_length, COSTS, room)
        assert plan.twice == (room < 1000)
        assert len(plan.chunks) > 1
        found, own, _ = backward(encoder, ids, rows, plan)
        torch.testing.assert_close(found, loss.detach(), atol=1e-5, rtol=1e-5)
        assert_same(expected, own)


@pytest.mark.parametrize("heads", [0.0, 0.3])
def test_twice_draws_the_dropout_of_once(
    tiny_random: Callable[[str], Path], real_texts: list[str], heads: float
) -> None:
    encoder = SentenceEncoder.load(tiny_random("bert"), dropout=0.2).train()
    ids = encoder.tokenize(real_texts)
    rows = even(ids)
    plan = plan_passes(encoder, ids.lengths[rows], encoder.max_length, COSTS, 200)
    assert plan.twice
    once = Passes(plan.chunks, False, 0.0, 0.0, None)
    with drophead(encoder.backbone, heads):
        loss, expected, following = backward(encoder, ids, rows, once)
        again, found, following_again = backward(encoder, ids, rows, plan)
        encoder.eval()
        quiet, _, _ = backward(encoder, ids, rows, once)
    assert torch.equal(again, loss)
    assert_same(expected, found)
    assert torch.equal(following, following_again)
    assert not torch.equal(quiet, loss)  # dropout did something


def test_the_weights_of_autocast_have_a_gradient_the_second_time(
    tiny_random: Callable[[str], Path], real_texts: list[str]
) -> None:
    encoder = SentenceEncoder.load(tiny_random("bert"), dropout=0.1).train()
    ids = encoder.tokenize(real_texts)
    rows = even(ids)
    plan = plan_passes(encoder, ids.lengths[rows], encoder.max_length, COSTS, 200)
    found = []
    for each in (Passes(plan.chunks, False, 0.0, 0.0, None), plan):
        encoder.zero_grad()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            gradients(encoder, ids, rows, each, loss_of, dtype=torch.bfloat16)
        found.append({name: p.grad for name, p in encoder.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        off = (found[1][name] - gradient).abs().max()  # once, the passes' gradients are added up in bf16
        assert off <= 0.05 * gradient.abs().max() + 1e-6, name  # 0.025 is the most over 25 random models


def test_padded_passes_keep_their_one_length(tiny_random: Callable[[str], Path], real_texts: list[str]) -> None:
    encoder = SentenceEncoder.load(tiny_random("bert"), pooling="mean-padded", max_length=32)
    ids = encoder.tokenize(real_texts)
    rows = even(ids)
    whole = plan_passes(encoder, ids.lengths[rows], 32)
    parts = plan_passes(encoder, ids.lengths[rows], 32, COSTS, 5 * 32)
    assert len(whole.chunks) == 1
    assert max(len(chunk) for chunk in parts.chunks) <= 5
    (loss, expected, _), (again, found, _) = (backward(encoder, ids, rows, plan) for plan in (whole, parts))
    torch.testing.assert_close(again, loss)
    assert_same(expected, found)


def test_no_pass_takes_more_than_the_room() -> None:
    class Model:
        pooling, device = "mean", torch.device("cpu")

    lengths = np.random.default_rng(1).integers(3, 60, 400)
    for room in (60, 500, 5_000):
        plan = plan_passes(Model(), lengths, 60, COSTS, room)  # type: ignore[arg-type]
        assert plan.twice
        assert max(len(chunk) * int(lengths[chunk].max()) for chunk in plan.chunks) <= room
        assert plan.kept <= room
        assert sorted(np.concatenate(plan.chunks).tolist()) == list(range(400))


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GB", 4_000_000_000), ("500 mb", 500_000_000), ("3.5GiB", int(3.5 * 2**30)), ("2g", 2 * 10**9), ("1024", 1024)],
)
def test_sizes_as_people_write_them(text: str, size: int) -> None:
    assert size_of(text) == size


@pytest.mark.parametrize("text", ["", "GB", "0GB", "-4GB", "4 XB", "four", "nan", "1e9"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="must be a size such as 4GB"):
        size_of(text)


def test_what_a_pass_keeps_is_known_from_a_few_rows(tiny_random: Callable[[str], Path]) -> None:
    """Hold the figure worked out for a larger pass to what that pass keeps."""
    for dtype in (torch.float32, torch.bfloat16):
        encoder = SentenceEncoder.load(tiny_random("bert"), dropout=0.1).train()
        before = torch.get_rng_state()
        costs = memory.measure(encoder, dtype, 60, None).costs
        assert torch.equal(torch.get_rng_state(), before)
        assert all(p.grad is None for p in encoder.parameters())
        for rows, width in ((7, 60), (20, 25), (3, 45)):
            kept = memory._kept(encoder, dtype, rows, width)
            assert rows * costs.of_row(width) + costs.fixed == pytest.approx(kept, rel=0.05)


def test_a_batch_that_is_larger_than_what_is_free_is_split_and_said(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    texts = load_corpus([f"a sentence about the number {i} and what else there is to say" for i in range(64)])
    recipe = Recipe(batch_size=32, steps=2)
    plain = train(SentenceEncoder.load(tiny, dropout=0.1), texts, recipe, device="cpu", autocast="fp32")
    assert not plain.memory.twice
    assert caplog.records == []
    monkeypatch.setattr(memory, "_free", lambda device: 0)
    split = train(SentenceEncoder.load(tiny, dropout=0.1), texts, recipe, device="cpu", autocast="fp32")
    assert split.memory.twice
    assert split.memory.passes > plain.memory.passes
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"goes through the model in {split.memory.passes} parts, twice" in record.getMessage()
    assert split.loss == pytest.approx(plain.loss, abs=0.3)  # other dropout, the same task


def test_a_memory_that_is_too_small_is_refused_with_what_would_do(tiny: Path) -> None:
    with pytest.raises(ConfigError, match=r"memory 100 MB: must be at least .* for one text of \d+ tokens"):
        train(
            SentenceEncoder.load(tiny, dropout=0.1),
            load_corpus(["one string", "another one"]),
            Recipe(batch_size=2),
            device="cpu",
            memory=100_000_000,
        )
