"""Gradient checkpointing: keep what goes into each layer, and compute the layer again on the way back.

Source: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost" (arXiv:1604.06174).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mirrorkit.errors import ConfigError
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.model.own_module import ModuleEncoder


@contextmanager
def recomputing(encoder: SentenceEncoder, *, on: bool = True) -> Iterator[None]:
    """Let the layers be computed again on the way back, in the block; raises ConfigError for a base that cannot."""
    if not on:
        yield
        return
    body = _body(encoder)
    _enable(encoder, body)
    try:
        yield
    finally:
        _disable(body)


@contextmanager
def not_recomputing(encoder: SentenceEncoder) -> Iterator[None]:
    """Suspend it for the block."""
    body = _body(encoder)
    _disable(body)
    try:
        yield
    finally:
        _enable(encoder, body)


def _body(encoder: SentenceEncoder) -> Any:
    return encoder.module if isinstance(encoder, ModuleEncoder) else encoder.backbone


def _enable(encoder: SentenceEncoder, body: Any) -> None:
    switch = getattr(body, "gradient_checkpointing_enable", None)
    if isinstance(encoder, ModuleEncoder) and switch is not None:
        switch()
    elif switch is not None and body.supports_gradient_checkpointing:
        # The other form forgets the gradient where what goes in has none, as with frozen embeddings.
        switch(gradient_checkpointing_kwargs={"use_reentrant": False})
    else:
        raise ConfigError(f"gradient_checkpointing True: must be False, {type(body).__name__} has no such thing")


def _disable(body: Any) -> None:
    switch = getattr(body, "gradient_checkpointing_disable", None)
    if switch is not None:
        switch()
