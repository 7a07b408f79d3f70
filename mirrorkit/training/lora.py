"""LoRA: train low-rank additions to the linear layers of the blocks, and add them to the weights at the end.

Source: Hu et al. 2021 (LoRA, arXiv:2106.09685), as peft has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mirrorkit.errors import ConfigError, ModelError
from mirrorkit.extras import require
from mirrorkit.foreign import foreign
from mirrorkit.model.encoder import SentenceEncoder
from mirrorkit.model.own_module import ModuleEncoder

require("torch", extra="train")
import torch
from torch import nn

_SCALE = 2  # what an addition is multiplied with: peft's lora_alpha over the rank
_IN_A_BLOCK = re.compile(r"\.\d+\.")  # of the numbered ones; the embeddings' own projections stand before them


@contextmanager
def adapted(encoder: SentenceEncoder, rank: int, seed: int) -> Iterator[None]:
    """Let only additions of this rank be trained in the block, which then become part of the weights; 0 does nothing.

    Raises MissingExtraError without peft, ConfigError for a module of the user's own, ModelError for a base that has
    no linear layers in blocks.
    """
    if not rank:
        yield
        return
    peft: Any = require("peft", extra="lora")
    if isinstance(encoder, ModuleEncoder):
        raise ConfigError(f"lora {rank}: must be 0 for a module of your own")
    backbone = encoder.backbone
    names = [
        name
        for name, part in backbone.named_modules()
        if isinstance(part, nn.Linear) and _IN_A_BLOCK.search(name) and part.weight.requires_grad
    ]
    if not names:
        raise ModelError(f"{type(backbone).__name__}: lora finds no linear layers in its blocks; use `lora=0`")
    config = peft.LoraConfig(r=rank, lora_alpha=_SCALE * rank, target_modules=names)
    encoder.requires_grad_(requires_grad=False)
    device = encoder.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        with foreign(ModelError, f"{type(backbone).__name__}: peft cannot adapt it"):
            peft.inject_adapter_in_model(config, backbone)
    yield
    _merge(backbone, names)
    encoder.requires_grad_(requires_grad=True)


def _merge(backbone: Any, names: list[str]) -> None:
    """Add the additions to the weights and put the plain layers back."""
    for name in names:
        owner, _, last = name.rpartition(".")
        adapter: Any = backbone.get_submodule(name)
        adapter.merge()
        setattr(backbone.get_submodule(owner), last, adapter.get_base_layer())
    for left in ("peft_config",):  # what peft notes on a model
        if hasattr(backbone, left):
            delattr(backbone, left)
