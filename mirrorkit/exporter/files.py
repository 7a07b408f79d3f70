"""The files of a bundle besides its graphs: weights, tokenizer, and what older readers look for."""

from __future__ import annotations

import json
from pathlib import Path

from mirrorkit.formats.bundle import TOKENIZER
from mirrorkit.formats.json_file import read_json


def adapt_to_readers(folder: Path) -> None:
    """Change a saved model so that older readers too see it as it is; vocab.txt where there is such a vocabulary."""
    _drop_old_limit(folder / "tokenizer_config.json")
    vocabulary = _word_pieces(folder / TOKENIZER)
    if vocabulary:
        (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in vocabulary), encoding="utf-8", newline="\n")


def _drop_old_limit(file: Path) -> None:
    """Remove a length that some models were trained with: fastembed alone would cut there."""
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
