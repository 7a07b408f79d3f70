"""A model folder is looked through before any library gets it: no code of its own, no file outside of it, no pickle.

A library that is given a folder follows what the files in it say: imports Python files, opens weights wherever an index
or a link points, unpickles. Whoever made the folder would decide what runs here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mirrorkit.errors import ModelError
from mirrorkit.formats.fields import shown
from mirrorkit.formats.files import files_within, is_file_within, leads_elsewhere
from mirrorkit.formats.json_file import read_object

_SETTINGS = (
    "config.json",
    "tokenizer_config.json",
    "generation_config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
)
# Keys whose value is a name of the library's own; one with a slash is a repository to fetch binaries from.
_IMPLEMENTATIONS = ("attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation")
_INDEX = ".index.json"
_READ = (".safetensors", f".safetensors{_INDEX}")
_ADAPTER = "adapter_config.json"
# Sizes that memory is taken for before a weight is read. Real ones are far below.
_LARGEST = {
    "vocab_size": 1 << 24,
    "type_vocab_size": 1 << 20,
    "hidden_size": 1 << 17,
    "intermediate_size": 1 << 20,
    "num_hidden_layers": 1 << 12,
    "num_attention_heads": 1 << 12,
    "max_position_embeddings": 1 << 24,
}


def check_model_folder(folder: Path, *, trust_remote_code: bool = False) -> None:
    """Raise ModelError, naming the file and what stands in it, for a folder that no library must be given.

    With `trust_remote_code` Python code of the model's own is let through: it runs as the user who loads it.
    """
    for file in files_within(folder):
        is_index = file.name.endswith(_INDEX)
        if not is_index and file.name not in (*_SETTINGS, _ADAPTER):
            continue
        values = read_object(file)
        if is_index:
            named = _shards(file, values)
        elif file.name == _ADAPTER:
            raise ModelError(
                f"{file}: an adapter (base_model_name_or_path {values.get('base_model_name_or_path')!r}); merge it "
                "into its base model first"
            )
        else:
            named = _settings(file, values, trust_remote_code=trust_remote_code)
        for key, name in named:
            if is_index and not is_file_within(file.parent, name):
                raise ModelError(f"{file}: names {name!r}, which is not a file in the model's folder")
            if leads_elsewhere(file.parent, name):
                raise ModelError(f"{file}: {key} {name!r} leads out of the model's folder")


def _shards(file: Path, index: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the files that a list of weights names; raises ModelError for one that is not of safetensors."""
    if file.name.startswith("pytorch_model"):
        return  # lists pickled files, none of which is read
    shards = index.get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(name, str) for name in shards.values()):
        raise ModelError(f"{file}: weight_map must give the name of a file for each weight")
    for name in dict.fromkeys(shards.values()):
        if not name.endswith(".safetensors"):
            raise ModelError(f"{file}: names {name!r}; only .safetensors is read, never a pickled file")
        yield "weight_map", name


def _settings(file: Path, settings: dict[str, Any], *, trust_remote_code: bool) -> Iterator[tuple[str, str]]:
    """Yield the files that settings name, with the key; raises ModelError for what would run or fill the memory."""
    if not trust_remote_code:
        for key, value in _code(settings):
            raise ModelError(
                f"{file}: {key}: {value} is code of the model's own, which is run only with `trust_remote_code=True`"
            )
    for key, value in _walk(settings):
        most = _LARGEST.get(key)
        if most is not None and isinstance(value, (int, float)) and value > most:
            raise ModelError(f"{file}: {key} {shown(value)} must be at most {most}")
        if key == "model_max_length" and not _is_length(value):
            raise ModelError(f"{file}: {key} {shown(value)} must be a number of tokens")
        if key == "transformers_weights" and not str(value or ".safetensors").endswith(_READ):
            raise ModelError(f"{file}: {key} {shown(value)}: only .safetensors is read, never a pickled file")
        if key in _IMPLEMENTATIONS and "/" in str(value):
            raise ModelError(f"{file}: {key} {value!r} would be fetched and run; only those of torch are allowed")
        if key.endswith("_file") or key in ("init_inputs", "vocab", "merges", "transformers_weights"):
            yield from (
                (key, name) for name in (value if isinstance(value, list) else [value]) if isinstance(name, str)
            )


def _is_length(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 1)


def _code(settings: Any) -> Iterator[tuple[str, str]]:
    for key, value in _walk(settings):
        if key == "auto_map" and value:
            named = value if isinstance(value, dict) else {"": value}
            kind, where = next(iter(named.items()))
            yield f"{key}: {kind}" if kind else key, repr(where)[:200]
        elif key == "custom_pipelines" and value:
            first = next(iter(value.items())) if isinstance(value, dict) else ("", value)
            yield f"{key}: {first[0]}", repr(first[1].get("impl") if isinstance(first[1], dict) else first[1])[:200]


def _walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key with its value, at any depth."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield from one.items()
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
