"""Cut a BERT masked LM to the pieces of running English, and write it as a small folder."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import nn
from transformers import BertForMaskedLM

from benchmarks.base.text import Ints
from mirrorkit.exporter.trim.plan import pieces_of, renumbered

LATIN = 0x250  # characters below are kept whether they occur or not, so that names can be spelled


@dataclass(frozen=True)
class Choice:
    """Which pieces are kept, by old id and in that order, and what share of the text's pieces they are."""

    kept: list[int]
    coverage: float


def count_pieces(tokenizer: Tokenizer, lines: list[str]) -> Ints:
    """Count how often each piece occurs in the lines: [vocab]."""
    ids = [i for encoding in tokenizer.encode_batch_fast(lines, add_special_tokens=False) for i in encoding.ids]
    return np.bincount(ids, minlength=tokenizer.get_vocab_size()).astype(np.int64)


def choose_pieces(tokenizer: Tokenizer, counts: Ints, size: int) -> Choice:
    """Keep special tokens, single characters that are Latin or occur, and then the most frequent pieces."""
    vocabulary = tokenizer.get_vocab()
    kept = set(tokenizer.get_added_tokens_decoder())
    for piece, i in vocabulary.items():
        bare = piece.removeprefix("##") or piece
        if len(bare) == 1 and (ord(bare) < LATIN or counts[i]):
            kept.add(i)
    for i in np.argsort(-counts, kind="stable"):
        if len(kept) == size:
            break
        kept.add(int(i))
    return Choice(sorted(kept), float(counts[sorted(kept)].sum() / counts.sum()))


def cut(
    model: BertForMaskedLM, tokenizer: Tokenizer, kept: list[int], positions: int
) -> tuple[BertForMaskedLM, Tokenizer]:
    """Return the model and the tokenizer with these pieces alone, new ids 0, 1, 2, …, and so many positions."""
    config = type(model.config).from_dict(model.config.to_dict())
    config.vocab_size, config.max_position_embeddings, config.pad_token_id = len(kept), positions, 0
    smaller = BertForMaskedLM(config)
    weights = dict(model.state_dict())
    for name in list(weights):
        if name.endswith(("word_embeddings.weight", "decoder.weight", "decoder.bias", "predictions.bias")):
            weights[name] = weights[name][torch.tensor(kept)]
        elif name.endswith("position_embeddings.weight"):
            weights[name] = weights[name][:positions]
        elif name.endswith(("position_ids", "token_type_ids")):
            del weights[name]
    smaller.load_state_dict(weights, strict=False)
    smaller.tie_weights()
    new = {old: place for place, old in enumerate(kept)}
    value = {**json.loads(tokenizer.to_str()), "truncation": None, "padding": None}
    trimmed = renumbered(value, pieces_of(value, [], "bert"), new)
    return smaller.eval(), Tokenizer.from_str(json.dumps(trimmed, ensure_ascii=False))


def write(out: Path, model: nn.Module, tokenizer: Tokenizer, positions: int) -> None:
    """Write a Hugging Face folder with fp16 weights; what else lies in the folder (its card) stays."""
    out.mkdir(parents=True, exist_ok=True)
    roles = {f"{piece.strip('[]').lower()}_token": piece for piece in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")}
    settings: dict[str, Any] = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "strip_accents": None}
    settings |= {"tokenize_chinese_chars": True, "model_max_length": positions, **roles}
    with tempfile.TemporaryDirectory(dir=out.parent) as temporary:
        part = Path(temporary)
        save_file(_weights(model), part / "model.safetensors", metadata={"format": "pt"})
        tokenizer.save(str(part / "tokenizer.json"), pretty=False)
        files = {"config": _config(model), "tokenizer_config": settings, "special_tokens_map": roles}
        for name, content in files.items():
            (part / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        for file in part.iterdir():
            file.chmod(0o644)
            file.replace(out / file.name)


def _weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Copy the weights under their Hugging Face names; the tied decoder and its bias are stored once."""
    tied = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
    return {k: v.to(torch.float16).contiguous() for k, v in sorted(model.state_dict().items()) if k not in tied}


def _config(model: Any) -> dict[str, Any]:
    shape = model.config.to_dict()
    names = "vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act"
    names += " max_position_embeddings type_vocab_size initializer_range layer_norm_eps pad_token_id"
    described: dict[str, Any] = {"architectures": ["BertForMaskedLM"], "model_type": "bert"}
    described |= {name: shape[name] for name in names.split()}
    described |= dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), 0.1)
    # The file holds fp16 to be small, but training wants fp32: transformers 5 loads what "dtype" says.
    return described | {"tie_word_embeddings": True, "dtype": "float32"}
