"""Gradient checkpointing: keep what goes into each layer, and compute the layer again on the way back.

Source: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost" (arXiv:1604.06174).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mirrorkit.errors import ConfigError
from mirrorkit.model.backbone import settings_of_text
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.model.own_module import ModuleEncoder


@contextmanager
def recomputing(encoder: SentenceEncoder, *, on: bool = True) -> Iterator[None]:
    """Let the layers be computed again on the way back, in the block; raises ConfigError for a base that cannot."""
    if not on:
        yield
        return
    switch = _Switch(encoder)
    switch.turn(on=True)
    try:
        with switch.without_cache():
            yield
    finally:
        switch.turn(on=False)


@contextmanager
def not_recomputing(encoder: SentenceEncoder) -> Iterator[None]:
    """Suspend it for the block."""
    switch = _Switch(encoder)
    switch.turn(on=False)
    try:
        yield
    finally:
        switch.turn(on=True)


class _Switch:
    def __init__(self, encoder: SentenceEncoder) -> None:
        self._own = isinstance(encoder, ModuleEncoder)
        self._body: Any = encoder.module if isinstance(encoder, ModuleEncoder) else encoder.backbone

    def turn(self, *, on: bool) -> None:
        if not (self._own or self._body.supports_gradient_checkpointing):
            raise self._missing()
        # Releases of transformers from 5 on have it under both names, and warn of the first one.
        names = [f"{kind}_checkpointing_{'enable' if on else 'disable'}" for kind in ("activation", "gradient")]
        method = next((getattr(self._body, name) for name in names if hasattr(self._body, name)), None)
        if method is None and on:
            raise self._missing()
        if method is None:
            return
        # The other form forgets the gradient where what goes in has none, as with frozen embeddings.
        method(*([{"use_reentrant": False}] if on and not self._own else []))

    @contextmanager
    def without_cache(self) -> Iterator[None]:
        """Say that keys and values are not kept for a next token, of which transformers would warn."""
        config: Any = None if self._own else settings_of_text(self._body.config)
        kept = getattr(config, "use_cache", None)
        if kept is not None:
            config.use_cache = False
        try:
            yield
        finally:
            if kept is not None:
                config.use_cache = kept

    def _missing(self) -> ConfigError:
        return ConfigError(f"gradient_checkpointing True: must be False, {type(self._body).__name__} has no such thing")
