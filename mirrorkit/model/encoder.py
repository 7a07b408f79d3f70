"""The one module for training, evaluation and export: transformer body, pooling, and what stands behind it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mirrorkit.errors import ConfigError, ModelError, OutputError
from mirrorkit.extras import require
from mirrorkit.foreign import foreign
from mirrorkit.formats.layout_reader import read_layout
from mirrorkit.formats.layout_writer import write_layout
from mirrorkit.formats.model_folder import ModelLayout
from mirrorkit.formats.pooling import Pooling, poolings_of
from mirrorkit.formats.usage import Usage
from mirrorkit.model.backbone import (
    DropoutFields,
    QuietTransformers,
    load_backbone,
    load_tokenizer,
    own_length,
    positions_of,
    save_tokenizer,
    settings_of_text,
)
from mirrorkit.model.chain import Chain
from mirrorkit.model.hub import locate_model
from mirrorkit.model.sound import refuse_other_tokens, refuse_padding_sensitive, refuse_tokens_without_rows
from mirrorkit.model.static import load_static, load_static_tokenizer
from mirrorkit.text.ragged import Ints, RaggedIds, pad_batch, token_budget_batches
from mirrorkit.text.strings import strings
from mirrorkit.text.tokenizer import Tokenizer

require("torch", extra="train")
import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)


class EncoderOutput(NamedTuple):
    """What a forward pass returns, in the order in which the exported graph has its outputs."""

    last_hidden_state: Tensor  # [batch, seq, width], not normalised
    sentence_embedding: Tensor  # [batch, dim], fp32


@dataclass(frozen=True)
class Origin:
    """The folder that an encoder was loaded from."""

    name: str  # hub id, shipped name, or the name of a local folder
    folder: Path
    layout: ModelLayout  # what its files say


class SentenceEncoder(nn.Module):
    """A Hugging Face encoder with pooling on top and what else its folder names: dense layers, norms, normalisation.

    Build one with `SentenceEncoder.load`. `max_length` counts tokens, special tokens included; longer text is cut.

    >>> from mirrorkit import SentenceEncoder
    >>> encoder = SentenceEncoder.load("tiny", max_length=64)
    >>> vectors = encoder.encode(["A cat sits on the mat.", "Somebody plays the violin."])
    >>> vectors.shape, str(vectors.dtype), encoder.max_length
    ((2, 384), 'float32', 64)
    """

    def __init__(
        self,
        backbone: nn.Module,
        tokenizer: Any,
        layout: ModelLayout,
        max_length: int,
        dropout_fields: DropoutFields | None = None,
    ) -> None:
        super().__init__()
        self.backbone: Any = backbone  # transformers has no type for "an encoder"
        self.tokenizer = tokenizer
        self.layout = layout
        self.chain = Chain(layout, self.width)
        self.max_length = max_length
        self.origin: Origin | None = None  # where it was loaded from
        self.resting: tuple[nn.Module, ...] = ()  # parts that stay in evaluation mode while the others are trained
        self.trained_layers: int | None = None  # the last ones; None: all
        self._stored_dropout = dropout_fields or {}
        self._copied, self._copies = tokenizer, dict[int, Tokenizer]()

    @classmethod
    def load(
        cls,
        name: str | Path,
        *,
        pooling: str | None = None,
        max_length: int | None = None,
        dropout: float | None = None,
        trust_remote_code: bool = False,
    ) -> SentenceEncoder:
        """Load a model folder, a sentence-transformers folder, the name of a shipped model, or a hub id.

        The vectors are those of sentence-transformers. `pooling` overrides what the folder says, several joined by +;
        a folder that is no sentence-transformers folder gets `mean` and unit length. `dropout` replaces the
        architecture's own dropout probabilities for training and is not saved with the model. The weights are held
        in fp32 on the CPU and the module is in evaluation mode. Python code that comes with a model is run only with
        `trust_remote_code`: it can do whatever the user can.

        Raises ModelError for a folder that does not hold an encoder, whose files say what cannot be honoured, or whose
        vectors change with padding; ConfigError for a bad length or pooling.
        """
        located = locate_model(name, trust_remote_code=trust_remote_code)
        folder = located.folder
        layout = read_layout(folder)
        origin = Origin(located.name, folder, layout)
        if pooling is not None:
            layout = layout.pooled_by(poolings_of(str(pooling)))
        if layout.static:
            if dropout:
                raise ModelError(
                    f"{folder}: a table of token vectors has no dropout, so there is nothing to train it with"
                )
            backbone: Any = load_static(layout.weights)
            stored_dropout, tokenizer = DropoutFields(), load_static_tokenizer(layout.weights)
        else:
            backbone, stored_dropout = load_backbone(layout, dropout, trust_remote_code=trust_remote_code)
            tokenizer = load_tokenizer(folder, layout, trust_remote_code=trust_remote_code)
        if max_length is not None and not 1 < max_length <= positions_of(backbone):
            raise ConfigError(f"max_length {max_length}: this model takes 2 to {positions_of(backbone)} tokens")
        length = max_length or own_length(layout, tokenizer, backbone)
        encoder = cls(backbone, tokenizer, layout, length, stored_dropout).eval()
        encoder.origin = origin
        encoder.chain.load(layout)
        with foreign(ModelError, f"{folder}: the model cannot be run"), QuietTransformers():
            refuse_tokens_without_rows(tokenizer, backbone, folder)
            refuse_other_tokens(tokenizer, backbone, folder)
            if layout.pooling != Pooling.MEAN_PADDED:  # that changes with padding by definition; it has one length
                refuse_padding_sensitive(tokenizer, backbone, encoder.chain, length, folder)
        return encoder

    @property
    def dim(self) -> int:
        """Length of a sentence vector."""
        return self.chain.dim

    @property
    def width(self) -> int:
        """Length of a token vector."""
        return int(self.backbone.config.hidden_size)

    @property
    def usage(self) -> Usage:
        """How texts go in, and what can be said of the vectors."""
        return Usage(
            self.layout.prompts,
            self.layout.default_prompt_name,
            self.layout.include_prompt,
            str(self.tokenizer.truncation_side),
            self.chain.normalized,
            self.layout.similarity,
        )

    @property
    def pooling(self) -> str:
        """The name of the pooling, or the names of several joined by +; setting it keeps what stands behind."""
        return self.layout.pooling

    @pooling.setter
    def pooling(self, name: str) -> None:
        self.layout = self.layout.pooled_by(poolings_of(name))
        self.chain.pooling.modes = self.layout.poolings

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.parameters()).device

    def train(self, mode: bool = True) -> SentenceEncoder:
        """Put it into training mode, but for the parts that rest, or into evaluation mode."""
        super().train(mode)
        for part in self.resting:
            part.eval()
        return self

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> EncoderOutput:
        """Encode right-padded int64 `input_ids` and `attention_mask`, both [batch, seq].

        Where the model leaves prompts out of pooling, their tokens have a 2 in the mask.
        """
        attended = attention_mask if self.layout.include_prompt else (attention_mask != 0).long()
        hidden = self.backbone(input_ids=input_ids, attention_mask=attended).last_hidden_state
        halved = torch.is_autocast_enabled(hidden.device.type)
        with torch.autocast(hidden.device.type, enabled=False) if halved else nullcontext():
            return EncoderOutput(hidden, self.chain(hidden, attention_mask))

    def tokenize(self, texts: Sequence[str], max_length: int | None = None, *, prompt: str | None = None) -> RaggedIds:
        """Return the token ids of each text, special tokens included, cut to `max_length`, not padded.

        `prompt` is put before each text; None is the model's default prompt. Threads may share an encoder.
        """
        return self._cutting_at(max_length or self.max_length).ids(texts, self.usage.prompt(prompt))

    def batch(self, ids: RaggedIds, rows: Ints, pad_to: int | None = None, *, unpooled: int = 0) -> tuple[Ints, Ints]:
        """Return right-padded ids and mask of `rows`; the first `unpooled` tokens of each are attended to alone."""
        return pad_batch(ids, rows, self.tokenizer.pad_token_id, pad_to, unpooled=unpooled)

    def unpooled(self, prompt: str | None = None) -> int:
        """Return how many tokens of a prompt (None: the default one) are left out of pooling."""
        before = self.usage.prompt(prompt)
        if self.layout.include_prompt or not before:
            return 0
        tokens = self.tokenize([""], prompt=before)[0]
        return len(tokens) - (int(tokens[-1]) in self.tokenizer.all_special_ids)

    def _cutting_at(self, length: int) -> Tokenizer:
        """Return a tokenizer of our own for each length: to change the shared one's truncation would reach others."""
        if self._copied is not self.tokenizer:  # it was replaced, as trimming does
            self._copied, self._copies = self.tokenizer, {}
        if (found := self._copies.get(length)) is None:
            found = self._copies[length] = Tokenizer.copy_of(
                self.tokenizer.backend_tokenizer, length, truncation_side=self.tokenizer.truncation_side
            )
        return found

    def encode(
        self,
        texts: Sequence[str],
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        batch_tokens: int = 4096,
        on_progress: Callable[[int], None] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Return vectors float32 [len(texts), dim], in the order of `texts`; of unit length where the model has that.

        `prompt` is put before each text, or the model's own prompt of the name `prompt_name`, else its default prompt.
        Batches hold texts of similar length and at most `batch_tokens` tokens, padding included. `on_progress` is
        called with the number of texts just done. Raises TypeError for anything but a sequence of strings,
        ConfigError for a name that is not one of the prompts.
        """
        texts = list(strings(texts, "encode"))
        before = self.usage.prompt(prompt, prompt_name)
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        ids, unpooled = self.tokenize(texts, prompt=before), self.unpooled(before)
        pad_to = self.max_length if self.pooling == Pooling.MEAN_PADDED else None
        was_training = self.training
        self.eval()
        try:
            with torch.inference_mode():
                for rows in token_budget_batches(ids.lengths, batch_tokens, pad_to):
                    arrays = pad_batch(ids, rows, self.tokenizer.pad_token_id, pad_to, unpooled=unpooled)
                    with foreign(ModelError, f"the model fails on a batch of {len(rows)} texts"):
                        output = self(*(torch.from_numpy(array).to(self.device) for array in arrays))
                        vectors[rows] = output.sentence_embedding.cpu().numpy()
                    if on_progress:
                        on_progress(len(rows))
        finally:
            self.train(was_training)
        return vectors

    def save(self, folder: Path) -> None:
        """Write the sentence-transformers layout, weights as safetensors, into an existing or new folder."""
        folder.mkdir(parents=True, exist_ok=True)
        config = settings_of_text(self.backbone.config)
        trained_with = {name: getattr(config, name) for name in self._stored_dropout}
        for name, value in self._stored_dropout.items():
            setattr(config, name, value)
        try:
            with foreign(OutputError, "the weights cannot be written"), QuietTransformers():
                self.backbone.save_pretrained(folder)
        finally:
            for name, value in trained_with.items():
                setattr(config, name, value)
        save_tokenizer(self.tokenizer, folder, self.max_length)
        self.chain.save(self.layout, folder)
        write_layout(folder, self.layout, width=self.width, max_length=self.max_length)
