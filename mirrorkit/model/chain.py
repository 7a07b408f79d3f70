"""What stands behind the token vectors, as torch modules: pooling, then dense layers, norms and normalisation."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from mirrorkit.errors import ModelError
from mirrorkit.extras import require
from mirrorkit.formats.layout_writer import layer_folders
from mirrorkit.formats.model_folder import DenseLayer, DropoutLayer, Layer, LayerNormLayer, ModelLayout, NormalizeLayer
from mirrorkit.formats.pooling import Pooling

require("torch", extra="train")
import torch
from torch import Tensor, nn

require("safetensors", extra="train")
import safetensors.torch

_FILE = "model.safetensors"


class Pool(nn.Module):
    """Token vectors [batch, seq, width] to sentence vectors [batch, width * number of poolings], fp32."""

    def __init__(self, modes: tuple[Pooling, ...], *, include_prompt: bool = True) -> None:
        super().__init__()
        self.modes = modes
        self._include_prompt = include_prompt

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        if not self._include_prompt:
            mask = (mask == 1).long()  # a prompt's tokens have a 2
            start = (mask.cumsum(dim=1) == 1) & (mask == 1)  # the first behind the prompt stands for the text
            parts = [
                (hidden.float() * start.unsqueeze(-1)).sum(dim=1) if m is Pooling.CLS else pool(hidden, mask, m)
                for m in self.modes
            ]
        else:
            parts = [pool(hidden, mask, mode) for mode in self.modes]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


class Dense(nn.Module):
    """A linear layer with an activation and perhaps a residual; its tensors have the names that others give them."""

    def __init__(self, layer: DenseLayer) -> None:
        super().__init__()
        self.linear = nn.Linear(layer.inputs, layer.outputs, bias=layer.bias)
        self.activation_function = _activation(layer)
        projected = layer.residual and layer.inputs != layer.outputs
        self.residual = nn.Linear(layer.inputs, layer.outputs, bias=False) if projected else None
        self._adds_input = layer.residual

    def forward(self, vectors: Tensor) -> Tensor:
        out: Tensor = self.activation_function(self.linear(vectors))
        if self._adds_input:
            out = out + (self.residual(vectors) if self.residual is not None else vectors)
        return out


class Norm(nn.Module):
    """Layer normalisation of sentence vectors."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, vectors: Tensor) -> Tensor:
        out: Tensor = self.norm(vectors)
        return out


class Normalize(nn.Module):
    """Sentence vectors at unit length."""

    def forward(self, vectors: Tensor) -> Tensor:
        return nn.functional.normalize(vectors, dim=-1)


class Chain(nn.Module):
    """All that stands behind the token vectors."""

    def __init__(self, layout: ModelLayout, width: int) -> None:
        """Build the layers for token vectors of `width`; raises ModelError where their widths do not fit."""
        super().__init__()
        self.pooling = Pool(layout.poolings, include_prompt=layout.include_prompt)
        self.layers = nn.ModuleList()
        self.truncate_dim = layout.truncate_dim
        self.dim = width * len(layout.poolings)
        for layer in layout.chain[1:]:
            self.layers.append(_module(layer))
            self.dim = _width_after(layer, self.dim)
        last = [layer for layer in layout.chain if not isinstance(layer, DropoutLayer)][-1]
        shortened = self.truncate_dim is not None and self.truncate_dim < self.dim
        self.normalized = isinstance(last, NormalizeLayer) and not shortened  # whether vectors have unit length
        self.dim = min(self.dim, self.truncate_dim or self.dim)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        vectors: Tensor = self.pooling(hidden, mask)
        for layer in self.layers:
            vectors = layer(vectors)
        if self.truncate_dim is not None:
            vectors = vectors[:, : self.truncate_dim]
        return vectors.float()

    def load(self, layout: ModelLayout) -> Chain:
        """Read the weights of the layers from the folders that the layout names."""
        for module, layer in zip(self.layers, layout.chain[1:], strict=True):
            if isinstance(layer, (DenseLayer, LayerNormLayer)):
                _load_weights(module, layer.weights)
        return self

    def save(self, layout: ModelLayout, folder: Path) -> None:
        """Write the weights of the layers to the folders that the written layout names."""
        modules = list(self.layers) if layout.static else [self.pooling, *self.layers]
        for module, (path, layer) in zip(modules, layer_folders(layout), strict=True):
            if isinstance(layer, (DenseLayer, LayerNormLayer)):
                (folder / path).mkdir(parents=True, exist_ok=True)
                tensors = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
                safetensors.torch.save_file(tensors, folder / path / _FILE, metadata={"format": "pt"})


def pool(hidden: Tensor, attention_mask: Tensor, pooling: Pooling) -> Tensor:
    """Reduce right-padded [batch, seq, width] to fp32 [batch, width].

    Always in fp32: a half-precision sum over hundreds of tokens loses digits and can overflow. The mask may be 0 at
    the start too, for a prompt that is not pooled.
    """
    hidden = hidden.float()
    mask = attention_mask.unsqueeze(-1)  # [batch, seq, 1]
    if pooling is Pooling.CLS:
        return hidden[:, 0]
    if pooling is Pooling.MEAN_PADDED:
        return hidden.mean(dim=1)
    if pooling is Pooling.MAX:
        return hidden.masked_fill(mask == 0, float("-inf")).amax(dim=1)
    if pooling is Pooling.LAST:
        places = _places(mask)
        last = (mask * places == (mask * places).amax(dim=1, keepdim=True)) & (mask != 0)
        return (hidden * last).sum(dim=1)
    if pooling is Pooling.WEIGHTED_MEAN:
        mask = mask * _places(mask)
    total = (hidden * mask).sum(dim=1)
    count = mask.sum(dim=1).clamp(min=1)
    return total / (count.float().sqrt() if pooling is Pooling.MEAN_SQRT_LEN else count)


def _places(mask: Tensor) -> Tensor:
    """Return the places of tokens, counted from 1, [1, seq, 1]."""
    return torch.arange(1, mask.shape[1] + 1, device=mask.device)[None, :, None]


def _module(layer: Layer) -> nn.Module:
    if isinstance(layer, DenseLayer):
        return Dense(layer)
    if isinstance(layer, LayerNormLayer):
        return Norm(layer.width)
    if isinstance(layer, DropoutLayer):
        return nn.Dropout(layer.p)
    assert isinstance(layer, NormalizeLayer)
    return Normalize()


def _width_after(layer: Layer, width: int) -> int:
    """Return the width behind a layer that vectors of `width` come into."""
    if not isinstance(layer, (DenseLayer, LayerNormLayer)):
        return width
    key, inputs = ("in_features", layer.inputs) if isinstance(layer, DenseLayer) else ("dimension", layer.width)
    if inputs != width:
        file = layer.weights / "config.json"
        raise ModelError(f"{file}: {key} {inputs}, but the vectors that come in have {width} dimensions")
    if not isinstance(layer, DenseLayer):
        return width
    with torch.no_grad():
        return int(_activation(layer)(torch.zeros(1, layer.outputs)).shape[-1])  # a GLU halves them


def _activation(layer: DenseLayer) -> Any:
    """Return the activation of torch that the layer names; raises ModelError for what is no such class."""
    owner, _, name = layer.activation.rpartition(".")
    try:
        kind: Any = getattr(importlib.import_module(owner), name)
        made = kind() if isinstance(kind, type) and issubclass(kind, nn.Module) else None
    except (ImportError, AttributeError, TypeError):
        made = None
    if made is None:
        raise ModelError(
            f"{layer.weights / 'config.json'}: activation_function {layer.activation!r} must be a module of torch.nn "
            "that takes no arguments"
        )
    return made


def _load_weights(module: nn.Module, folder: Path) -> None:
    file = folder / _FILE
    if not file.is_file():
        pickled = next((p.name for p in folder.glob("pytorch_model*.bin")), None)
        hint = f"only {pickled}, which is pickled and never loaded; convert it to safetensors" if pickled else "none"
        raise ModelError(f"{folder}: no safetensors weights ({hint})")
    try:
        tensors = safetensors.torch.load_file(file)
        module.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except Exception as err:  # safetensors and torch each raise types of their own here
        reason = " ".join(str(err).split())
        raise ModelError(f"{file}: the weights are not those of its config.json ({reason})") from err
    if not all(bool(torch.isfinite(p).all()) for p in module.parameters()):
        raise ModelError(f"{file}: the weights hold NaN or infinity")
