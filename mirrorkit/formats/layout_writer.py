"""Write the files around the weights, in the legacy schema, which old and new readers take."""

from __future__ import annotations

import json
from pathlib import Path

from mirrorkit.formats.model_folder import (
    LEGACY_POOLINGS,
    DenseLayer,
    DropoutLayer,
    Layer,
    LayerNormLayer,
    ModelLayout,
    PoolingLayer,
)
from mirrorkit.formats.pooling import Pooling

# The paths that every release so far has resolved.
_MODULES = "sentence_transformers.models."


def write_layout(folder: Path, layout: ModelLayout, *, width: int, max_length: int) -> None:
    """Write the layout files into `folder`, which already holds weights and tokenizer.

    `width` is that of the token vectors. Lower-casing and the arguments of configuration and tokenizer are not written:
    config.json and the tokenizer's own files have them by then. Weights of layers are left to whoever holds them, in
    the folders that `layer_folders` names.
    """
    kinds = ["StaticEmbedding" if layout.static else "Transformer", *map(_kind, _written(layout))]
    paths = ["", *(path for path, _ in layer_folders(layout))]
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"{_MODULES}{kind}"}
        for i, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    _write_json(folder / "modules.json", modules)
    if not layout.static:
        _write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False})
    truncated = {"truncate_dim": layout.truncate_dim} if layout.truncate_dim is not None else {}
    _write_json(
        folder / "config_sentence_transformers.json",
        {
            "prompts": dict(layout.prompts),
            "default_prompt_name": layout.default_prompt_name,
            "similarity_fn_name": layout.similarity,
            **truncated,
        },
    )
    for path, layer in layer_folders(layout):
        _write_json(folder / path / "config.json", _config(layer, width))  # git and some hubs drop an empty folder


def layer_folders(layout: ModelLayout) -> list[tuple[str, Layer]]:
    """Return the layers behind the transformer, each with the folder that it is written to."""
    return [(f"{number}_{_kind(layer)}", layer) for number, layer in enumerate(_written(layout), 1)]


def _written(layout: ModelLayout) -> tuple[Layer, ...]:
    return layout.chain[1:] if layout.static else layout.chain  # StaticEmbedding pools by itself


def _kind(layer: Layer) -> str:
    return type(layer).__name__.removesuffix("Layer")


def _config(layer: Layer, width: int) -> dict[str, object]:
    if isinstance(layer, PoolingLayer):
        return _pooling_config(layer, width)
    if isinstance(layer, DenseLayer):
        return {
            "in_features": layer.inputs,
            "out_features": layer.outputs,
            "bias": layer.bias,
            "activation_function": layer.activation,
            **({"use_residual": True} if layer.residual else {}),  # which releases before 5.7 do not know
        }
    if isinstance(layer, LayerNormLayer):
        return {"dimension": layer.width}
    return {"dropout": layer.p} if isinstance(layer, DropoutLayer) else {}


def _pooling_config(layer: PoolingLayer, width: int) -> dict[str, object]:
    if layer.modes == (Pooling.MEAN_PADDED,):
        # No other library has this pooling. A name they do not know makes them refuse the folder,
        # where the legacy booleans would have made them take a plain mean and be silently wrong.
        return {"word_embedding_dimension": width, "pooling_mode": str(Pooling.MEAN_PADDED)}
    booleans = {key: LEGACY_POOLINGS[key] in layer.modes for key in _KEY_ORDER}
    in_order = tuple(mode for mode in LEGACY_POOLINGS.values() if mode in layer.modes)
    # Booleans tell no order: where the vectors stand behind one another in another one, the list does.
    named = {} if in_order == layer.modes else {"pooling_mode": [str(mode) for mode in layer.modes]}
    return {"word_embedding_dimension": width, **booleans, "include_prompt": layer.include_prompt, **named}


_KEY_ORDER = (
    "pooling_mode_cls_token",
    "pooling_mode_mean_tokens",
    "pooling_mode_max_tokens",
    "pooling_mode_mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens",
    "pooling_mode_lasttoken",
)


def _write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
