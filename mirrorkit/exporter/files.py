"""The files of a bundle that are no graphs: weights, tokenizer, and what older readers look for beside them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from mirrorkit.bundle import TOKENIZER, sha256_of
from mirrorkit.errors import ExportError, OutputError
from mirrorkit.extras import require
from mirrorkit.layout import read_json, read_layout
from mirrorkit.model import SentenceEncoder
from mirrorkit.paths import local_path

require("safetensors", extra="train")
import safetensors

_HEADS = re.compile(r"For(SequenceClassification|TokenClassification|QuestionAnswering|MultipleChoice)$")
_CORPUS_NAME = re.compile(r"(.+), [\d,]+ bytes, ")
_CARD_ROW = re.compile(r"\| ([^|]+) \| (.*) \|")


def refuse_heads(folder: Path, pooling: str | None) -> None:
    """Raise ExportError for a classifier whose folder does not say how its body makes sentence vectors."""
    layout = read_layout(folder)
    config = read_json(layout.weights / "config.json")
    names = config.get("architectures") if isinstance(config, dict) else None
    head = next((name for name in names or () if _HEADS.search(str(name))), None)
    if head and layout.pooling is None and pooling is None:
        raise ExportError(
            f"{folder}: is a {head}, trained to classify and not to embed; to export its body anyway say how to pool "
            "it: --pooling mean, cls or max"
        )


def says_pooling(folder: Path) -> bool:
    """Return whether the folder itself tells how to pool."""
    return read_layout(folder).pooling is not None


def write_model(encoder: SentenceEncoder, folder: Path) -> None:
    """Write the sentence-transformers layout, and vocab.txt where the tokenizer has such a vocabulary."""
    try:
        encoder.save(folder)
    except safetensors.SafetensorError as err:  # how a full disk shows itself while the weights are written
        raise OutputError(f"the weights cannot be written ({err})") from err
    _drop_old_limit(folder / "tokenizer_config.json")
    vocabulary = _word_pieces(folder / TOKENIZER)
    if vocabulary:
        (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in vocabulary), encoding="utf-8", newline="\n")


def _drop_old_limit(file: Path) -> None:
    """Remove the length that some model was once trained with: fastembed would cut there, others would not."""
    config = read_json(file)
    if config.pop("max_length", None) is not None:
        file.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _word_pieces(file: Path) -> list[str]:
    """Return a WordPiece vocabulary in the order of its ids, which vocab.txt is; empty where it cannot be one."""
    tokenizer = read_json(file)
    if tokenizer["model"]["type"] != "WordPiece":
        return []
    ids = {**tokenizer["model"]["vocab"], **{t["content"]: t["id"] for t in tokenizer.get("added_tokens", [])}}
    ordered = sorted(ids, key=ids.__getitem__)
    whole = [ids[token] for token in ordered] == list(range(len(ordered)))
    return ordered if whole and not any("\n" in token or "\r" in token for token in ordered) else []


def display_name(model: str | Path, folder: Path) -> str:
    """Return the hub id or shipped name, or a local folder's own name: the path to it is nobody's business."""
    return folder.resolve().name if local_path(model).is_dir() else str(model)


def card_rows(folder: Path) -> dict[str, str]:
    """Return the table that a fine-tune wrote into the model card; empty for any other card."""
    file = folder / "README.md"
    if not file.is_file():
        return {}
    text = file.read_text(encoding="utf-8", errors="replace")
    _, marker, table = text.partition("| | |\n|---|---|\n")
    lines = table.split("\n\n", 1)[0].splitlines() if marker else []
    rows = {m[1]: m[2] for line in lines if (m := _CARD_ROW.fullmatch(line))}
    return rows if "corpus sha256" in rows else {}


def corpus_at_hand(folder: Path, rows: Mapping[str, str]) -> Path | None:
    """Return the corpus that the model card names, where a file of that name and hash lies near; else None.

    The card holds no path. Looked in: the model's folder, the one around it, and the current one.
    """
    name = _CORPUS_NAME.match(rows.get("corpus", ""))
    if name is None or Path(name[1]).name != name[1]:
        return None
    places = (folder, folder.resolve().parent, Path.cwd())
    files = (place / name[1] for place in places)
    return next((file for file in files if file.is_file() and sha256_of(file) == rows["corpus sha256"]), None)
