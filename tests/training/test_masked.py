"""Masked-LM steps before the contrastive ones: what is hidden, the loss, the run, and bases that cannot have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch
import transformers

from mirrorkit import FinetuneResult, SentenceEncoder, finetune
from mirrorkit.assets.paths import GRADED
from mirrorkit.errors import MirrorkitError, ModelError
from mirrorkit.formats.layout_reader import read_layout
from mirrorkit.training.corpus import load_corpus
from mirrorkit.training.masked import SHARE, Head, hide, load_head, warm_up
from mirrorkit.training.ranks import Ranks
from mirrorkit.training.recipe import Recipe
from mirrorkit.training.watch import Watch
from tests.training.modules import Bag
from tests.training.test_checkpoint import Halting, Killed, kill

SENTENCES = list(dict.fromkeys(line.split("\t")[1] for line in GRADED.read_text(encoding="utf-8").splitlines()))[:24]
SETTINGS: dict[str, Any] = {"batch_size": 8, "steps": 3, "max_length": 24, "device": "cpu", "autocast": "fp32"}


def same(left: FinetuneResult, right: FinetuneResult) -> bool:
    theirs = right.encoder.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in left.encoder.state_dict().items())


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra", "albert", "deberta-v2", "modernbert"])
def test_the_loss_is_that_of_transformers_on_the_pieces_that_are_to_be_told(
    tiny_random: Callable[[str], Path], family: str
) -> None:
    folder = tiny_random(family)
    encoder = SentenceEncoder.load(folder)
    whole = transformers.AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32).eval()
    head = Head(load_head(read_layout(folder)), encoder)
    head._model.eval()
    ids, mask = map(torch.from_numpy, encoder.batch(encoder.tokenize(SENTENCES[:3]), np.arange(3)))
    rows, columns = torch.tensor([0, 0, 2]), torch.tensor([1, 3, 2])
    labels = torch.full_like(ids, -100)
    labels[rows, columns] = ids[rows, columns]
    shown = ids.clone()
    shown[rows, columns] = encoder.tokenizer.mask_token_id
    with torch.no_grad():
        wanted = 3 * whole(input_ids=shown, attention_mask=mask, labels=labels).loss
        found = head.loss(shown, mask, rows, columns, ids[rows, columns])
    assert found.item() == pytest.approx(wanted.item(), rel=1e-4)
    last = head._model.get_output_embeddings()
    assert last.weight is encoder.backbone.get_input_embeddings().weight


def test_a_share_of_the_pieces_is_hidden_swapped_or_left_and_no_special_one() -> None:
    encoder = SentenceEncoder.load("tiny")
    ids = encoder.tokenize(SENTENCES * 40)
    chosen, shown = hide(ids, encoder.tokenizer, np.random.default_rng(1))
    every = np.concatenate([ids[i] for i in range(len(ids))])
    special = np.isin(every, encoder.tokenizer.all_special_ids)
    assert not (chosen & special).any()
    assert chosen.sum() / (~special).sum() == pytest.approx(SHARE, abs=0.01)
    assert np.array_equal(shown[~chosen], every[~chosen])
    hidden = shown[chosen] == encoder.tokenizer.mask_token_id
    left = shown[chosen] == every[chosen]
    assert hidden.mean() == pytest.approx(0.8, abs=0.03)
    assert left.mean() == pytest.approx(0.1, abs=0.02)
    assert not np.isin(shown[chosen][~hidden], encoder.tokenizer.all_special_ids).any()


def test_the_steps_lower_the_loss_and_are_seeded() -> None:
    corpus, recipe = load_corpus(SENTENCES), Recipe(mlm_steps=8, mlm_rate=1e-3, batch_size=24, dropout=0.0)
    runs = []
    for seed in (1, 1, 2):
        encoder = SentenceEncoder.load("tiny", dropout=0.0).train()
        losses = warm_up(encoder, corpus, recipe, seed=seed, dtype=torch.float32, ranks=Ranks())
        runs.append((losses, encoder.state_dict()))
    assert len(runs[0][0]) == 8
    assert np.mean(runs[0][0][-2:]) < np.mean(runs[0][0][:2])
    assert runs[0][0] == runs[1][0] != runs[2][0]
    assert all(torch.equal(weight, runs[1][1][name]) for name, weight in runs[0][1].items())


def test_a_run_is_another_with_them_the_same_without_and_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watch, "_EVERY", 0.0)
    plain = finetune("tiny", SENTENCES, **SETTINGS)
    assert same(plain, finetune("tiny", SENTENCES, mlm_steps=0, mlm_rate=1e-3, **SETTINGS))
    whole = finetune("tiny", SENTENCES, tmp_path / "whole", mlm_steps=2, **SETTINGS)
    assert not same(plain, whole)
    assert not [name for name in whole.encoder.state_dict() if "predictions" in name]
    kept: dict[str, Any] = {"checkpoint_every": 1, "progress": Halting(2, kill)}
    with pytest.raises(Killed):
        finetune("tiny", SENTENCES, tmp_path / "out", mlm_steps=2, **kept, **SETTINGS)
    assert same(finetune("tiny", SENTENCES, tmp_path / "out", mlm_steps=2, resume=True, **SETTINGS), whole)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mlm_steps": -1}, "mlm_steps -1: must be at least 0"),
        ({"mlm_steps": 2, "mlm_rate": 0.0}, "mlm_rate 0.0: must be above 0"),
        ({"mlm_steps": 2, "mlm_rate": float("nan")}, "mlm_rate nan: must be above 0"),
        ({"mlm_steps": 2, "lora": 4}, "mlm_steps 2: trains all weights"),
    ],
)
def test_values_out_of_range_are_refused(given: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(MirrorkitError, match=said):
        finetune("tiny", SENTENCES, tmp_path / "out", **{**SETTINGS, **given})
    assert not (tmp_path / "out").exists()


def test_a_base_without_a_head_is_refused_in_one_line(tmp_path: Path) -> None:
    SentenceEncoder.load("tiny").save(tmp_path / "headless")
    with pytest.raises(ModelError, match="has no masked-LM head, which `mlm_steps` needs") as caught:
        finetune(tmp_path / "headless", SENTENCES, tmp_path / "out", mlm_steps=2, **SETTINGS)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
    with pytest.raises(MirrorkitError, match="mlm_steps 2: must be 0 for a module of your own"):
        finetune(Bag(), SENTENCES, mlm_steps=2, **SETTINGS)
