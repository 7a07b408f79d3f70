"""Drop rows of the word embeddings and give the tokenizer, the configuration and all that names an id the new ids."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mirrorkit.backbone import QuietTransformers, load_tokenizer
from mirrorkit.errors import ConfigError
from mirrorkit.extras import require
from mirrorkit.layout import Layout, read_json
from mirrorkit.model import SentenceEncoder

require("torch", extra="train")
import torch
from torch import nn

_ID = "_token_id"  # how the fields of config.json that hold an id end


def tokenizer_json(tokenizer: Any) -> dict[str, Any]:
    """Return tokenizer.json; truncation and padding, which belong to whoever reads the folder, are left out."""
    value: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    return {**value, "truncation": None, "padding": None}


def word_table(backbone: Any) -> nn.Embedding:
    """Return the word embeddings; raises ConfigError where they cannot be cut, or more than they have a row a token."""
    kind = backbone.config.model_type
    table = backbone.get_input_embeddings()
    if not isinstance(table, nn.Embedding):
        raise ConfigError(f"--trim-vocab: the word embeddings of {kind} are a {type(table).__name__}, not one table")
    rows = table.num_embeddings
    others = (name for name, p in backbone.named_parameters() if p is not table.weight and p.shape[:1] == (rows,))
    if (other := next(others, None)) is not None:
        raise ConfigError(f"--trim-vocab: {kind} has {rows} rows in {other} too, which may belong to the vocabulary")
    return table


def ids_of_config(config: Any) -> dict[str, int]:
    """Return the fields of the configuration that hold a token id."""
    fields = config.to_dict().items()
    return {name: i for name, i in fields if name.endswith(_ID) and isinstance(i, int) and i >= 0}


def positions_hang_on_padding(backbone: Any) -> bool:
    """Return whether positions are counted from the padding id on, so that it must stay what it is."""
    table = getattr(getattr(backbone, "embeddings", None), "position_embeddings", None)
    return getattr(table, "padding_idx", None) is not None


def cut(encoder: SentenceEncoder, kept: Sequence[int]) -> None:
    """Keep of the vocabulary the old ids `kept`, in this order; their new ids are 0, 1, 2, …  Changes `encoder`."""
    new = {old: i for i, old in enumerate(kept)}
    config, table = encoder.backbone.config, word_table(encoder.backbone)
    tokenizer = _with_new_ids(encoder.tokenizer, new)
    padding = None if table.padding_idx is None else new[table.padding_idx]
    rows = table.weight.detach()[torch.tensor(list(kept), device=table.weight.device)].clone()
    smaller = nn.Embedding(len(kept), table.embedding_dim, padding, _weight=rows)
    encoder.backbone.set_input_embeddings(smaller)
    for name, old in ids_of_config(config).items():
        setattr(config, name, new[old])
    config.vocab_size = len(kept)
    encoder.tokenizer = tokenizer


def _with_new_ids(tokenizer: Any, new: Mapping[int, int]) -> Any:
    """Return the tokenizer with the ids of `new` alone, made as any reader of the written folder will make it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        with QuietTransformers():
            tokenizer.save_pretrained(folder)
        for doubled in ("vocab.txt", "added_tokens.json"):
            (folder / doubled).unlink(missing_ok=True)
        _write(folder / "tokenizer.json", renumbered(tokenizer_json(tokenizer), new))
        file = folder / "tokenizer_config.json"
        about = read_json(file)
        if (decoder := about.get("added_tokens_decoder")) is not None:
            about["added_tokens_decoder"] = {str(new[int(old)]): token for old, token in decoder.items()}
        _write(file, about)
        return load_tokenizer(folder, Layout(folder, None, None, False))


def renumbered(value: Mapping[str, Any], new: Mapping[int, int]) -> dict[str, Any]:
    """Return a tokenizer.json whose vocabulary, added tokens and post-processor have the ids of `new`."""
    vocabulary = {piece: new[i] for piece, i in value["model"]["vocab"].items() if i in new}
    return {
        **value,
        "added_tokens": [{**token, "id": new[token["id"]]} for token in value["added_tokens"]],
        "model": {**value["model"], "vocab": dict(sorted(vocabulary.items(), key=lambda item: item[1]))},
        "post_processor": _processor(value["post_processor"], new),
    }


def _processor(value: Any, new: Mapping[int, int]) -> Any:
    kind = None if value is None else value["type"]
    if kind in (None, "ByteLevel"):
        return value
    if kind == "Sequence":
        return {**value, "processors": [_processor(part, new) for part in value["processors"]]}
    if kind in ("BertProcessing", "RobertaProcessing"):
        return {**value, **{end: [value[end][0], new[value[end][1]]] for end in ("sep", "cls")}}
    if kind == "TemplateProcessing":
        tokens = value["special_tokens"].items()
        return {**value, "special_tokens": {k: {**t, "ids": [new[i] for i in t["ids"]]} for k, t in tokens}}
    raise ConfigError(f"--trim-vocab: the tokenizer's post-processor {kind} is not known, so its ids cannot be changed")


def _write(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
