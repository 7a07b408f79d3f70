"""A module of the user's own as the base: encode, train, save, load back; what it lacks is told in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch
from safetensors import safe_open
from torch import Tensor, nn

from mirrorkit import ModuleEncoder, SentenceEncoder, export, finetune
from mirrorkit.assets.paths import GRADED
from mirrorkit.errors import ConfigError, ModelError, OutputError, TrainingError
from mirrorkit.model.own_module import Backbone
from tests.training.modules import Bag, Letters

SENTENCES = list(dict.fromkeys(line.split("\t")[1] for line in GRADED.read_text(encoding="utf-8").splitlines()))[:40]
SETTINGS: dict[str, Any] = {"batch_size": 8, "steps": 3, "max_length": 32, "device": "cpu", "autocast": "fp32"}


def test_its_vectors_are_the_mean_of_its_token_vectors() -> None:
    module = Letters().eval()
    encoder = ModuleEncoder(module)
    assert (encoder.dim, encoder.width, encoder.max_length) == (16, 16, 64)
    vectors = encoder.encode(SENTENCES)
    for text, vector in zip(SENTENCES, vectors, strict=True):
        ids = torch.tensor(module.tokenize([text], 64))
        with torch.no_grad():
            mean = module(ids, torch.ones_like(ids))[0].mean(dim=0)
        np.testing.assert_allclose(vector, nn.functional.normalize(mean, dim=0).numpy(), atol=1e-5)
    assert np.abs(ModuleEncoder(module, pooling="cls").encode(SENTENCES) - vectors).max() > 0.01


def test_it_is_trained_saved_and_loaded_by_its_own_loader(tmp_path: Path) -> None:
    module = Letters()
    assert module.training
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    result = finetune(module, SENTENCES, tmp_path / "out", dropout=0.2, **SETTINGS)
    assert isinstance(result.encoder, ModuleEncoder)
    trained = result.encoder.module
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())  # left as it was
    assert module.training
    assert not torch.equal(trained.table.weight, module.table.weight)
    assert (trained.layer.dropout.p, trained.layer.self_attn.dropout, module.layer.dropout.p) == (0.2, 0.2, 0.3)
    with safe_open(tmp_path / "out" / "letters.safetensors", "pt") as file:
        assert file.metadata() == {"dropout": "0.3"}  # that of the training is not saved
    loaded = ModuleEncoder(Letters.load(tmp_path / "out"))
    np.testing.assert_allclose(loaded.encode(SENTENCES), result.encoder.encode(SENTENCES), atol=1e-6)
    record = json.loads((tmp_path / "out" / "training.json").read_text("utf-8"))
    assert (record["base"], record["module"], record["dim"]) == ("tests.training.modules.Letters", True, 16)
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert 'ModuleEncoder(Letters.load(Path("out")))' in card
    assert "SentenceTransformer" not in card
    again = finetune(Letters(), SENTENCES, dropout=0.2, **SETTINGS).encoder
    assert np.array_equal(again.encode(SENTENCES), result.encoder.encode(SENTENCES))  # the same seed, the same bits


def test_a_span_is_masked_with_its_own_token() -> None:
    encoder = ModuleEncoder(Letters(), max_length=20)
    tokenizer = encoder.tokenizer
    assert (tokenizer.mask_token_id, tokenizer.all_special_ids) == (2, [1, 0, 2])
    assert max(encoder.tokenize(SENTENCES).lengths) == 20
    masked, plain = (finetune(Letters(), SENTENCES, span_mask=width, **SETTINGS).encoder for width in (5, 0))
    assert np.abs(masked.encode(SENTENCES) - plain.encode(SENTENCES)).max() > 0


def test_it_goes_with_everything_that_a_training_has(tmp_path: Path) -> None:
    """Labelled sets, a checkpoint that is chosen, blending, a verdict that cannot be had, layers computed again."""
    rows = GRADED.read_text(encoding="utf-8").splitlines()[:30]
    (tmp_path / "pairs.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    result = finetune(
        Letters(),
        SENTENCES,
        tmp_path / "out",
        evaluate=f"sts:{tmp_path / 'pairs.tsv'}",
        dev=f"sts:{tmp_path / 'pairs.tsv'}",
        blend="0.5",
        seeds=2,
        gradient_checkpointing=True,
        **SETTINGS,
    )
    assert result.changes[0].items == 30
    assert len(result.runs) == 2
    assert result.no_verdict is not None


def test_what_needs_the_layout_of_others_is_refused_in_one_line(tmp_path: Path) -> None:
    finetune(Letters(), SENTENCES, tmp_path / "out", **SETTINGS)
    told = (
        r'holds a module of your own, which can neither be exported .*: ModuleEncoder\(Letters\.load\(Path\("out"\)\)\)'
    )
    for attempt in (
        lambda: export(tmp_path / "out", tmp_path / "bundle"),
        lambda: SentenceEncoder.load(tmp_path / "out"),
        lambda: finetune(tmp_path / "out", SENTENCES),
    ):
        with pytest.raises(ModelError, match=told) as caught:
            attempt()
        assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"drophead": 0.1}, "drophead 0.1: must be 0 for a module of your own"),
        ({"compare": True}, "compare True: sentence-transformers cannot load"),
        ({"max_length": 65}, "max_length 65: this model takes at most 64 tokens"),
    ],
)
def test_what_it_cannot_be_trained_with_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        finetune(Letters(), SENTENCES, **SETTINGS | changes)


def test_a_module_without_dropout_or_mask_is_told_what_would_do() -> None:
    settings = SETTINGS | {"max_length": 16}
    with pytest.raises(ModelError, match=r"modules\.Bag: has no nn.Dropout to set; use `span_mask` or other `views`"):
        finetune(Bag(), SENTENCES, **settings)
    with pytest.raises(ConfigError, match="no mask token; use `span_mask=0`"):
        finetune(Bag(), SENTENCES, dropout=0, span_mask=5, **settings)
    with pytest.raises(ConfigError, match="gradient_checkpointing True: must be False, Bag has no such thing"):
        finetune(Bag(), SENTENCES, dropout=0, views="adjacent", gradient_checkpointing=True, **settings)
    assert finetune(Bag(), SENTENCES, dropout=0, span_mask=0, views="adjacent", **settings).stats.steps == 3


class Leaky(Letters):
    """Forgets the mask."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return super().forward(input_ids, torch.ones_like(attention_mask))


class Pooled(Letters):
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return super().forward(input_ids, attention_mask)[:, 0]


class Endless(Letters):
    def tokenize(self, texts: Any, max_length: int) -> list[list[int]]:
        return super().tokenize(texts, 1000)


class Unmaskable(Letters):
    mask_token = "hide this"


class Lossy(Letters):
    @classmethod
    def load(cls, folder: Path) -> Letters:
        return Letters()


class Unwritable(Letters):
    def save(self, folder: Path) -> None:
        raise OSError("no such disk")


def without(name: str) -> Any:
    kind = type("Lacking", (Letters,), {name: None})
    return kind()


@pytest.mark.parametrize(
    ("module", "error", "told"),
    [
        (without("save"), ConfigError, r"base .*Lacking: must have a method `save`, see mirrorkit.Backbone"),
        (without("pad_id"), ConfigError, "base .*Lacking: must have a whole number `pad_id`"),
        (object(), ConfigError, "base builtins.object: must be the name or folder of a model, or a torch.nn.Module"),
        (nn.Identity(), ConfigError, "base .*Identity: must have weights"),
        (Leaky(), ModelError, "Leaky: the vectors of Leaky change with padding"),
        (Pooled(), ModelError, r"Pooled: its `forward` must return float \[2, 40, 16\], and returns \[2, 16\]"),
        (Endless(), ModelError, "Endless: its `tokenize` returns .* ids where at most"),
        (Unmaskable(), ConfigError, "mask_token 'hide this': must be one token, and is 9"),
        (Lossy(), TrainingError, "the saved model gives other vectors than the trained one"),
        (Unwritable(), OutputError, r"Unwritable: its `save` failed \(no such disk\)"),
    ],
)
def test_a_module_that_does_not_do_what_it_should_is_one_line(
    tmp_path: Path, module: Any, error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told) as caught:
        finetune(module, SENTENCES, tmp_path / "out", learning_rate=0.1, **SETTINGS)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_the_protocol_is_one_that_a_type_checker_holds_it_to() -> None:
    module: Backbone = Letters()
    assert module.pad_id == 0
