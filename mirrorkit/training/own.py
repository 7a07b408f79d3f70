"""Functions of the user's own in the training: two views of a text, and the loss of a batch. Called and held to it."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from mirrorkit.errors import ConfigError, first_line
from mirrorkit.extras import require
from mirrorkit.text.strings import replace_surrogates

require("torch", extra="train")
from torch import Tensor, nn

MakeViews = Callable[[str, np.random.Generator], tuple[str, str]]  # of a text, drawing from the run's own generator
OwnLoss = Callable[[Tensor, Tensor, float], Tensor]  # of first views, second views, [n, dim] both, and temperature

_SHOWN = 40  # characters of a text that an error quotes


def name_of(function: Callable[..., object]) -> str:
    """Return where a function is to be found, `module.name`; of an object that can be called, its class."""
    if isinstance(function, functools.partial):
        return name_of(function.func)
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def two_views(make: MakeViews, text: str, rng: np.random.Generator) -> tuple[str, str]:
    """Return the two views that `make` returns; raises ConfigError for anything but two texts."""
    try:
        made: object = make(text, rng)
    except Exception as err:
        raise ConfigError(
            f"views {name_of(make)}: must return two texts, and raises {type(err).__name__} for {_short(text)} "
            f"({first_line(err)})"
        ) from err
    if isinstance(made, (tuple, list)) and len(made) == 2:
        first, second = made
        if isinstance(first, str) and isinstance(second, str) and first.strip() and second.strip():
            return replace_surrogates(first), replace_surrogates(second)
    raise ConfigError(
        f"views {name_of(make)}: must return two texts that are not blank, and returns {_short(made)} for "
        f"{_short(text)}"
    )


def own_loss(function: OwnLoss, vectors: Tensor, temperature: float) -> Tensor:
    """Return what `function` makes of `vectors` [2n, dim], first views before second views.

    Raises ConfigError for anything but a number that has a gradient.
    """
    first, second = vectors.chunk(2)
    try:
        loss: object = function(first, second, temperature)
    except Exception as err:
        raise ConfigError(
            f"loss {name_of(function)}: must return a number, and raises {type(err).__name__} for vectors "
            f"{list(first.shape)} ({first_line(err)})"
        ) from err
    if isinstance(loss, Tensor) and loss.numel() == 1 and loss.requires_grad:
        return loss.reshape(())
    found = f"a tensor {list(loss.shape)}" if isinstance(loss, Tensor) else _short(loss)
    if isinstance(loss, Tensor) and loss.numel() == 1:
        found = "one without a gradient"
    raise ConfigError(
        f"loss {name_of(function)}: must return a tensor of one number that depends on the vectors, and returns {found}"
    )


def check_loss(function: OwnLoss | None) -> None:
    """Raise ConfigError for what cannot be called, and for a module whose own weights nobody would train."""
    if function is None:
        return
    if not callable(function):
        raise ConfigError(f"loss {function!r}: must be a function of first views, second views and temperature")
    if isinstance(function, nn.Module) and any(p.requires_grad for p in function.parameters()):
        raise ConfigError(f"loss {name_of(function)}: must have no weights of its own, since only the model is trained")


def _short(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
