"""Small modules of a user's own, in the place of a transformer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

FIRST, MASK, LETTERS = 1, 2, 3  # ids; a letter's id is its byte and LETTERS


class Letters(nn.Module):
    """Bytes through a layer of attention. Its numbers of heads and layers are nobody's business."""

    width, max_length, pad_id, mask_token = 16, 64, 0, "\x01"

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.table = nn.Embedding(256 + LETTERS, self.width)
            self.layer = nn.TransformerEncoderLayer(self.width, 2, 32, dropout=0.3, batch_first=True)
        self.again = False

    def tokenize(self, texts: Sequence[str], max_length: int) -> list[list[int]]:
        ids = [[MASK if byte == 1 else byte + LETTERS for byte in text.encode()] for text in texts]
        return [[FIRST, *row][:max_length] for row in ids]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        vectors, padding = self.table(input_ids), attention_mask == 0
        if self.again and self.training:
            found = checkpoint(self.layer, vectors, None, padding, use_reentrant=False)
        else:
            found = self.layer(vectors, src_key_padding_mask=padding)
        assert isinstance(found, Tensor)
        return found

    def gradient_checkpointing_enable(self) -> None:
        self.again = True

    def gradient_checkpointing_disable(self) -> None:
        self.again = False

    def save(self, folder: Path) -> None:
        save_file(self.state_dict(), folder / "letters.safetensors", metadata={"dropout": str(self.layer.dropout.p)})

    @classmethod
    def load(cls, folder: Path) -> Letters:
        module = cls()
        module.load_state_dict(load_file(folder / "letters.safetensors"))
        return module


class Bag(nn.Module):
    """A table of vectors of words: no dropout, no mask."""

    width, max_length, pad_id = 8, 16, 0

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(101, self.width)

    def tokenize(self, texts: Sequence[str], max_length: int) -> list[list[int]]:
        return [[1 + sum(word.encode()) % 100 for word in text.split()][:max_length] for text in texts]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        found = self.table(input_ids)
        assert isinstance(found, Tensor)
        return found

    def save(self, folder: Path) -> None:
        save_file(self.state_dict(), folder / "bag.safetensors")

    @classmethod
    def load(cls, folder: Path) -> Bag:
        module = cls()
        module.load_state_dict(load_file(folder / "bag.safetensors"))
        return module
