"""An adapter as layers of a model folder, so that whoever reads that folder without a graph gets the same vectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from mirrorkit.errors import ExportError
from mirrorkit.formats.adapter import Adapter
from mirrorkit.formats.bundle import Bundle
from mirrorkit.formats.layout_reader import read_layout
from mirrorkit.formats.layout_writer import layer_folders, write_layout
from mirrorkit.formats.model_folder import DenseLayer, Layer, NormalizeLayer
from mirrorkit.formats.tensors import write_tensors
from mirrorkit.text.ragged import Floats

_IDENTITY, _RELU = "torch.nn.modules.linear.Identity", "torch.nn.modules.activation.ReLU"


def write_layers(draft: Path, bundle: Bundle, adapter: Adapter) -> None:
    """Put the adapter behind the layers that the model folder `draft`, a copy of the bundle's, describes.

    Raises ExportError for a model that cuts its vectors last, where nothing can stand behind.
    """
    layout = read_layout(draft, with_graph=True)
    if layout.truncate_dim is not None:
        raise ExportError(
            f"{bundle.folder}: the model cuts its vectors to {layout.truncate_dim} dimensions after all else, so other "
            "libraries could not put an adapter behind that"
        )
    behind: list[Layer] = []
    tensors: list[dict[str, Floats]] = []
    if adapter.record.similarity == "cosine" and not bundle.usage.normalized:
        behind.append(NormalizeLayer())
    for weight, bias, activation in _dense(adapter):
        inputs, outputs = weight.shape
        behind.append(DenseLayer(draft, inputs, outputs, bias is not None, activation))
        shift = {} if bias is None else {"linear.bias": bias}
        tensors.append({"linear.weight": np.ascontiguousarray(weight.T), **shift})
    if adapter.record.normalized:
        behind.append(NormalizeLayer())
    layout = replace(layout, chain=(*layout.chain, *behind))
    write_layout(draft, layout, width=bundle.token_dim, max_length=bundle.max_length)
    folders = [path for path, layer in layer_folders(layout)[-len(behind) :] if isinstance(layer, DenseLayer)]
    for path, values in zip(folders, tensors, strict=True):
        write_tensors(draft / path / "model.safetensors", values)


def _dense(adapter: Adapter) -> Iterator[tuple[Floats, Floats | None, str]]:
    """Yield weight [in, out], bias and activation of the linear layers that are the map, one behind the other."""
    w = adapter.weights
    if "down" in w:
        yield w["down"], None, _IDENTITY
        yield w["up"], w["bias"], _IDENTITY
    elif "hidden" in w:
        # A layer has nothing beside it here: relu(x) and relu(-x) carry x past the ReLUs, for x is their difference.
        same = np.eye(len(w["weight"]), dtype=np.float32)
        zeros = np.zeros(2 * len(same), dtype=np.float32)
        yield np.hstack([w["hidden"], same, -same]), np.concatenate([w["hidden_bias"], zeros]), _RELU
        yield np.vstack([w["out"], w["weight"], -w["weight"]]), w["bias"], _IDENTITY
    else:
        yield w["weight"], w["bias"], _IDENTITY
