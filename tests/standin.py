"""A small model for tests that need only some model: a slice of the shipped one, made on the fly.

Two of its layers, 64 of its dimensions, its tokenizer: 0.6 million weights that tell words apart but know little.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

LAYERS, WIDTH, INNER, HEADS = 2, 64, 128, 2


def slice_of(shipped: Path, folder: Path, *, whole_width: bool = False) -> Path:
    """Write the slice to `folder`, which is new; with `whole_width` of all dimensions, where their number matters."""
    from safetensors.torch import load_file, save_file

    weights = {}
    for name, tensor in load_file(shipped / "model.safetensors").items():
        if ".layer." in name and int(name.partition(".layer.")[2].partition(".")[0]) >= LAYERS:
            continue
        for axis, size in enumerate(tensor.shape):
            if not whole_width:
                tensor = tensor.narrow(axis, 0, {384: WIDTH, 1536: INNER}.get(size, size))  # noqa: PLW2901
        weights[name] = tensor.clone()
    folder.mkdir()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(shipped / file, folder / file)
    config = json.loads((shipped / "config.json").read_text(encoding="utf-8"))
    config["num_hidden_layers"] = LAYERS
    if not whole_width:
        config |= {"hidden_size": WIDTH, "intermediate_size": INNER, "num_attention_heads": HEADS}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder
