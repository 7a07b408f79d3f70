"""Hold the shipped model to its card, and to being a masked language model that learned something."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch
import transformers
from safetensors import safe_open

# What a reader would put in; at least one of them must be among the ten likeliest.
SENSIBLE = {
    "The film was [MASK] by a famous director.": {"produced", "written", "directed"},
    "He plays the [MASK] in an orchestra.": {"composer", "musician", "guitar", "singer"},
    "He died in [MASK] 1950.": {"february", "march", "april", "july", "december", "june", "may", "january"},
    "Return the [MASK] of the list.": {"index", "end", "size", "contents", "length"},
    "They played the first [MASK] of the season.": {"round", "half", "game", "match"},
    "The river flows into the [MASK].": {"river", "lake", "sea", "ocean"},
    "He was born in [MASK] and moved to London.": {"england", "kent", "france", "paris"},
}


def test_the_weights_are_those_of_the_card(shipped: Path) -> None:
    card = (shipped / "README.md").read_text(encoding="utf-8")
    weights = (shipped / "model.safetensors").read_bytes()
    stated = re.search(r"([\d,]+) bytes, sha256 `(\w{64})`", card)
    assert stated is not None
    assert int(stated[1].replace(",", "")) == len(weights)
    assert stated[2] == hashlib.sha256(weights).hexdigest()
    assert sum(file.stat().st_size for file in shipped.iterdir()) <= 28_000_000


def test_the_shape_is_that_of_the_card(shipped: Path) -> None:
    card = (shipped / "README.md").read_text(encoding="utf-8")
    with safe_open(shipped / "model.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no dict)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    model = transformers.AutoModelForMaskedLM.from_pretrained(shipped)
    assert f"{sum(p.numel() for p in model.parameters()):,} parameters" in card
    config = model.config
    assert f"{config.num_hidden_layers} layers × {config.hidden_size}, {config.num_attention_heads} heads" in card
    assert config.max_position_embeddings == 128


def test_masks_are_filled_sensibly(shipped: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(shipped)
    model = transformers.AutoModelForMaskedLM.from_pretrained(shipped).float().eval()
    for sentence, wanted in SENSIBLE.items():
        encoded = tokenizer(sentence, return_tensors="pt")
        place = encoded.input_ids[0].tolist().index(tokenizer.mask_token_id)
        with torch.inference_mode():
            likeliest = model(**encoded).logits[0, place].topk(10).indices.tolist()
        assert wanted & set(tokenizer.convert_ids_to_tokens(likeliest)), sentence
