"""The base of a fine-tune: loaded, compared with what others make of it, its size and its tokens."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from mirrorkit.errors import ConfigError
from mirrorkit.formats.model_folder import ModelLayout, Pooling
from mirrorkit.model.backbone import load_tokenizer, positions_of
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.model.outside import compare_outside
from mirrorkit.training.recipes import Recipe
from mirrorkit.training.view_choice import CountTokens

log = logging.getLogger(__name__)

_LONGEST_CROP = 512  # tokens, where the folder names no limit


def load_base(
    folder: Path, settings: Recipe, device: str, trust_remote_code: bool, *, compare: bool
) -> SentenceEncoder:
    """Load the base as the recipe wants it; with `compare` hold its vectors to those of sentence-transformers."""
    # Padded mean is defined at the one length it was trained at; other poolings keep the base's own limit.
    fixed = settings.max_length if settings.pooling == Pooling.MEAN_PADDED else None
    encoder = SentenceEncoder.load(
        folder,
        pooling=settings.pooling,
        max_length=fixed,
        dropout=settings.dropout,
        trust_remote_code=trust_remote_code,
    )
    positions = positions_of(encoder.backbone)
    if settings.max_length > positions:
        raise ConfigError(f"max_length {settings.max_length}: this model takes at most {positions} tokens")
    if compare:
        assert encoder.origin is not None
        own = encoder.origin.layout.pooling
        log.info("%s: %s", folder, compare_outside(encoder, folder, as_it_is=settings.pooling == own).line())
    return encoder.to(device)


def token_counter(folder: Path, layout: ModelLayout, trust_remote_code: bool) -> CountTokens:
    """Return a function that counts tokens, up to as many as the model takes; it loads the tokenizer when asked."""

    def count(texts: Sequence[str]) -> list[int]:
        tokenizer = load_tokenizer(folder, layout, trust_remote_code=trust_remote_code)
        longest = min(tokenizer.model_max_length, layout.max_length or _LONGEST_CROP)
        return [len(ids) for ids in tokenizer(list(texts), truncation=True, max_length=longest)["input_ids"]]

    return count


def bytes_on_disk(encoder: SentenceEncoder, *, checkpoints: bool = False) -> int:
    """Return about how many bytes saving the encoder takes; `checkpoints` are two of them, with AdamW's two means."""
    weights = sum(p.numel() * p.element_size() for p in encoder.parameters())
    return weights * (7 if checkpoints else 1) + (8 << 20)  # and the tokenizer
