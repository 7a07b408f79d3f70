"""DropHead: silence whole attention heads at random while training (Zhou et al. 2020, arXiv:2004.13342)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mirrorkit.errors import ConfigError, ModelError
from mirrorkit.extras import require

require("torch", extra="train")
import torch
from torch import Tensor, nn

# What the attention's output projection is called: BERT and its kin, DistilBERT, MPNet, ALBERT, ModernBERT, others.
_PROJECTION = re.compile(
    r"(^|\.)(attention\.output\.dense|attention\.out_lin|attention\.attn\.o|attention\.dense|attn\.Wo"
    r"|(attention|attn|self_attn)\.(o_proj|out_proj))$"
)


@contextmanager
def drophead(backbone: Any, p: float) -> Iterator[None]:
    """Drop each head of each layer, per text, with probability `p` while the model is in training mode.

    Works on the input of the attention's output projection, where the heads stand side by side whatever attention
    implementation computed them. At least one head is kept per text and layer; the kept ones are scaled up by
    heads / kept. Raises ModelError for an architecture whose projections are not known.
    """
    if not 0 <= p < 1:
        raise ConfigError(f"drophead {p}: must be at least 0 and below 1")
    handles = [m.register_forward_pre_hook(_hook(_heads(backbone), p)) for m in _projections(backbone)] if p else []
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _heads(backbone: Any) -> int:
    return int(backbone.config.num_attention_heads)


def _projections(backbone: nn.Module) -> list[nn.Module]:
    found: list[nn.Module] = [
        m for name, m in backbone.named_modules() if isinstance(_plain(m), nn.Linear) and _PROJECTION.search(name)
    ]
    if not found:
        raise ModelError(f"{type(backbone).__name__}: drophead does not know its attention layers; use `drophead=0`")
    return found


def _plain(module: nn.Module) -> object:
    """Return the layer that an adapter of peft stands around, or the module itself."""
    return getattr(module, "base_layer", module)


def _hook(heads: int, p: float) -> Any:
    def drop(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if not module.training:
            return None
        context, *rest = args  # [batch, seq, heads * head_dim]
        scale = head_scale(context.shape[0], heads, p, context.device).to(context.dtype)
        split = context.view(*context.shape[:-1], heads, -1) * scale[:, None, :, None]
        return split.flatten(-2), *rest

    return drop


def head_scale(batch: int, heads: int, p: float, device: torch.device | None = None) -> Tensor:
    """Draw the factor of every head, [batch, heads]: 0 where dropped, heads / kept elsewhere."""
    keep = torch.rand(batch, heads, device=device) >= p
    spared = nn.functional.one_hot(torch.randint(heads, (batch,), device=device), heads).bool()
    keep |= spared & ~keep.any(dim=1, keepdim=True)
    return keep * (heads / keep.sum(dim=1, keepdim=True))
