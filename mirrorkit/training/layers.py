"""Train the last layers alone: what runs before them has no gradient, no dropout, and keeps no activations.

What runs before them and what after is seen in one pass over a short text, so that no architecture is known by name.
Where nothing before the first trained layer wants a gradient, autograd keeps nothing of it and goes back no further.

A model of six layers lost 2 points of stsb-dev with its last three trained in place of all, and 8 with the last one
(one seed), so that `auto` trains all. What the lower layers make of a text is not kept for the next time that it is
seen: `auto` for sentences has one epoch, and a span is masked at another place each time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from mirrorkit.errors import ConfigError
from mirrorkit.extras import require
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.model.own_module import ModuleEncoder

require("torch", extra="train")
import torch
from torch import nn


@contextmanager
def last_layers(encoder: SentenceEncoder, count: int) -> Iterator[None]:
    """Let only the last `count` layers, and what stands behind them, be trained in the block; 0 trains all.

    The rest of the body is in evaluation mode there, whatever `encoder.train` says. Raises ConfigError for a base that
    has fewer layers, or whose layers cannot be found.
    """
    if not count:
        yield
        return
    trained = _trained(encoder, count)
    weights = {weight for part in trained for weight in part.parameters(recurse=False)}
    frozen = [weight for weight in encoder.backbone.parameters() if weight.requires_grad and weight not in weights]
    for weight in frozen:
        weight.requires_grad_(requires_grad=False)
    encoder.resting, encoder.trained_layers = tuple(_apart(encoder.backbone, trained)), count
    encoder.train(encoder.training)
    try:
        yield
    finally:
        for weight in frozen:
            weight.requires_grad_()
        encoder.resting, encoder.trained_layers = (), None
        encoder.train(encoder.training)


def check_layers(encoder: SentenceEncoder, count: int) -> None:
    """Raise ConfigError where `last_layers` would."""
    if count:
        _trained(encoder, count)


def _trained(encoder: SentenceEncoder, count: int) -> set[nn.Module]:
    """Return all modules of the last `count` layers and those of the body that first run behind these."""
    if isinstance(encoder, ModuleEncoder):
        raise ConfigError(f"train_layers {count}: must be 0 for a module of your own")
    run = _run(encoder)
    layers = _layers(encoder.backbone, run)
    if not layers:
        raise ConfigError(
            f"train_layers {count}: must be 0, the layers of {type(encoder.backbone).__name__} cannot be told apart"
        )
    if count > len(layers):
        raise ConfigError(f"train_layers {count}: must be at most {len(layers)}, the layers of this base")
    order = list(dict.fromkeys(run))  # by their first run
    return {part for module in order[order.index(layers[-count]) :] for part in module.modules()}


def _run(encoder: SentenceEncoder) -> list[nn.Module]:
    """Return the modules of the body in the order in which a text goes through them, the outer before the inner."""
    run: list[nn.Module] = []
    handles = [
        module.register_forward_pre_hook(lambda module, _: run.append(module)) for module in encoder.backbone.modules()
    ]
    was_training = encoder.training
    encoder.eval()
    try:
        with torch.no_grad():
            arrays = encoder.batch(encoder.tokenize(["a"]), np.zeros(1, dtype=np.int64))
            encoder(*(torch.from_numpy(array).to(encoder.device) for array in arrays))
    finally:
        for handle in handles:
            handle.remove()
        encoder.train(was_training)
    return run


def _layers(backbone: nn.Module, run: list[nn.Module]) -> list[nn.Module]:
    """Return the members of the one list in which each runs once, one after the other; none where it is not plain.

    Layers that are one and the same module, as in ALBERT, and those that lie in several lists, as in XLM, are not.
    """
    lists = [list(found) for found in _outermost_lists(backbone) if len(found)]
    in_turn = [members for members in lists if [module for module in run if module in set(members)] == members]
    return in_turn[0] if len(in_turn) == 1 else []


def _outermost_lists(module: nn.Module) -> Iterator[nn.ModuleList]:
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield child
        else:
            yield from _outermost_lists(child)


def _apart(module: nn.Module, others: Iterable[nn.Module]) -> Iterator[nn.Module]:
    """Return the largest parts of a module that hold none of the others."""
    for child in module.children():
        if child in others:
            continue
        if any(part in others for part in child.modules()):
            yield from _apart(child, others)
        else:
            yield child
