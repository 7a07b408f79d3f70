"""The base of a fine-tune: found, loaded, compared with what others make of it, its size and its tokens."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mirrorkit.errors import ConfigError, ModelError
from mirrorkit.foreign import foreign
from mirrorkit.formats.layout_reader import read_layout
from mirrorkit.formats.model_folder import DropoutLayer, ModelLayout
from mirrorkit.formats.pooling import Pooling
from mirrorkit.model.backbone import load_tokenizer, positions_of, width_of
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.model.hub import locate_model
from mirrorkit.model.outside import compare_outside
from mirrorkit.model.own_module import Backbone, ModuleEncoder, load_again, name_of_module
from mirrorkit.training.layers import check_layers
from mirrorkit.training.matryoshka import check_dims
from mirrorkit.training.recipe import Recipe
from mirrorkit.training.view_choice import CountTokens

log = logging.getLogger(__name__)

_LONGEST_CROP = 512  # tokens, where the folder names no limit


@dataclass(frozen=True)
class FolderBase:
    """A model folder."""

    name: str
    folder: Path
    layout: ModelLayout
    width: int
    trust_remote_code: bool
    module: None = None

    @property
    def own_pooling(self) -> str | None:
        """The pooling that it comes with."""
        return self.layout.pooling if self.layout.named else None

    @property
    def drops_out(self) -> bool:
        """Whether there is dropout behind pooling."""
        return any(isinstance(layer, DropoutLayer) and layer.p > 0 for layer in self.layout.chain)

    @property
    def count_tokens(self) -> CountTokens:
        return token_counter(self.folder, self.layout, self.trust_remote_code)

    def load(self, settings: Recipe, device: str, *, compare: bool) -> SentenceEncoder:
        """Load it as the recipe wants it."""
        return load_base(self.folder, settings, device, self.trust_remote_code, compare=compare)

    def load_saved(self, folder: Path, settings: Recipe, max_length: int) -> SentenceEncoder:  # noqa: ARG002
        """Load what was made of it."""
        return SentenceEncoder.load(folder, trust_remote_code=self.trust_remote_code)


@dataclass(frozen=True)
class ModuleBase:
    """A module of the user's own, which stays as it is: every training has a copy."""

    module: Backbone
    own_pooling: None = None
    drops_out: bool = False

    @property
    def name(self) -> str:
        return name_of_module(self.module)

    @property
    def width(self) -> int:
        return self.module.width

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(row) for row in self.module.tokenize(texts, self.module.max_length)]

    def load(self, settings: Recipe, device: str, *, compare: bool) -> SentenceEncoder:
        """Copy it as the recipe wants it."""
        if compare:
            raise ConfigError("compare True: sentence-transformers cannot load a module of your own")
        if settings.drophead:
            raise ConfigError(f"drophead {settings.drophead}: must be 0 for a module of your own")
        own = _copy(self.module)
        encoder = ModuleEncoder(own, pooling=settings.pooling, max_length=_fixed(settings), dropout=settings.dropout)
        return _fitted(encoder, settings).to(device)

    def load_saved(self, folder: Path, settings: Recipe, max_length: int) -> SentenceEncoder:
        """Load what was made of it, by its own `load`."""
        return load_again(self.module, folder, settings.pooling, max_length)


Base = FolderBase | ModuleBase


def find_base(base: str | Path | Backbone, *, trust_remote_code: bool) -> Base:
    """Find a model folder by its name and read its layout, or hold a module to what it must offer."""
    if not isinstance(base, (str, Path)):
        ModuleEncoder(_copy(base))  # raises where it lacks something
        return ModuleBase(base)
    located = locate_model(base, trust_remote_code=trust_remote_code)
    layout = read_layout(located.folder)
    width = width_of(layout, trust_remote_code=trust_remote_code)
    return FolderBase(located.name, located.folder, layout, width, trust_remote_code)


def _copy(module: Backbone) -> Backbone:
    with foreign(ModelError, f"{name_of_module(module)}: cannot be copied"):
        return copy.deepcopy(module)


def load_base(
    folder: Path, settings: Recipe, device: str, trust_remote_code: bool, *, compare: bool
) -> SentenceEncoder:
    """Load a model folder as the recipe wants it; with `compare` hold its vectors to those of sentence-transformers.

    It keeps its maximum length, unless it is trained on longer strings: then it has that of the training.
    """
    encoder = SentenceEncoder.load(
        folder,
        pooling=settings.pooling,
        max_length=_fixed(settings),
        dropout=settings.dropout,
        trust_remote_code=trust_remote_code,
    )
    if compare:
        assert encoder.origin is not None
        own = encoder.origin.layout.pooling
        log.info("%s: %s", folder, compare_outside(encoder, folder, as_it_is=settings.pooling == own).line())
    return _fitted(encoder, settings).to(device)


def _fixed(settings: Recipe) -> int | None:
    """Return the one length of padded mean, which is defined at what it was trained at; other poolings have no such."""
    return settings.max_length if settings.pooling == Pooling.MEAN_PADDED else None


def _fitted(encoder: SentenceEncoder, settings: Recipe) -> SentenceEncoder:
    """Give the encoder the maximum length of the training where that is larger than its own.

    Raises ConfigError for what the recipe wants and the encoder cannot do.
    """
    check_dims(settings.cut_dims, encoder.dim)
    positions = positions_of(encoder.backbone)
    if settings.max_length > positions:
        raise ConfigError(f"max_length {settings.max_length}: this model takes at most {positions} tokens")
    if settings.max_length > encoder.max_length:
        log.warning(
            "`max_length=%d` is more than the %d tokens of the base: the saved model takes %d",
            settings.max_length,
            encoder.max_length,
            settings.max_length,
        )
        encoder.max_length = settings.max_length
    check_layers(encoder, settings.train_layers)
    return encoder


def token_counter(folder: Path, layout: ModelLayout, trust_remote_code: bool) -> CountTokens:
    """Return a function that counts tokens, up to as many as the model takes; it loads the tokenizer when asked."""

    def count(texts: Sequence[str]) -> list[int]:
        tokenizer = load_tokenizer(folder, layout, trust_remote_code=trust_remote_code)
        longest = min(tokenizer.model_max_length, layout.max_length or _LONGEST_CROP)
        return [len(ids) for ids in tokenizer(list(texts), truncation=True, max_length=longest)["input_ids"]]

    return count


def bytes_on_disk(encoder: SentenceEncoder, *, checkpoints: bool = False, averaged: bool = False) -> int:
    """Return about how many bytes saving the encoder takes.

    `checkpoints` are two of them, with AdamW's two means and, where weights are `averaged`, the mean of these.
    """
    weights = sum(p.numel() * p.element_size() for p in encoder.parameters())
    return weights * (1 + checkpoints * 2 * (3 + averaged)) + (8 << 20)  # and the tokenizer
