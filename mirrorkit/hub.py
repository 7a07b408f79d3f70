"""Find a model: a shipped name, a local folder, or a hub id, which is the only thing that reaches the network."""

from __future__ import annotations

import re
from pathlib import Path

from mirrorkit.errors import ModelError
from mirrorkit.paths import local_path

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.\-]*(/[\w.\-]+)?")
# Weights only as safetensors: pickled ones are never fetched, so they can never be loaded by accident.
_WANTED = ["*.json", "*.safetensors", "*.txt", "*.model"]
_UNWANTED = ["onnx/*", "openvino/*", "*.bin", "*.h5", "*.msgpack"]

SHIPPED = {"tiny": Path(__file__).parent / "assets" / "tiny-mlm"}


def locate_model(name: str | Path) -> Path:
    """Return the local folder of `name`, fetching a hub id into the Hugging Face cache.

    An existing folder wins over a shipped name, and a shipped name over a hub id. Raises ModelError when there is
    no such folder, when it holds no model, or when the hub cannot be reached.
    """
    folder = local_path(name)
    if folder.is_dir():
        return _checked(folder)
    if folder.exists():
        raise ModelError(f"{name}: is a file; give the model's folder")
    if str(name) in SHIPPED:
        return _checked(SHIPPED[str(name)])
    if isinstance(name, Path) or not _HUB_ID.fullmatch(name):
        raise ModelError(f"{name}: no such folder")
    return _checked(_download(name))


def _checked(folder: Path) -> Path:
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: holds only an adapter; merge it into its base model first")
    if not (folder / "config.json").is_file() and not (folder / "modules.json").is_file():
        raise ModelError(f"{folder}: no config.json in it, so this is not a model folder")
    return folder


def _download(hub_id: str) -> Path:
    from huggingface_hub import constants, snapshot_download

    try:
        return Path(snapshot_download(hub_id, allow_patterns=_WANTED, ignore_patterns=_UNWANTED))
    except Exception as err:  # the hub client raises a dozen unrelated types, down to the HTTP library's own
        reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else str(err).strip().partition("\n")[0]
        raise ModelError(
            f"{hub_id}: no such local folder, and not to be had from the Hugging Face hub ({reason})"
        ) from err
