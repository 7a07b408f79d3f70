"""What an Encoder needs to know of a folder: one of our bundles, or an ONNX export that others made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirrorkit.bundle import TOKENIZER, Bundle, Graph, Variant, check_file, is_bundle, read_bundle
from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.layout import Pooling, read_json
from mirrorkit.paths import local_path
from mirrorkit.runtime.tokenizer import Tokenizer

DEFAULT_MAX_LENGTH = 512  # tokens; where nothing in a foreign folder names a limit
_ENDLESS = 1_000_000  # tokens; transformers writes 1e30 for "no limit known"
_AFTER_PADDING = {
    "roberta",
    "xlm-roberta",
    "camembert",
    "mpnet",
    "longformer",
    "data2vec-text",
}  # first position: pad + 1

# Fastest first, among the variants that verification let pass.
_AUTO = {
    "cpu": ("int8-fused", "int8", "fp32-fused", "fp32", "fp16", "int4"),
    "cuda": ("fp16", "fp32-fused", "fp32", "int8", "int4"),
    "tensorrt": ("fp16", "fp32"),  # ONNX Runtime's provider of that name
}
# A fused graph gives the same numbers sooner.
_SAME = {"fp32": ("fp32-fused", "fp32"), "int8": ("int8-fused", "int8")}
_FOREIGN = {
    "model": "fp32",
    "model_fp16": "fp16",
    "model_quantized": "int8",
    "model_int8": "int8",
    "model_q4": "int4",
}


@dataclass(frozen=True)
class Opened:
    """A folder, the graph chosen in it, and how to feed that graph."""

    variant: str
    file: Path
    tokenizer: Tokenizer
    max_length: int
    pad_id: int
    dim: int | None  # None: the graph has to say
    normalized: bool  # whether the graph's vectors are of unit length
    files: tuple[Path, ...]  # all that decides the vectors: graph, weights beside it, tokenizer


def open_folder(name: str | Path, variant: str, device: str, *, verify: bool) -> Opened:
    """Read a bundle or a foreign folder and choose a variant; nothing is ever fetched.

    `device` is `cpu`, `cuda`, or `tensorrt` for ONNX Runtime's provider of that name. Raises BundleError for a folder
    that cannot be used, ConfigError for a variant that it does not hold.
    """
    folder = _folder(name)
    return _open_bundle(folder, variant, device, verify) if is_bundle(folder) else _open_foreign(folder, variant)


def _folder(name: str | Path) -> Path:
    folder = local_path(name)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such folder"
        raise BundleError(f"{name}: {what}; give the folder of a bundle (nothing is fetched from a hub)")
    return folder


def open_for_engine(name: str | Path, engine: Path, max_length: int, *, verify: bool) -> Opened:
    """Return what feeds `engine`, the file of an engine that takes `max_length` tokens, from the bundle it is of."""
    bundle = read_bundle(_folder(name))
    if verify:
        check_file(bundle, TOKENIZER)
    file = bundle.path(TOKENIZER)
    tokenizer = Tokenizer(file, max_length)
    return Opened("tensorrt", engine, tokenizer, max_length, bundle.pad_token_id, bundle.dim, True, (engine, file))


def _open_bundle(folder: Path, wanted: str, device: str, verify: bool) -> Opened:
    bundle = read_bundle(folder)
    if bundle.pooling is Pooling.MEAN_PADDED:
        raise BundleError(f"{folder}: pooling {bundle.pooling} depends on the padding of a batch; export with another")
    chosen = _choose(bundle, wanted, device)
    if device == "tensorrt" and chosen.graph is not Graph.ONNX:
        raise ConfigError(
            f"variant {chosen.name}: has operators of ONNX Runtime's own, which TensorRT does not take; "
            "take fp16 or fp32, the plain graphs"
        )
    names = (chosen.file, *chosen.data_files, TOKENIZER)
    if verify:
        for name in names:
            check_file(bundle, name)
    files = tuple(bundle.path(name) for name in names)
    tokenizer = Tokenizer(bundle.path(TOKENIZER), bundle.max_length)
    file = bundle.path(chosen.file)
    return Opened(chosen.name, file, tokenizer, bundle.max_length, bundle.pad_token_id, bundle.dim, True, files)


def _choose(bundle: Bundle, wanted: str, device: str) -> Variant:
    by_file = {variant.file: variant for variant in bundle.variants.values()}
    if wanted in by_file:
        return by_file[wanted]
    same = {} if device == "tensorrt" else _SAME
    names = _AUTO.get(device, ()) if wanted == "auto" else same.get(wanted, (wanted,))
    return bundle.variant(next((name for name in names if name in bundle.variants), wanted))


def _open_foreign(folder: Path, wanted: str) -> Opened:
    files = _graphs(folder)
    if not files:
        raise BundleError(
            f"{folder}: neither mirrorkit.json nor an ONNX graph in it; make a bundle of a model: "
            f"mirrorkit export {folder} -o BUNDLE"
        )
    chosen = "fp32" if wanted == "auto" else wanted  # nobody has verified what else lies here
    by_file = {file.relative_to(folder).as_posix(): file for file in files.values()}
    file = files.get(chosen) or by_file.get(chosen)
    if file is None:
        raise ConfigError(f"variant {wanted!r}: {folder} holds {', '.join(files)}")
    settings = [_settings(folder / f) for f in ("sentence_bert_config.json", "tokenizer_config.json", "config.json")]
    sentence, about_tokens, config = settings
    tokenizer = Tokenizer(folder / TOKENIZER, DEFAULT_MAX_LENGTH, lower_case=bool(sentence.get("do_lower_case")))
    pad_id = _first_whole(tokenizer.pad_id(about_tokens.get("pad_token")), config.get("pad_token_id"), 0)
    max_length = min(
        _limit(sentence.get("max_seq_length")),
        _limit(about_tokens.get("model_max_length")),
        _limit(tokenizer.own_limit),
        _limit(config.get("max_position_embeddings"), pad_id + 1 if config.get("model_type") in _AFTER_PADDING else 0),
        key=lambda limit: limit or _ENDLESS,
    )
    max_length = max_length or DEFAULT_MAX_LENGTH
    tokenizer.cut_at(max_length)
    return Opened(chosen, file, tokenizer, max_length, pad_id, None, False, (file, folder / TOKENIZER))


def _graphs(folder: Path) -> dict[str, Path]:
    """Return the ONNX files by the name of the variant, or by their own where that tells of none."""
    found: dict[str, Path] = {}
    for file in (*sorted((folder / "onnx").glob("*.onnx")), *sorted(folder.glob("*.onnx"))):
        found.setdefault(_FOREIGN.get(file.stem, file.stem), file)
    return found


def _settings(file: Path) -> Mapping[str, Any]:
    value = read_json(file) if file.is_file() else {}
    if not isinstance(value, dict):
        raise BundleError(f"{file}: expected an object")
    return value


def _limit(value: object, less: int = 0) -> int | None:
    whole = isinstance(value, (int, float)) and not isinstance(value, bool) and 2 + less <= value < _ENDLESS
    return int(value) - less if whole else None  # type: ignore[call-overload,no-any-return]


def _first_whole(*values: object) -> int:
    whole: Callable[[object], bool] = lambda value: isinstance(value, int) and not isinstance(value, bool)  # noqa: E731
    return int(next(value for value in values if whole(value)))  # type: ignore[call-overload,no-any-return]
