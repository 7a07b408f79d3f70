"""Which entries of a vocabulary stay, and new ids wherever tokenizer.json names one; shared by all its kinds."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from tokenizers import Tokenizer

from mirrorkit.errors import ConfigError
from mirrorkit.exporter.trim.bpe import BpePieces
from mirrorkit.exporter.trim.unigram import UnigramPieces
from mirrorkit.exporter.trim.wordpiece import WordPieces


class Pieces(Protocol):
    """The vocabulary of a tokenizer, and what of it hangs together."""

    @property
    def ids(self) -> Mapping[str, int]:
        """Return the id of each piece."""

    @property
    def unknown(self) -> int | None:
        """Return the id that stands for what has no piece, where there is one."""

    def needed(self, used: Collection[int]) -> set[int]:
        """Return the ids that have to stay so that `used` ones come about as before and no text is lost.

        Raises ConfigError where nothing less than the whole vocabulary would do.
        """

    def renumbered(self, new: Mapping[int, int]) -> dict[str, Any]:
        """Return the `model` of tokenizer.json with the ids of `new` alone."""


def pieces_of(value: Mapping[str, Any], special: Collection[str], whose: str) -> Pieces:
    """Return the vocabulary of a tokenizer.json; raises ConfigError for a kind that cannot be trimmed.

    `special` are tokens that no text is cut into, beside those that tokenizer.json adds; `whose` is for messages.
    """
    model, backend = value["model"], tokenizer_of(value)
    reserved = {token["content"] for token in value["added_tokens"]} | set(special)
    if model["type"] == "WordPiece":
        return WordPieces(model, reserved, lambda piece, bare: _is_word(backend, piece, bare))
    if model["type"] == "Unigram":
        return UnigramPieces(model, reserved, lambda piece: _is_within(backend, piece))
    if model["type"] == "BPE":
        if model.get("dropout"):
            raise ConfigError(
                f"`trim`: the tokenizer of this {whose} skips merges at random (dropout {model['dropout']}), so its "
                "texts have no pieces of their own to keep"
            )
        return BpePieces(model, reserved)
    raise ConfigError(
        f"`trim`: the tokenizer of this {whose} is {model['type']}; only WordPiece, Unigram and BPE can be trimmed"
    )


def kept_ids(pieces: Pieces, counts: Sequence[int], min_count: int, named: Collection[int]) -> list[int]:
    """Return the ids to keep, in order: of pieces that occur `min_count` times, of what those need, and `named` ones.

    `counts` are of the pieces that the corpus is cut into, by id.
    """
    used = {i for i in pieces.ids.values() if counts[i] >= min_count}
    return sorted(pieces.needed(used) | set(named))


def tokenizer_of(value: Mapping[str, Any]) -> Tokenizer:
    """Return a tokenizer of its own, made of a tokenizer.json."""
    return Tokenizer.from_str(json.dumps(value))


def renumbered(value: Mapping[str, Any], pieces: Pieces, new: Mapping[int, int]) -> dict[str, Any]:
    """Return a tokenizer.json whose vocabulary, added tokens and post-processor have the ids of `new`."""
    return {
        **value,
        "added_tokens": [{**token, "id": new[token["id"]]} for token in value["added_tokens"]],
        "model": pieces.renumbered(new),
        "post_processor": _processor(value["post_processor"], new),
    }


def ids_of_processor(value: Mapping[str, Any]) -> set[int]:
    """Return the ids that a tokenizer.json's post-processor names; raises ConfigError for one that is not known."""
    noted = _Noted()
    _processor(value["post_processor"], noted)
    return set(noted)


class _Noted(dict[int, int]):
    """New ids that are the old ones, and note which were asked for."""

    def __missing__(self, number: int) -> int:
        self[number] = number
        return number


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


def _is_word(backend: Tokenizer, *spellings: str) -> bool:
    """Return whether `backend` makes a word of one of the spellings, which is what WordPiece cuts."""
    return any(word in _words(backend, word) for word in (*spellings, f"a{spellings[-1]}"))


def _is_within(backend: Tokenizer, piece: str) -> bool:
    """Return whether `backend` makes a word that holds the piece."""
    return any(piece in word for text in (piece, f"a{piece}") for word in _words(backend, text))


def _words(backend: Tokenizer, text: str) -> list[str]:
    normal = backend.normalizer.normalize_str(text) if backend.normalizer else text
    split = backend.pre_tokenizer.pre_tokenize_str(normal) if backend.pre_tokenizer else [(normal, (0, 0))]
    return [word for word, _ in split]
