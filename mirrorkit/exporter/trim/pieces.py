"""A WordPiece vocabulary: which entries a domain needs, and a model that has those alone.

Its texts stay as they are and no text gets lost. Rows of the word embeddings are dropped, and the tokenizer, the
configuration and all that names an id get the new ids.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tokenizers import Tokenizer

from mirrorkit.errors import ConfigError, ModelError
from mirrorkit.extras import require
from mirrorkit.formats.json_file import read_json
from mirrorkit.formats.model_folder import ModelLayout, first_position
from mirrorkit.model.backbone import QuietTransformers, load_tokenizer
from mirrorkit.model.encoder import SentenceEncoder

require("torch", extra="train")
import torch
from torch import nn

_ID = "_token_id"  # how the fields of config.json that hold an id end


@dataclass(frozen=True)
class WordPieces:
    """A WordPiece vocabulary: pieces by id, and the mark of a piece that continues a word."""

    pieces: Mapping[str, int]
    prefix: str
    unknown: str  # the piece for a word that has no pieces
    reserved: Collection[str]  # special and added tokens, which no text is cut into

    def characters(self, piece: str) -> Iterator[str]:
        """Yield the entries that would spell `piece` one character at a time."""
        continues = piece.startswith(self.prefix) and len(piece) > len(self.prefix)
        for position, character in enumerate(piece[len(self.prefix) :] if continues else piece):
            yield character if position == 0 and not continues else self.prefix + character

    def unspelled(self) -> Iterator[tuple[str, str]]:
        """Yield each piece with a character that has no entry of its own, and that entry."""
        for piece in self.pieces:
            if piece not in self.reserved:
                lacking = next((entry for entry in self.characters(piece) if entry not in self.pieces), None)
                if lacking is not None:
                    yield piece, lacking


def kept_ids(
    words: WordPieces, counts: Sequence[int], min_count: int, needed: Collection[int], reachable: Callable[[str], bool]
) -> list[int]:
    """Return the ids to keep, in order: pieces that occur `min_count` times, single characters, `needed` ids.

    `counts` are of the pieces that the corpus is cut into, by id; `reachable` tells whether a piece can come about at
    all. A word whose pieces are all kept is cut into the same ones as before, for its longest match at each place is
    still there. Any other word can be spelled, for every character of a piece has its own entry: raises ConfigError
    for a vocabulary in which it has not, where dropping a piece could turn a word into the unknown token.
    """
    for piece, lacking in words.unspelled():
        if reachable(piece):
            raise ConfigError(
                f"`trim`: the vocabulary has the piece {piece!r} but not {lacking!r} for one of its characters, so "
                "text could no longer be spelled without some of its pieces; this vocabulary cannot be trimmed"
            )
    reserved = {words.pieces[token] for token in words.reserved if token in words.pieces}
    single = {i for piece, i in words.pieces.items() if len(list(words.characters(piece))) == 1}
    used = {i for i in words.pieces.values() if counts[i] >= min_count}
    return sorted(reserved | single | used | set(needed))


def reachable_in(backend: Tokenizer, prefix: str) -> Callable[[str], bool]:
    """Return a function from a piece to whether `backend` can cut any text into it."""

    def words_of(text: str) -> list[str]:
        normal = backend.normalizer.normalize_str(text) if backend.normalizer else text
        split = backend.pre_tokenizer.pre_tokenize_str(normal) if backend.pre_tokenizer else [(normal, (0, 0))]
        return [word for word, _ in split]

    def reachable(piece: str) -> bool:
        bare = piece.removeprefix(prefix)
        return any(word in words_of(word) for word in (piece, bare, f"a{bare}"))

    return reachable


@dataclass(frozen=True)
class Vocabulary:
    """What a model says of its own vocabulary."""

    tokenizer: dict[str, Any]  # tokenizer.json; see `tokenizer_json`
    rows: int  # of the word embeddings
    pieces: WordPieces
    named: set[int]  # ids that must stay whatever a corpus holds: those of tokens that something refers to


def vocabulary_of(encoder: SentenceEncoder) -> Vocabulary:
    """Return the vocabulary; raises ConfigError unless it is WordPiece, ModelError where it contradicts itself."""
    value, config = tokenizer_json(encoder.tokenizer), encoder.backbone.config
    kind, model, rows = config.model_type, value["model"], word_table(encoder.backbone).num_embeddings
    if model["type"] != "WordPiece":
        raise ConfigError(f"`trim`: the tokenizer of this {kind} is {model['type']}; only WordPiece can be trimmed")
    added = {token["content"]: token["id"] for token in value["added_tokens"]}
    if (highest := max([*model["vocab"].values(), *added.values()])) >= rows:
        raise ModelError(f"the tokenizer of this {kind} has the id {highest}, its word embeddings only {rows} rows")
    if model["unk_token"] not in model["vocab"]:
        raise ModelError(f"the vocabulary of this {kind} lacks its own unknown token, {model['unk_token']!r}")
    reserved = set(added) | set(encoder.tokenizer.all_special_tokens) | {model["unk_token"]}
    pieces = WordPieces(model["vocab"], model["continuing_subword_prefix"], model["unk_token"], reserved)
    pad_id = encoder.tokenizer.pad_token_id
    before_padding = range(pad_id) if first_position(kind, pad_id) else ()
    named = {*added.values(), *ids_of_config(config).values(), *encoder.tokenizer.all_special_ids, *before_padding}
    return Vocabulary(value, rows, pieces, named)


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


def ids_of_config(config: Any) -> dict[str, int]:
    """Return the fields of the configuration that hold a token id."""
    fields = config.to_dict().items()
    return {name: i for name, i in fields if name.endswith(_ID) and isinstance(i, int) and i >= 0}


def cut(encoder: SentenceEncoder, kept: Sequence[int]) -> dict[str, Any]:
    """Keep of the vocabulary the old ids `kept`, in this order; their new ids are 0, 1, 2, …  Changes `encoder`.

    Returns the tokenizer.json of its new tokenizer.
    """
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
    return tokenizer_json(tokenizer)


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
        return load_tokenizer(folder, ModelLayout(folder))


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
    raise ConfigError(f"`trim`: the tokenizer's post-processor {kind} is not known, so its ids cannot be changed")


def _write(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
