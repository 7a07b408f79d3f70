"""Read a model folder as sentence-transformers reads it, or refuse it naming file, key and value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mirrorkit.errors import ModelError
from mirrorkit.formats import layout_keys as keys
from mirrorkit.formats.json_file import read_json, read_object
from mirrorkit.formats.model_folder import (
    LEGACY_POOLINGS,
    DenseLayer,
    DropoutLayer,
    Layer,
    LayerNormLayer,
    ModelLayout,
    NormalizeLayer,
    PoolingLayer,
)
from mirrorkit.formats.pooling import Pooling
from mirrorkit.formats.usage import SIMILARITIES

_TANH = "torch.nn.modules.activation.Tanh"  # what a Dense has that names no activation


def read_layout(folder: Path, *, with_graph: bool = False) -> ModelLayout:
    """Read a sentence-transformers folder in either schema, or a plain Hugging Face folder.

    `with_graph` is for a folder whose ONNX graph stands in the transformer's place: then 1_Pooling and lengths count
    without a modules.json to name them. Code of the model's own is for `check_model_folder` to refuse. Raises
    ModelError, with file, key and value, for what would give other vectors here than there.
    """
    modules_file = folder / "modules.json"
    if not modules_file.is_file():
        if with_graph:
            return _beside_graph(folder)
        _refuse_lost(folder)
        return ModelLayout(folder)
    modules = _modules(folder, modules_file)
    (first, weights), *others = modules
    if first not in ("Transformer", "StaticEmbedding"):
        raise ModelError(f"{modules_file}: the first module is {first}, must be Transformer")
    chain = tuple(_layer(kind, path, modules_file) for kind, path in others)
    if first == "StaticEmbedding":
        layout = ModelLayout(weights, (PoolingLayer((Pooling.MEAN,)), *chain), named=True, static=True)
    else:
        if not with_graph:
            _refuse_lost(weights)
        layout = _with_settings(ModelLayout(weights, chain, named=True), weights)
    poolings = [type(layer) is PoolingLayer for layer in layout.chain]
    if not any(poolings):
        raise ModelError(f"{modules_file}: no Pooling module, so these are token vectors, not sentence vectors")
    if poolings != [True, *[False] * (len(poolings) - 1)]:
        raise ModelError(f"{modules_file}: Pooling must come once, right behind {first}")
    return _with_model_config(layout, folder / "config_sentence_transformers.json")


def _beside_graph(folder: Path) -> ModelLayout:
    """Read what stands beside an ONNX graph in a folder that has no modules.json."""
    layout, file = ModelLayout(folder), folder / "1_Pooling" / "config.json"
    if file.is_file():
        layout = ModelLayout(
            folder, (_pooling(file, _read_known(file, keys.POOLING_KEYS)), NormalizeLayer()), named=True
        )
    return _with_model_config(_with_settings(layout, folder), folder / "config_sentence_transformers.json")


def _modules(folder: Path, file: Path) -> list[tuple[str, Path]]:
    """Return the kind and the folder of each module, in the order of the list, which is that of the work."""
    modules = read_json(file)
    well_formed = isinstance(modules, list) and all(
        isinstance(m, dict) and isinstance(m.get("type"), str) and isinstance(m.get("path"), str) for m in modules
    )
    if not well_formed:
        raise ModelError(f"{file}: expected a list of modules, each with a type and a path")
    if not modules:
        raise ModelError(f"{file}: an empty list, with no Transformer and no Pooling in it")
    found = []
    for module in modules:
        _check_keys(file, module, {**dict.fromkeys(keys.MODULE_KEYS, (...,)), "kwargs": (None, [], {})})
        kind = keys.MODULE_TYPES.get(module["type"])
        if kind is None:
            raise ModelError(
                f"{file}: type {module['type']!r} is not one of the modules of sentence-transformers that mirrorkit "
                f"knows ({', '.join(dict.fromkeys(keys.MODULE_TYPES.values()))}); code of a model's own is never run"
            )
        found.append((kind, _inside(folder, module["path"])))
    return found


def _inside(folder: Path, relative: str) -> Path:
    """Resolve a path that a file names; one that climbs out of the folder is refused."""
    path = (folder / relative).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ModelError(f"{folder / 'modules.json'}: the path {relative!r} leads out of the folder")
    return path


def _layer(kind: str, path: Path, modules_file: Path) -> Layer:
    if kind not in keys.LAYER_KEYS:
        raise ModelError(f"{modules_file}: {kind} must be the first module")
    file = path / "config.json"
    config = _read_known(file, keys.LAYER_KEYS[kind], needed=kind in ("Pooling", "Dense", "LayerNorm"))
    if kind == "Pooling":
        return _pooling(file, config)
    if kind == "Dense":
        return _dense(file, config)
    if kind == "LayerNorm":
        return LayerNormLayer(path, _positive(file, config, "dimension"))
    if kind == "Dropout":
        p = config.get("dropout", 0.2)
        if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p < 1:
            raise ModelError(f"{file}: dropout {p!r} must be at least 0 and below 1")
        return DropoutLayer(float(p))
    return NormalizeLayer()


def _pooling(file: Path, config: Mapping[str, Any]) -> PoolingLayer:
    named = config.get("pooling_mode")
    if named is not None:  # sentence-transformers 6 writes a name, or a list of names
        modes = [named] if isinstance(named, str) else list(named) if isinstance(named, list) else []
    else:
        modes = [str(mode) for key, mode in LEGACY_POOLINGS.items() if config.get(key)] or [str(Pooling.MEAN)]
    unknown = next((mode for mode in modes if mode not in set(Pooling)), None)
    if unknown is not None or not modes or (len(modes) > 1 and Pooling.MEAN_PADDED in modes):
        raise ModelError(f"{file}: pooling_mode {named!r} is not supported, only {', '.join(Pooling)}")
    return PoolingLayer(tuple(Pooling(mode) for mode in modes), _boolean(file, config, "include_prompt", True))


def _dense(file: Path, config: Mapping[str, Any]) -> DenseLayer:
    activation = config.get("activation_function", _TANH)
    if not isinstance(activation, str) or not activation.startswith("torch.nn."):
        raise ModelError(f"{file}: activation_function {activation!r} is not one of torch.nn; code is never imported")
    return DenseLayer(
        file.parent,
        _positive(file, config, "in_features"),
        _positive(file, config, "out_features"),
        _boolean(file, config, "bias", True),
        activation,
        _boolean(file, config, "use_residual", False),
    )


def _with_settings(layout: ModelLayout, weights: Path) -> ModelLayout:
    """Add what the first of the seven files says that has something in it."""
    files = (weights / name for name in keys.SETTINGS_FILES)
    file, settings = next(
        ((file, found) for file in files if (found := _read_known(file, keys.SETTINGS_KEYS, needed=False))),
        (weights / keys.SETTINGS_FILES[0], {}),
    )
    model = _arguments(file, settings, "model_args", "model_kwargs")
    tokenizer = _arguments(file, settings, "tokenizer_args", "processor_kwargs")
    config = _arguments(file, settings, "config_args", "config_kwargs")
    _check_keys(file, model, keys.MODEL_ARGS, "model_args: ")
    _check_keys(file, tokenizer, keys.TOKENIZER_ARGS, "tokenizer_args: ")
    _refuse_values(file, config, keys.CONFIG_REFUSED, "config_args: ")
    max_length = _positive_or_none(file, settings, "max_seq_length")
    if "model_max_length" in tokenizer:  # goes before max_seq_length
        max_length = _positive(file, tokenizer, "model_max_length")
    loading = {*keys.LOADING, "use_fast", "model_max_length"}
    return replace(
        layout,
        max_length=max_length,
        lower_case=_boolean(file, settings, "do_lower_case", False),
        config_args={key: value for key, value in config.items() if key not in keys.LOADING},
        tokenizer_args={key: value for key, value in tokenizer.items() if key not in loading},
    )


def _arguments(file: Path, settings: Mapping[str, Any], old: str, new: str) -> Mapping[str, Any]:
    """Return the arguments under either name; the old name goes before the new one."""
    name = old if old in settings else new
    value = settings.get(name)
    if value is not None and not isinstance(value, dict):
        raise ModelError(f"{file}: {name} {value!r} must be an object")
    return value or {}


def _with_model_config(layout: ModelLayout, file: Path) -> ModelLayout:
    config = _read_known(file, keys.MODEL_KEYS, needed=False)
    prompts = config.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, (str, type(None))) for text in prompts.values()):
        raise ModelError(f"{file}: prompts {prompts!r} must be an object of strings")
    default = config.get("default_prompt_name")
    known = ("query", "document", *prompts)  # the first two are always there
    if default is not None and default not in known:
        raise ModelError(f"{file}: default_prompt_name {default!r} is not one of the prompts ({', '.join(prompts)})")
    similarity = config.get("similarity_fn_name") or "cosine"
    if similarity not in SIMILARITIES:
        raise ModelError(f"{file}: similarity_fn_name {similarity!r} is not supported, only {', '.join(SIMILARITIES)}")
    named = {name: text or "" for name, text in prompts.items()}
    return replace(
        layout,
        prompts={**named, **({default: ""} if default is not None and default not in named else {})},
        default_prompt_name=default,
        similarity=similarity,
        truncate_dim=_positive_or_none(file, config, "truncate_dim"),
    )


def _refuse_lost(weights: Path) -> None:
    """Raise ModelError for what transformers' own call would honour and nothing behind it."""
    for name, refused in (("config.json", keys.CONFIG_REFUSED), ("tokenizer_config.json", keys.TOKENIZER_REFUSED)):
        _read_known(weights / name, refused, needed=False, others=True)


def _boolean(file: Path, values: Mapping[str, Any], key: str, default: bool) -> bool:
    value = values.get(key)
    if value is not None and not isinstance(value, bool):
        raise ModelError(f"{file}: {key} {value!r} must be true or false")
    return default if value is None else value


def _positive(file: Path, values: Mapping[str, Any], key: str) -> int:
    found = _positive_or_none(file, values, key)
    if found is None:
        raise ModelError(f"{file}: no {key} in it")
    return found


def _positive_or_none(file: Path, values: Mapping[str, Any], key: str) -> int | None:
    value = values.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ModelError(f"{file}: {key} must be a whole number of at least 1, is {value!r}")
    return value


def _read_known(
    file: Path, known: Mapping[str, tuple[Any, ...]], *, needed: bool = True, others: bool = False
) -> dict[str, Any]:
    """Return the object in a file of a model folder; raises ModelError for keys and values as `_check_keys` does.

    A file that is not `needed` and not there is an empty object. With `others` unknown keys are let through.
    """
    values = read_object(file) if needed or file.is_file() else {}
    if others:
        _refuse_values(file, values, known)
    else:
        _check_keys(file, values, known)
    return values


def _check_keys(file: Path, values: Mapping[str, Any], known: Mapping[str, tuple[Any, ...]], inside: str = "") -> None:
    """Raise ModelError for the first key that is unknown, or that has a value which cannot be honoured."""
    for key, value in values.items():
        if key not in known:
            raise ModelError(
                f"{file}: {inside}{key} {value!r} is not known to mirrorkit, and it may change vectors; remove it if "
                "it does not"
            )
    _refuse_values(file, values, known, inside)


def _refuse_values(
    file: Path, values: Mapping[str, Any], allowed: Mapping[str, tuple[Any, ...]], inside: str = ""
) -> None:
    """Raise ModelError for the first value that is not among the `allowed` ones of its key."""
    for key, choices in allowed.items():
        if key in values and ... not in choices and values[key] not in choices:
            wanted = ", ".join(repr(choice) for choice in choices)
            raise ModelError(f"{file}: {inside}{key} {values[key]!r} is not supported, only {wanted}")
