"""The sentence-transformers files around a model: which pooling, which maximum length, which casing.

Both folders that mirrorkit writes carry these files. They are written in the legacy schema, which old and new
readers take, and read in both schemas. No torch here: the runtimes read the layout too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from mirrorkit.errors import ConfigError, ModelError


class Pooling(str, Enum):
    """How token vectors become one vector."""

    CLS = "cls"
    MEAN = "mean"  # over real tokens
    MEAN_PADDED = "mean-padded"  # over a fixed length, padding included, as the official Mirror-BERT code does
    MAX = "max"

    def __str__(self) -> str:
        return self.value


def as_pooling(value: object) -> Pooling:
    """Return the pooling of that name; raises ConfigError for one that there is not."""
    try:
        return Pooling(value)
    except ValueError as err:
        raise ConfigError(f"pooling {value!r}: must be one of {', '.join(Pooling)}") from err


_LEGACY_KEYS = {
    Pooling.CLS: "pooling_mode_cls_token",
    Pooling.MEAN: "pooling_mode_mean_tokens",
    Pooling.MAX: "pooling_mode_max_tokens",
}
_UNSUPPORTED_KEYS = (
    "pooling_mode_mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens",
    "pooling_mode_lasttoken",
)


@dataclass(frozen=True)
class Layout:
    """What the files beside the weights say."""

    weights: Path  # folder of config.json and the weights: the model folder itself or one inside it
    pooling: Pooling | None  # None: a plain Hugging Face folder, which says nothing about pooling
    max_length: int | None  # tokens, special tokens included
    lower_case: bool  # lower-case the text before tokenising


def read_json(path: Path) -> Any:
    """Return the parsed file; a missing, unreadable or malformed one raises ModelError naming it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as err:  # over-long numbers and over-deep brackets too
        raise ModelError(f"{path}: not a readable JSON file ({err})") from err


def read_layout(folder: Path) -> Layout:
    """Read a sentence-transformers folder in either schema, or a plain Hugging Face folder."""
    modules_file = folder / "modules.json"
    if not modules_file.is_file():
        return Layout(folder, None, None, False)
    weights, pooling = folder, None
    for module in _modules(modules_file):
        kind = module["type"].rpartition(".")[2]
        path = _inside(folder, module["path"])
        if kind == "Transformer":
            weights = path
        elif kind == "Pooling":
            pooling = _read_pooling(path / "config.json")
        elif kind != "Normalize":
            raise ModelError(
                f"{modules_file}: the module {kind} is not supported, only Transformer, Pooling, Normalize"
            )
    if pooling is None:
        raise ModelError(f"{modules_file}: no Pooling module, so these are token vectors, not sentence vectors")
    settings_file = weights / "sentence_bert_config.json"
    settings = read_json(settings_file) if settings_file.is_file() else {}
    max_length = settings.get("max_seq_length")
    if max_length is not None and not (isinstance(max_length, int) and max_length > 0):
        raise ModelError(f"{settings_file}: max_seq_length must be a whole number of tokens, is {max_length!r}")
    return Layout(weights, pooling, max_length, bool(settings.get("do_lower_case", False)))


def _modules(file: Path) -> list[dict[str, str]]:
    modules = read_json(file)
    well_formed = isinstance(modules, list) and all(
        isinstance(m, dict) and isinstance(m.get("type"), str) and isinstance(m.get("path"), str) for m in modules
    )
    if not well_formed:
        raise ModelError(f"{file}: expected a list of modules, each with a type and a path")
    return modules  # type: ignore[no-any-return]  # checked just above


def _inside(folder: Path, relative: str) -> Path:
    """Resolve a path that a file names; one that climbs out of the folder is refused."""
    path = (folder / relative).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ModelError(f"{folder / 'modules.json'}: the path {relative!r} leads out of the folder")
    return path


def _read_pooling(file: Path) -> Pooling:
    config = read_json(file)
    if not isinstance(config, dict):
        raise ModelError(f"{file}: expected an object")
    if "pooling_mode" in config:  # sentence-transformers 6 writes a name, or a list of names
        named = config["pooling_mode"]
        modes = [named] if isinstance(named, str) else list(named)
    else:
        modes = [str(pooling) for pooling, key in _LEGACY_KEYS.items() if config.get(key)]
        modes += [key.removeprefix("pooling_mode_") for key in _UNSUPPORTED_KEYS if config.get(key)]
    if len(modes) != 1 or modes[0] not in set(Pooling):
        raise ModelError(f"{file}: pooling {'+'.join(modes) or 'none'} is not supported, only {', '.join(Pooling)}")
    return Pooling(modes[0])


def write_layout(folder: Path, *, dim: int, pooling: Pooling, max_length: int) -> None:
    """Write the layout files into `folder`, which already holds weights and tokenizer."""
    names = ("Transformer", "Pooling", "Normalize")
    paths = ("", "1_Pooling", "2_Normalize")
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
        for i, (name, path) in enumerate(zip(names, paths, strict=True))
    ]
    _write_json(folder / "modules.json", modules)
    _write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False})
    _write_json(
        folder / "config_sentence_transformers.json",
        {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"},
    )
    _write_json(folder / "1_Pooling" / "config.json", _pooling_config(dim, pooling))
    _write_json(folder / "2_Normalize" / "config.json", {})  # git and some hubs drop an empty folder


def _pooling_config(dim: int, pooling: Pooling) -> dict[str, object]:
    if pooling is Pooling.MEAN_PADDED:
        # No other library has this pooling. A name they do not know makes them refuse the folder,
        # where the legacy booleans would have made them take a plain mean and be silently wrong.
        return {"word_embedding_dimension": dim, "pooling_mode": str(pooling)}
    booleans = {key: pooling is mode for mode, key in _LEGACY_KEYS.items()}
    return {
        "word_embedding_dimension": dim,
        **booleans,
        **dict.fromkeys(_UNSUPPORTED_KEYS, False),
        "include_prompt": True,
    }


def _write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
