"""Open an ONNX export that others made, read by the rules of sentence-transformers where its files lie beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.formats.bundle import TOKENIZER
from mirrorkit.formats.files import check_files_within
from mirrorkit.formats.json_file import read_object
from mirrorkit.formats.layout_reader import read_layout
from mirrorkit.formats.model_folder import DropoutLayer, ModelLayout, NormalizeLayer, first_position
from mirrorkit.formats.usage import Usage
from mirrorkit.text.tokenizer import Tokenizer

DEFAULT_MAX_LENGTH = 512  # tokens; where nothing in a foreign folder names a limit
_ENDLESS = 1_000_000  # tokens; transformers writes 1e30 for "no limit known"
_FOREIGN = {
    "model": "fp32",
    "model_fp16": "fp16",
    "model_quantized": "int8",
    "model_int8": "int8",
    "model_q4": "int4",
}
_SIDES = {"truncation_side", "padding_side"}  # of the tokenizer's arguments, what tokenizer.json need not know


@dataclass(frozen=True)
class Foreign:
    """A graph of a foreign folder and how to feed it."""

    variant: str
    file: Path
    tokenizer: Tokenizer
    max_length: int
    pad_id: int
    layout: ModelLayout
    usage: Usage  # `normalized` is of the graph, which nobody has looked at: False


def open_foreign(folder: Path, wanted: str) -> Foreign:
    """Choose a graph of `folder`. Raises BundleError or ModelError for a folder whose files cannot be honoured."""
    check_files_within(folder)
    files = graphs_of(folder)
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
    layout = read_layout(folder, with_graph=True)
    about_tokens, config = (_settings(folder / name) for name in ("tokenizer_config.json", "config.json"))
    lost = next((key for key in layout.tokenizer_args if key not in _SIDES), None)
    if lost is not None:
        raise BundleError(
            f"{folder}: tokenizer_args: {lost} {layout.tokenizer_args[lost]!r} changes the tokenizer, and {TOKENIZER} "
            "is read as it is"
        )
    side = str(layout.tokenizer_args.get("truncation_side") or about_tokens.get("truncation_side") or "right")
    tokenizer = Tokenizer(folder / TOKENIZER, DEFAULT_MAX_LENGTH, lower_case=layout.lower_case, truncation_side=side)
    pad_id = _first_whole(tokenizer.pad_id(about_tokens.get("pad_token")), config.get("pad_token_id"), 0)
    max_length = _max_length(layout, about_tokens, config, pad_id) or _limit(tokenizer.own_limit) or DEFAULT_MAX_LENGTH
    tokenizer.cut_at(max_length)
    usage = Usage(layout.prompts, layout.default_prompt_name, layout.include_prompt, side, False, layout.similarity)
    return Foreign(chosen, file, tokenizer, max_length, pad_id, layout, usage)


def graphs_of(folder: Path) -> dict[str, Path]:
    """Return the ONNX files by the name of the variant, or by their own where that tells of none."""
    found: dict[str, Path] = {}
    for file in (*sorted((folder / "onnx").glob("*.onnx")), *sorted(folder.glob("*.onnx"))):
        found.setdefault(_FOREIGN.get(file.stem, file.stem), file)
    return found


def wants_unit_length(layout: ModelLayout) -> bool:
    """Return whether vectors are to be brought to unit length: where the chain ends so, or the folder says nothing."""
    lasting = [layer for layer in layout.chain if not isinstance(layer, DropoutLayer)]
    return isinstance(lasting[-1], NormalizeLayer)


def _max_length(
    layout: ModelLayout, about_tokens: Mapping[str, Any], config: Mapping[str, Any], pad_id: int
) -> int | None:
    """Return the length that sentence-transformers cuts at, or what the positions take where that is less.

    A length in tokenizer.json is none: whoever calls it sets another.
    """
    positions = _limit(config.get("max_position_embeddings"), first_position(config.get("model_type"), pad_id))
    own = layout.max_length or _limit(about_tokens.get("model_max_length"))
    return min((limit for limit in (own, positions) if limit is not None), default=None)


def _settings(file: Path) -> Mapping[str, Any]:
    return read_object(file, BundleError) if file.is_file() else {}


def _limit(value: object, less: int = 0) -> int | None:
    whole = isinstance(value, (int, float)) and not isinstance(value, bool) and 2 + less <= value < _ENDLESS
    return int(value) - less if whole else None  # type: ignore[call-overload,no-any-return]


def _first_whole(*values: object) -> int:
    whole: Callable[[object], bool] = lambda value: isinstance(value, int) and not isinstance(value, bool)  # noqa: E731
    return int(next(value for value in values if whole(value)))  # type: ignore[call-overload,no-any-return]
