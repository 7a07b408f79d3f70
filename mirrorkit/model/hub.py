"""Find a model: a shipped name, a local folder, or a hub id, which is the only thing that reaches the network."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mirrorkit.assets.paths import TINY
from mirrorkit.errors import ModelError
from mirrorkit.formats.files import is_file_within
from mirrorkit.formats.json_file import read_object
from mirrorkit.formats.model_safety import check_model_folder
from mirrorkit.formats.training_record import TRAINING
from mirrorkit.paths import local_path
from mirrorkit.publish import repair

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.\-]*(/[\w.\-]+)?")
# Weights only as safetensors: pickled ones are never fetched, so they can never be loaded by accident.
_WANTED = ["*.json", "*.safetensors", "*.txt", "*.model", "README.md"]
_UNWANTED = ["onnx/*", "openvino/*", "*.bin", "*.h5", "*.msgpack"]

SHIPPED = {"tiny": TINY}


@dataclass(frozen=True)
class Located:
    """A model on this machine."""

    name: str  # hub id, shipped name, or a local folder's own name without its path, which is private
    folder: Path


def locate_model(name: str | Path, *, trust_remote_code: bool = False) -> Located:
    """Find the local folder of `name`, fetching a hub id into the Hugging Face cache.

    An existing folder wins over a shipped name, and a shipped name over a hub id. Raises ModelError when there is
    no such folder, when it holds no model, when the hub cannot be reached, and for what `check_model_folder` refuses.
    """
    found = _find(name, trust_remote_code)
    folder = found.folder
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: holds only an adapter; merge it into its base model first")
    if module := _module_in(folder):
        raise ModelError(
            f"{folder}: holds a module of your own, which can neither be exported nor loaded but by its own code: "
            f'ModuleEncoder({module}.load(Path("{folder.name}")))'
        )
    if not (folder / "config.json").is_file() and not (folder / "modules.json").is_file():
        raise ModelError(f"{folder}: no config.json in it, so this is not a model folder")
    check_model_folder(folder, trust_remote_code=trust_remote_code)
    return found


def _module_in(folder: Path) -> str | None:
    """Return the class of the user's own module that was trained and saved in the folder, if one was."""
    if (folder / "modules.json").is_file() or not is_file_within(folder, TRAINING):
        return None
    with suppress(ModelError):
        record = read_object(folder / TRAINING)
        name = str(record.get("base")).rpartition(".")[2]
        return name if record.get("module") is True and name.isidentifier() else None
    return None


def _find(name: str | Path, trust_remote_code: bool) -> Located:
    folder = local_path(name)
    if not folder.exists():
        repair(folder)
    if folder.is_dir():
        return Located(folder.resolve().name, folder)
    if folder.exists():
        raise ModelError(f"{name}: is a file; give the model's folder")
    if str(name) in SHIPPED:
        return Located(str(name), SHIPPED[str(name)])
    if isinstance(name, Path) or not _HUB_ID.fullmatch(name):
        raise ModelError(f"{name}: no such folder")
    return Located(name, _download(name, trust_remote_code))


def _download(hub_id: str, trust_remote_code: bool) -> Path:
    from huggingface_hub import constants, snapshot_download

    try:
        wanted = [*_WANTED, "*.py"] if trust_remote_code else _WANTED
        return Path(snapshot_download(hub_id, allow_patterns=wanted, ignore_patterns=_UNWANTED))
    except Exception as err:  # the hub client raises a dozen unrelated types, down to the HTTP library's own
        reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else str(err).strip().partition("\n")[0]
        raise ModelError(
            f"{hub_id}: no such local folder, and it cannot be fetched from the Hugging Face hub ({reason})"
        ) from err
