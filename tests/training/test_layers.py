"""The last layers alone: torch's own gradient of them, the rest untouched to the bit, or refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch
from torch import Tensor

from mirrorkit import FinetuneResult, SentenceEncoder, finetune
from mirrorkit.assets.paths import GRADED
from mirrorkit.errors import ConfigError
from mirrorkit.training.drophead import drophead
from mirrorkit.training.layers import last_layers
from mirrorkit.training.memory import measure
from mirrorkit.training.passes import gradients, plan_passes
from mirrorkit.training.recompute import recomputing
from mirrorkit.training.watch import Watch
from tests.conftest import _train_tokenizer
from tests.formats.bodies import build_body
from tests.formats.making import Base
from tests.training.modules import Letters
from tests.training.test_checkpoint import Halting, Killed, kill
from tests.training.test_passes import COSTS, loss_of

SENTENCES = list(dict.fromkeys(line.split("\t")[1] for line in GRADED.read_text(encoding="utf-8").splitlines()))[:40]
SETTINGS: dict[str, Any] = {"batch_size": 8, "steps": 7, "max_length": 24, "learning_rate": 1e-3, "dropout": 0.1}
SETTINGS |= {"device": "cpu", "autocast": "fp32", "train_layers": 1}
# Where each family has its last of two layers, and what runs behind it.
LAST = {
    "distilbert": ["transformer.layer.1."],
    "modernbert": ["layers.1.", "final_norm."],
    "qwen3": ["layers.1.", "norm."],
}


def is_trained(name: str, kind: str) -> bool:
    own = tuple(f"backbone.{start}" for start in LAST.get(kind, ["encoder.layer.1."]))
    return name.startswith(("chain.", *own))


def backward(encoder: SentenceEncoder, texts: list[str], room: float = float("inf")) -> dict[str, Tensor]:
    ids = encoder.tokenize(texts)
    rows = np.arange(len(ids) // 2 * 2)
    plan = plan_passes(encoder, ids.lengths[rows], encoder.max_length, COSTS, room)
    encoder.zero_grad()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        gradients(encoder, ids, rows, plan, loss_of)
    return {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}


def by_hand(folder: Path, kind: str, texts: list[str], room: float = float("inf")) -> dict[str, Tensor]:
    """Return the gradient of torch with what is below switched off by the names of that family."""
    encoder = SentenceEncoder.load(folder, dropout=0.2).train()
    for name, part in encoder.named_modules():
        if not list(part.children()) and not is_trained(f"{name}.", kind):
            part.eval()
        if name.endswith(("layer.0", "layers.0")):
            part.eval()
    for name, weight in encoder.named_parameters():
        weight.requires_grad_(is_trained(name, kind))
    return backward(encoder, texts, room)


def test_the_gradient_is_that_of_torch_with_the_lower_layers_switched_off(
    architecture: Path, real_texts: list[str]
) -> None:
    kind = architecture.name
    encoder = SentenceEncoder.load(architecture, dropout=0.2)
    if kind == "albert":  # whose layers are one and the same
        with pytest.raises(ConfigError, match=r"train_layers 1: must be 0, .* AlbertModel cannot be told apart"):
            last_layers(encoder, 1).__enter__()
        return
    with last_layers(encoder, 1):
        encoder.train()
        encoder.encode(real_texts[:2])  # goes into evaluation mode and comes back
        for room in (float("inf"), 150.0):  # all graphs at once, and each pass twice
            expected = by_hand(architecture, kind, real_texts, room)
            found = backward(encoder, real_texts, room)
            assert found.keys() == expected.keys() == {n for n, _ in encoder.named_parameters() if is_trained(n, kind)}
            for name, gradient in expected.items():
                torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-5, msg=name)
    assert all(weight.requires_grad for weight in encoder.parameters())
    assert all(part.training for part in encoder.modules())


def test_a_decoder_keeps_what_stands_behind_its_layers_trained(tmp_path: Path, real_texts: list[str]) -> None:
    pytest.importorskip("sentence_transformers")
    from sentence_transformers.sentence_transformer import modules

    base = Base(build_body(tmp_path / "qwen3", _train_tokenizer))
    behind = [modules.Pooling(base.width, "lasttoken"), modules.Dense(base.width, 24), modules.Normalize()]
    folder = base.wrap(tmp_path / "encoder", *behind)
    encoder = SentenceEncoder.load(folder, dropout=0.2)
    with last_layers(encoder, 1):
        found = backward(encoder.train(), real_texts)
    assert {"backbone.norm.weight", "chain.layers.0.linear.weight"} < found.keys()
    expected = by_hand(folder, "qwen3", real_texts)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-5, msg=name)


def test_layers_computed_again_give_the_same_gradient(
    tiny_random: Callable[[str], Path], real_texts: list[str]
) -> None:
    encoder = SentenceEncoder.load(tiny_random("bert"), dropout=0.2).train()
    with last_layers(encoder, 1), drophead(encoder.backbone, 0.3):
        expected = backward(encoder, real_texts)
        with recomputing(encoder):
            found = backward(encoder, real_texts)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-5, msg=name)


def test_less_is_kept_and_that_is_predicted(shipped: Path) -> None:
    encoder = SentenceEncoder.load(shipped, dropout=0.1).train()
    whole = measure(encoder, torch.float32, 64, 1 << 40)
    with last_layers(encoder, 1):
        last = measure(encoder, torch.float32, 64, 1 << 40)
    layers = encoder.backbone.config.num_hidden_layers
    assert last.costs.of_row(64) < 1.2 / layers * whole.costs.of_row(64)
    weights = sum(p.numel() * p.element_size() for p in encoder.parameters())
    assert last.basis < whole.basis - 2 * weights  # of what is frozen there is no gradient and no mean


def changed(result: FinetuneResult, base: SentenceEncoder) -> set[str]:
    """Return the names of the weights whose bits are other ones than before."""
    before = dict(base.named_parameters())
    return {name for name, p in result.encoder.named_parameters() if not torch.equal(p, before[name])}


@pytest.mark.parametrize("more", [{}, {"drophead": 0.1}, {"blend": "0.5"}, {"lora": 4}, {"autocast": "bf16"}])
def test_the_rest_stays_to_the_bit_and_a_killed_run_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    if "lora" in more:
        pytest.importorskip("peft", reason="needs the lora extra")
    monkeypatch.setattr(Watch, "_EVERY", 0.0)
    settings = SETTINGS | more
    whole = finetune("tiny", SENTENCES, **settings)
    base = SentenceEncoder.load("tiny")
    last = f"backbone.encoder.layer.{base.backbone.config.num_hidden_layers - 1}."
    trained = {name for name, _ in base.named_parameters() if name.startswith(last)}
    found = changed(whole, base)
    assert found == ({name for name in trained if name.endswith("weight") and "Norm" not in name} if "lora" in more
                     else trained)  # fmt: skip
    with pytest.raises(Killed):
        finetune("tiny", SENTENCES, tmp_path / "out", checkpoint_every=2, progress=Halting(5, kill), **settings)
    resumed = finetune("tiny", SENTENCES, tmp_path / "out", resume=True, **settings)
    assert not changed(resumed, whole.encoder)


def test_the_best_checkpoint_is_chosen_and_nothing_below_moves(tmp_path: Path) -> None:
    rows = GRADED.read_text(encoding="utf-8").splitlines()[:30]
    (tmp_path / "pairs.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    result = finetune("tiny", SENTENCES, dev=f"sts:{tmp_path / 'pairs.tsv'}", **SETTINGS)
    assert result.runs[0].dev is not None
    assert len(result.runs[0].dev.scores) > 3
    assert not [name for name in changed(result, SentenceEncoder.load("tiny")) if "layer.0." in name]


@pytest.mark.parametrize(
    ("count", "wanted"), [(99, "must be at most [2-6], the layers of this base"), (-1, "at least 0")]
)
def test_a_number_that_cannot_be_is_refused_and_nothing_is_written(tmp_path: Path, count: int, wanted: str) -> None:
    with pytest.raises(ConfigError, match=f"^train_layers {count}: .*{wanted}") as caught:
        finetune("tiny", SENTENCES, tmp_path / "out", **SETTINGS | {"train_layers": count})
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_module_of_ones_own_is_refused() -> None:
    with pytest.raises(ConfigError, match="train_layers 1: must be 0 for a module of your own"):
        finetune(Letters(), SENTENCES, **SETTINGS)
