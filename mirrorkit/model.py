"""The one module for training, evaluation and export: transformer body, pooling, L2 normalisation."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mirrorkit.backbone import DropoutFields, QuietTransformers, load_backbone, load_tokenizer, positions_of
from mirrorkit.batching import RaggedIds, pad_batch, token_budget_batches
from mirrorkit.errors import ConfigError, ModelError
from mirrorkit.extras import require
from mirrorkit.hub import locate_model
from mirrorkit.layout import Pooling, as_pooling, read_layout, write_layout

require("torch", extra="train")
import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

DEFAULT_MAX_LENGTH = 512  # tokens; the ceiling where neither folder nor tokenizer names a smaller one


class EncoderOutput(NamedTuple):
    """What a forward pass returns, in the order in which the exported graph has its outputs."""

    last_hidden_state: Tensor  # [batch, seq, dim], not normalised
    sentence_embedding: Tensor  # [batch, dim], fp32, unit length


class SentenceEncoder(nn.Module):
    """A Hugging Face encoder with pooling and L2 normalisation on top.

    Build one with `SentenceEncoder.load`. `max_length` counts tokens, special tokens included; longer text is cut.
    """

    def __init__(
        self,
        backbone: nn.Module,
        tokenizer: Any,
        pooling: Pooling,
        max_length: int,
        dropout_fields: DropoutFields | None = None,
    ) -> None:
        super().__init__()
        self.backbone: Any = backbone  # transformers has no type for "an encoder"
        self.tokenizer = tokenizer
        self.pooling = pooling
        self.max_length = max_length
        self._stored_dropout = dropout_fields or {}

    @classmethod
    def load(
        cls,
        name: str | Path,
        *,
        pooling: Pooling | str | None = None,
        max_length: int | None = None,
        dropout: float | None = None,
    ) -> SentenceEncoder:
        """Load a model folder, a sentence-transformers folder, the name of a shipped model, or a hub id.

        `pooling` overrides what the folder says; where neither says anything it is `mean`. `dropout` replaces the
        architecture's own dropout probabilities for training and is not saved with the model. The weights are held
        in fp32 on the CPU and the module is in evaluation mode.

        Raises ModelError for a folder that is no encoder, ConfigError for a length or a pooling that cannot be.
        """
        folder = locate_model(name)
        layout = read_layout(folder)
        backbone, stored_dropout = load_backbone(layout.weights, dropout)
        tokenizer = load_tokenizer(folder, layout)
        ceiling = min(layout.max_length or DEFAULT_MAX_LENGTH, tokenizer.model_max_length, positions_of(backbone))
        if max_length is not None and not 1 < max_length <= positions_of(backbone):
            raise ConfigError(f"max_length {max_length}: this model takes 2 to {positions_of(backbone)} tokens")
        chosen = as_pooling(pooling or layout.pooling or Pooling.MEAN)
        return cls(backbone, tokenizer, chosen, int(max_length or ceiling), stored_dropout).eval()

    @property
    def dim(self) -> int:
        """Length of a sentence vector."""
        return int(self.backbone.config.hidden_size)

    @property
    def device(self) -> Any:
        return next(self.parameters()).device

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> EncoderOutput:
        """Encode right-padded int64 `input_ids` and `attention_mask`, both [batch, seq]."""
        hidden = self.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        pooled = pool(hidden, attention_mask, self.pooling)
        return EncoderOutput(hidden, nn.functional.normalize(pooled, dim=-1))

    def tokenize(self, texts: Sequence[str], max_length: int | None = None) -> RaggedIds:
        """Return the token ids of each text, special tokens included, cut to `max_length`, not padded."""
        backend = self.tokenizer.backend_tokenizer
        backend.no_padding()
        backend.enable_truncation(max_length or self.max_length)
        return RaggedIds.from_blocks(
            [encoding.ids for encoding in backend.encode_batch_fast(list(block))] for block in _blocks(texts, 8192)
        )

    def encode(
        self,
        texts: Sequence[str],
        *,
        batch_tokens: int = 4096,
        on_progress: Callable[[int], None] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Return unit-length vectors float32 [len(texts), dim], in the order of `texts`.

        Batches hold texts of similar length and at most `batch_tokens` tokens, padding included. `on_progress` is
        called with the number of texts just done. Raises TypeError for anything but a sequence of strings.
        """
        if isinstance(texts, str):
            raise TypeError("encode takes a sequence of strings, not one string; write encode([text])")
        for index, text in enumerate(texts):
            if not isinstance(text, str):
                raise TypeError(f"texts[{index}] is {type(text).__name__}, not str")
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        ids = self.tokenize(texts)
        pad_to = self.max_length if self.pooling is Pooling.MEAN_PADDED else None
        was_training = self.training
        self.eval()
        try:
            with torch.inference_mode():
                for rows in token_budget_batches(ids.lengths, batch_tokens, pad_to):
                    input_ids, mask = pad_batch(ids, rows, self.tokenizer.pad_token_id, pad_to)
                    output = self(torch.from_numpy(input_ids).to(self.device), torch.from_numpy(mask).to(self.device))
                    vectors[rows] = output.sentence_embedding.cpu().numpy()
                    if on_progress:
                        on_progress(len(rows))
        finally:
            self.train(was_training)
        return vectors

    def save(self, folder: Path) -> None:
        """Write the sentence-transformers layout, weights as safetensors, into an existing or new folder."""
        folder.mkdir(parents=True, exist_ok=True)
        config = self.backbone.config
        trained_with = {name: getattr(config, name) for name in self._stored_dropout}
        for name, value in self._stored_dropout.items():
            setattr(config, name, value)
        try:
            with QuietTransformers():
                self.backbone.save_pretrained(folder)
        finally:
            for name, value in trained_with.items():
                setattr(config, name, value)
        _save_tokenizer(self.tokenizer, folder, self.max_length)
        write_layout(folder, dim=self.dim, pooling=self.pooling, max_length=self.max_length)


def pool(hidden: Tensor, attention_mask: Tensor, pooling: Pooling) -> Tensor:
    """Reduce [batch, seq, dim] to fp32 [batch, dim].

    Always in fp32: a half-precision sum over hundreds of tokens loses digits and can overflow.
    """
    hidden = hidden.float()
    mask = attention_mask.unsqueeze(-1)  # [batch, seq, 1]
    if pooling is Pooling.CLS:
        return hidden[:, 0]
    if pooling is Pooling.MEAN_PADDED:
        return hidden.mean(dim=1)
    if pooling is Pooling.MAX:
        return hidden.masked_fill(mask == 0, float("-inf")).amax(dim=1)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)


def _blocks(texts: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), size):
        yield texts[start : start + size]


def _save_tokenizer(tokenizer: Any, folder: Path, max_length: int) -> None:
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()  # length belongs to the reader of the folder, not to tokenizer.json
    backend.no_padding()
    tokenizer.model_max_length = max_length
    tokenizer.save_pretrained(folder)
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    if config.get("tokenizer_class") == "TokenizersBackend":
        config["tokenizer_class"] = "PreTrainedTokenizerFast"  # the name that transformers 4 knows as well
    for local in ("is_local", "local_files_only", "name_or_path"):  # where this machine had it concerns nobody else
        config.pop(local, None)
    file.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    special = {k: str(v) for k, v in tokenizer.special_tokens_map.items() if isinstance(v, str)}
    if not special:
        raise ModelError("the tokenizer names no special tokens")
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n", encoding="utf-8")
