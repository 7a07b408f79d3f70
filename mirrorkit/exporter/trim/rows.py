"""The model's side of a vocabulary: rows of the word embeddings, and new ids in files and settings that name one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mirrorkit.errors import ConfigError, ModelError
from mirrorkit.exporter.trim.plan import Pieces, ids_of_processor, pieces_of, renumbered
from mirrorkit.extras import require
from mirrorkit.formats.json_file import read_json
from mirrorkit.formats.model_folder import ModelLayout, first_position
from mirrorkit.model.backbone import QuietTransformers, load_tokenizer, settings_of_text
from mirrorkit.model.encoder import SentenceEncoder

require("torch", extra="train")
import torch
from torch import nn

_ID = "_token_id"  # how the fields of config.json that hold an id, or several, end
_DOUBLED = ("vocab.txt", "vocab.json", "merges.txt", "added_tokens.json", "*.model")  # what tokenizer.json has too


@dataclass(frozen=True)
class Vocabulary:
    """What a model says of its own vocabulary."""

    tokenizer: dict[str, Any]  # tokenizer.json; see `tokenizer_json`
    rows: int  # of the word embeddings
    pieces: Pieces
    named: set[int]  # ids that must stay whatever a corpus holds: those of tokens that something refers to


def vocabulary_of(encoder: SentenceEncoder) -> Vocabulary:
    """Return the vocabulary; raises ConfigError for one that cannot be trimmed, ModelError for a contradictory one."""
    value, config = tokenizer_json(encoder.tokenizer), settings_of_text(encoder.backbone.config)
    kind, rows = config.model_type, word_table(encoder.backbone).num_embeddings
    pieces = pieces_of(value, encoder.tokenizer.all_special_tokens, kind)
    added = {token["id"] for token in value["added_tokens"]} | ids_of_processor(value)
    if (highest := max([*pieces.ids.values(), *added])) >= rows:
        raise ModelError(f"the tokenizer of this {kind} has the id {highest}, its word embeddings only {rows} rows")
    of_config = {i for ids in ids_of_config(config, rows).values() for i in ids}
    pad_id = encoder.tokenizer.pad_token_id
    before_padding = range(pad_id) if first_position(kind, pad_id) else ()  # positions count from its number on
    of_tokenizer = {*encoder.tokenizer.all_special_ids, *([] if pieces.unknown is None else [pieces.unknown])}
    return Vocabulary(value, rows, pieces, {*added, *of_config, *of_tokenizer, *before_padding})


def tokenizer_json(tokenizer: Any) -> dict[str, Any]:
    """Return tokenizer.json; truncation and padding, which belong to whoever reads the folder, are left out."""
    value: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    return {**value, "truncation": None, "padding": None}


def word_table(backbone: Any) -> nn.Embedding:
    """Return the word embeddings; raises ConfigError where they cannot be cut, or more than they have a row a token."""
    kind = backbone.config.model_type
    table = backbone.get_input_embeddings()
    if not isinstance(table, nn.Embedding):
        raise ConfigError(f"`trim`: the word embeddings of {kind} are a {type(table).__name__}, not one table")
    rows = table.num_embeddings
    others = (name for name, p in backbone.named_parameters() if p is not table.weight and p.shape[:1] == (rows,))
    if (other := next(others, None)) is not None:
        raise ConfigError(f"`trim`: {kind} has {rows} rows in {other} too, which may belong to the vocabulary")
    return table


def ids_of_config(config: Any, rows: int) -> dict[str, list[int]]:
    """Return the fields of the configuration that hold token ids, one or several.

    Left out are ids beyond the `rows` there are: defaults of an architecture, which mean nothing in this model.
    """
    fields = ((name, value) for name, value in config.to_dict().items() if name.endswith(_ID))
    lists = ((name, value if isinstance(value, list) else [value]) for name, value in fields)
    return {name: ids for name, ids in lists if all(isinstance(i, int) and 0 <= i < rows for i in ids)}


def cut(encoder: SentenceEncoder, vocabulary: Vocabulary, kept: Sequence[int]) -> dict[str, Any]:
    """Keep of the vocabulary the old ids `kept`, in this order; their new ids are 0, 1, 2, …  Changes `encoder`.

    Returns the tokenizer.json of its new tokenizer. Raises ModelError, and changes nothing, where transformers would
    read that with other ids.
    """
    new = {old: i for i, old in enumerate(kept)}
    config, table = settings_of_text(encoder.backbone.config), word_table(encoder.backbone)
    tokenizer = _with_new_ids(encoder.tokenizer, renumbered(vocabulary.tokenizer, vocabulary.pieces, new), new)
    padding = None if table.padding_idx is None else new[table.padding_idx]
    rows = table.weight.detach()[torch.tensor(list(kept), device=table.weight.device)].clone()
    smaller = nn.Embedding(len(kept), table.embedding_dim, padding, _weight=rows)
    encoder.backbone.set_input_embeddings(smaller)
    for name, old in ids_of_config(config, table.num_embeddings).items():
        ids = [new[i] for i in old]
        setattr(config, name, ids if isinstance(getattr(config, name), list) else ids[0])
    config.vocab_size = len(kept)
    encoder.tokenizer = tokenizer
    return tokenizer_json(tokenizer)


def _with_new_ids(tokenizer: Any, value: Mapping[str, Any], new: Mapping[int, int]) -> Any:
    """Return the tokenizer of a tokenizer.json `value`, made as any reader of the written folder will make it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        with QuietTransformers():
            tokenizer.save_pretrained(folder)
        for doubled in (file for pattern in _DOUBLED for file in folder.glob(pattern)):
            doubled.unlink()
        _write(folder / "tokenizer.json", value)
        file = folder / "tokenizer_config.json"
        about = read_json(file)
        if (decoder := about.get("added_tokens_decoder")) is not None:
            about["added_tokens_decoder"] = {str(new[int(old)]): token for old, token in decoder.items()}
        _write(file, about)
        made = load_tokenizer(folder, ModelLayout(folder))
    wanted = {token: new[i] for token, i in tokenizer.get_vocab().items() if i in new}
    if (got := made.get_vocab()) != wanted:
        token = min(token for token, _ in wanted.items() ^ got.items())
        raise ModelError(
            f"{type(tokenizer).__name__}: read again with a part of its vocabulary, it gives {token!r} the id "
            f"{got.get(token)} and not {wanted.get(token)}; this tokenizer cannot be trimmed"
        )
    if (rules := _rules(tokenizer_json(made))) != _rules(value):
        raise ModelError(
            f"{type(tokenizer).__name__}: read again with a part of its vocabulary, it has other rules ({rules}) than "
            f"before ({_rules(value)}); this tokenizer cannot be trimmed"
        )
    return made


def _rules(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what tokenizer.json says of its model beside the pieces."""
    return {name: rule for name, rule in value["model"].items() if name not in ("vocab", "merges")}


def _write(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
