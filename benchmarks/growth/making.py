"""Models of random weights with a vocabulary of any size, and texts of a known number of tokens."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from mirrorkit.errors import ConfigError
from mirrorkit.extras import require
from mirrorkit.formats.json_file import read_object

SHAPE = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512}
# Of the series over the number of strings: so small that what is not the model's own work is seen.
NARROW = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 64}
SPECIAL = 2  # tokens that stand around every text


def pieces_of(folder: Path) -> list[str]:
    """Return the pieces of a WordPiece tokenizer in the order of their ids; raises ConfigError for another kind."""
    found = read_object(folder / "tokenizer.json")
    model = found.get("model", {})
    if model.get("type") != "WordPiece":
        raise ConfigError(f"{folder}: its tokenizer is {model.get('type')}; texts are made of WordPiece here")
    vocabulary: dict[str, int] = model["vocab"]
    return sorted(vocabulary, key=vocabulary.__getitem__)


def words_of(pieces: Sequence[str]) -> list[str]:
    """Return the pieces that are whole words of lower-case letters: one token each, wherever they stand."""
    return [piece for piece in pieces if len(piece) > 1 and piece.isascii() and piece.isalpha() and piece.islower()]


def grown(pieces: Sequence[str], rows: int) -> list[str]:
    """Return the first `rows` pieces; where there are fewer, the rest are words of five letters."""
    known = set(pieces)
    made = ("".join(letters) for letters in product(ascii_lowercase, repeat=5))
    more = (word for word in made if word not in known)
    kept = list(pieces[:rows])
    while len(kept) < rows:
        kept.append(next(more))
    return kept


def make_model(tokenizer_of: Path, rows: int, folder: Path, shape: Mapping[str, int]) -> Path:
    """Write a BERT of random weights whose table has `rows` rows, with a tokenizer of as many pieces."""
    require("torch", extra="train")
    import torch
    import transformers

    from mirrorkit.model.backbone import QuietTransformers

    described: dict[str, Any] = read_object(tokenizer_of / "tokenizer.json")
    pieces = grown(pieces_of(tokenizer_of), rows)
    described["model"]["vocab"] = {piece: number for number, piece in enumerate(pieces)}
    lost = [token["content"] for token in described["added_tokens"] if token["content"] not in set(pieces)]
    if lost:
        raise ConfigError(f"{tokenizer_of}: {rows} rows leave out its special token {lost[0]}")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (tokenizer_of / name).is_file():
            (folder / name).write_bytes((tokenizer_of / name).read_bytes())
    (folder / "tokenizer.json").write_text(json.dumps(described), encoding="utf-8")
    torch.manual_seed(rows)
    with QuietTransformers():
        transformers.BertModel(transformers.BertConfig(vocab_size=rows, **shape)).save_pretrained(folder)
    return folder


def texts(words: Sequence[str], each: int, count: int, seed: int = 0) -> Iterator[str]:
    """Yield `count` texts of `each` words, drawn from all of them alike."""
    rng = random.Random(seed)
    return (" ".join(rng.choices(words, k=each)) for _ in range(count))


def write_texts(file: Path, words: Sequence[str], each: int, count: int) -> Path:
    """Write texts to a file, one a line."""
    with file.open("w", encoding="utf-8") as out:
        out.writelines(f"{text}\n" for text in texts(words, each, count))
    return file


def work_of(config: dict[str, Any], tokens: int) -> float:
    """Return the floating-point operations of one pass over a text: products with weights, and attention.

    2 · W · n for W weights of the layers and n tokens, and 4 · layers · width · n² for the two products of attention
    (Kaplan et al. 2020, arXiv 2001.08361, table 1, with the part that grows with the context, which both halves have).
    """
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    weights = layers * (4 * hidden**2 + 2 * hidden * config["intermediate_size"])
    return float(2 * weights * tokens + 4 * layers * hidden * tokens**2)
