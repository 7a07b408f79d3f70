"""A table of token vectors in the place of a transformer: StaticEmbedding, as model2vec distils it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mirrorkit.errors import ModelError
from mirrorkit.extras import require
from mirrorkit.foreign import reason

require("torch", extra="train")
import torch
from torch import Tensor, nn

require("safetensors", extra="train")
import safetensors.torch

require("transformers", extra="train")
import transformers

_FILE = "model.safetensors"
_PADDING = ("[PAD]", "<pad>")


class StaticBody(nn.Module):
    """Looks token vectors up. Offers what is asked of the body of a transformer."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.embedding = nn.Embedding(table.shape[0], table.shape[1], _weight=table)
        self.config = SimpleNamespace(
            model_type="static", hidden_size=table.shape[1], vocab_size=table.shape[0], max_position_embeddings=None
        )

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:  # noqa: ARG002  # as every body is called
        return SimpleNamespace(last_hidden_state=self.embedding(input_ids))

    def save_pretrained(self, folder: Path) -> None:
        """Write weights and configuration as StaticEmbedding has them."""
        tensors = {"embedding.weight": self.embedding.weight.detach().cpu().contiguous()}
        safetensors.torch.save_file(tensors, folder / _FILE, metadata={"format": "pt"})
        about = {"architectures": ["StaticModel"], "model_type": "static", "hidden_size": self.config.hidden_size}
        (folder / "config.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def load_static(folder: Path) -> StaticBody:
    """Return the table in `folder`, fp32, one row a token id; raises ModelError for weights that are none."""
    file = folder / _FILE
    if not file.is_file():
        raise ModelError(f"{folder}: no {_FILE} in it; pickled weights are never loaded")
    try:
        weights = safetensors.torch.load_file(file)
    except Exception as err:  # safetensors' own types
        raise ModelError(f"{file}: the weights cannot be loaded ({reason(err)})") from err
    unknown = set(weights) - {"embedding.weight", "embeddings", "mapping", "weights"}
    table = weights.get("embedding.weight", weights.get("embeddings"))
    if unknown or table is None:
        raise ModelError(f"{file}: holds {', '.join(sorted(weights))}, expected embedding.weight")
    if "embedding.weight" not in weights:  # as model2vec stores it
        if "mapping" in weights:
            table = table[weights["mapping"].long()]
        if "weights" in weights:
            table = table.float() * weights["weights"].float()[:, None]
    table = table.float().contiguous()
    if not bool(torch.isfinite(table).all()):
        raise ModelError(f"{file}: the weights hold NaN or infinity")
    return StaticBody(table).eval()


def load_static_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of a static table, which adds no special tokens and cuts where its own file says."""
    import tokenizers

    file = folder / "tokenizer.json"
    if not file.is_file():
        raise ModelError(f"{folder}: no tokenizer.json in it")
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
        longest = (value.get("truncation") or {}).get("max_length")
        side = str((value.get("truncation") or {}).get("direction", "right")).lower()
        bare = {**value, "post_processor": None, "truncation": None, "padding": None}
        backend = tokenizers.Tokenizer.from_str(json.dumps(bare))
    except Exception as err:  # the Rust side raises plain Exception
        raise ModelError(f"{file}: cannot be used as a tokenizer ({reason(err)})") from err
    special = [str(token.content) for token in backend.get_added_tokens_decoder().values() if token.special]
    padding = next((name for name in (*_PADDING, *special) if name in special), None)
    if padding is None:
        raise ModelError(f"{file}: no special token in added_tokens that could stand for padding")
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=padding,
        truncation_side=side,
        model_input_names=["input_ids", "attention_mask"],
        **({"model_max_length": longest} if longest else {}),
    )
