"""LoRA: what is trained, what is saved, and what it is equal to in peft's own hands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
peft = pytest.importorskip("peft", reason="needs the lora extra")
import torch
from safetensors.torch import load_file
from torch import nn

from mirrorkit import SentenceEncoder, finetune
from mirrorkit.assets.paths import GRADED
from mirrorkit.errors import ConfigError
from mirrorkit.training.corpus import load_corpus
from mirrorkit.training.loop import train
from mirrorkit.training.lora import adapted
from mirrorkit.training.recipe import Recipe
from mirrorkit.training.watch import Watch
from tests.training.modules import Letters
from tests.training.test_checkpoint import Halting, Killed, kill

SENTENCES = list(dict.fromkeys(line.split("\t")[1] for line in GRADED.read_text(encoding="utf-8").splitlines()))[:40]
RECIPE = Recipe(batch_size=8, steps=3, max_length=24, learning_rate=1e-2, dropout=0.0)
SETTINGS: dict[str, Any] = {"batch_size": 8, "steps": 7, "max_length": 24, "learning_rate": 1e-2, "lora": 4}
SETTINGS |= {"device": "cpu", "autocast": "fp32"}


def linears(backbone: nn.Module) -> dict[str, torch.Tensor]:
    """Return the weights of the linear layers of the blocks; all of a BERT's are but those of the embeddings."""
    return {n: m.weight.detach().clone() for n, m in backbone.named_modules() if isinstance(m, nn.Linear)}


def test_the_merged_weights_give_the_vectors_of_the_unmerged(architecture: Path, real_texts: list[str]) -> None:
    encoder = SentenceEncoder.load(architecture, dropout=0.0)
    names = [name for name, _ in encoder.named_parameters()]
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    with adapted(encoder, 4, seed=1):
        trained = [name for name, p in encoder.named_parameters() if p.requires_grad]
        assert trained
        assert all("lora_" in name for name in trained)
        train(encoder, load_corpus(SENTENCES), RECIPE, device="cpu", autocast="fp32")
        unmerged = encoder.encode(real_texts)
    assert [name for name, p in encoder.named_parameters() if p.requires_grad] == names
    np.testing.assert_allclose(encoder.encode(real_texts), unmerged, atol=1e-5)
    changed = {name for name, tensor in encoder.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed
    assert all(".weight" in name and "norm" not in name.lower() and "embedding" not in name for name in changed)
    assert not hasattr(encoder.backbone, "peft_config")


def test_a_training_is_that_of_peft_by_hand(tiny_random: Callable[[str], Path]) -> None:
    """The same adapters, batches and steps with peft's own model: the same weights after its own merge."""
    ours = SentenceEncoder.load(tiny_random("bert"), dropout=0.0)
    with adapted(ours, 4, seed=1):
        train(ours, load_corpus(SENTENCES), RECIPE, device="cpu", autocast="fp32")
    theirs = SentenceEncoder.load(tiny_random("bert"), dropout=0.0)
    names = list(linears(theirs.backbone))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = peft.get_peft_model(theirs.backbone, peft.LoraConfig(r=4, lora_alpha=8, target_modules=names))
    theirs.backbone = model
    train(theirs, load_corpus(SENTENCES), RECIPE, device="cpu", autocast="fp32")
    expected = linears(model.merge_and_unload())
    base = linears(SentenceEncoder.load(tiny_random("bert")).backbone)
    assert expected.keys() == base.keys()
    for name, weight in linears(ours.backbone).items():
        torch.testing.assert_close(weight, expected[name], atol=1e-5, rtol=1e-5)
        assert (weight - base[name]).abs().max() > 1e-3


def test_a_plain_model_is_saved_by_the_same_seed_the_same_and_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watch, "_EVERY", 0.0)
    whole = finetune("tiny", SENTENCES, tmp_path / "whole", drophead=0.1, **SETTINGS)
    saved = load_file(tmp_path / "whole" / "model.safetensors")
    assert not [name for name in saved if "lora" in name or "base_layer" in name]
    assert saved.keys() == SentenceEncoder.load("tiny").backbone.state_dict().keys()
    assert json.loads((tmp_path / "whole" / "training.json").read_text("utf-8"))["hyper_parameters"]["lora"] == 4
    with pytest.raises(Killed):
        finetune(
            "tiny", SENTENCES, tmp_path / "out", drophead=0.1, checkpoint_every=2, progress=Halting(5, kill), **SETTINGS
        )
    finetune("tiny", SENTENCES, tmp_path / "out", drophead=0.1, resume=True, **SETTINGS)
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == (
        tmp_path / "whole" / "model.safetensors"
    ).read_bytes()
    other = finetune("tiny", SENTENCES, seed=43, drophead=0.1, **SETTINGS)
    assert not np.array_equal(other.encoder.encode(SENTENCES), whole.encoder.encode(SENTENCES))


def test_it_goes_with_blending_choosing_a_checkpoint_and_layers_computed_again(tmp_path: Path) -> None:
    rows = GRADED.read_text(encoding="utf-8").splitlines()[:30]
    (tmp_path / "pairs.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    more: dict[str, Any] = {"blend": "0.5", "dev": f"sts:{tmp_path / 'pairs.tsv'}", "gradient_checkpointing": True}
    result = finetune("tiny", SENTENCES, **SETTINGS, **more)
    assert result.runs[0].dev is not None
    assert len(result.runs[0].dev.scores) > 3


def test_a_module_of_ones_own_is_refused() -> None:
    with pytest.raises(ConfigError, match="lora 4: must be 0 for a module of your own"):
        finetune(Letters(), SENTENCES, **SETTINGS)
