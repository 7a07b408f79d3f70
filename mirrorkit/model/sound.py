"""Refuse, when a model is loaded, what no other reader would reproduce: measured, not looked up in a list."""

from __future__ import annotations

import inspect
from functools import partial
from pathlib import Path
from typing import Any

from mirrorkit.errors import ModelError
from mirrorkit.extras import require

require("torch", extra="train")
import torch
from torch import Tensor, nn

_TEXTS = ("a", "Ça coûte 3,50 €, n'est-ce pas ?", "one two three four five six seven eight nine ten eleven twelve")
_CUT = 8  # tokens
_LONG = 48  # tokens of the longer text in the batch
_VERY_LONG = 1024  # the same, for attention that works in blocks and sees a short text whole
_BLOCKED = ("attention_type", "block_size", "attention_window", "num_random_blocks")  # fields that tell of it
_ALLOWED = 1e-3  # of the length of a vector; summing in another order costs a hundredth of that


def refuse_tokens_without_rows(tokenizer: Any, backbone: Any, folder: Path) -> None:
    """Raise ModelError for a token that the table of token vectors has no row for."""
    try:
        rows = int(backbone.get_input_embeddings().weight.shape[0])
    except (AttributeError, NotImplementedError):  # an architecture whose table has another shape or place
        rows = int(getattr(backbone.config, "vocab_size", 1 << 62))  # else its own first pass has to tell
    beyond = {token: number for token, number in tokenizer.get_vocab().items() if number >= rows}
    if beyond:
        token, number = min(beyond.items(), key=lambda item: item[1])
        raise ModelError(
            f"{folder}: the token {token!r} has the id {number}, and the weights have {rows} rows; {len(beyond)} were "
            "added to the tokenizer without resize_token_embeddings"
        )


def refuse_other_tokens(tokenizer: Any, backbone: Any, folder: Path) -> None:
    """Raise ModelError where transformers' own call would feed the model with something else than ids and a mask."""
    backend = tokenizer.backend_tokenizer
    called = tokenizer(list(_TEXTS), truncation=True, max_length=_CUT)
    file = folder / "tokenizer_config.json"
    if any(0 in row for row in called.get("attention_mask", [[0]])):
        names = tokenizer.model_input_names
        raise ModelError(f"{file}: model_input_names {names!r} has no attention_mask, so padding would be pooled")
    backend.no_padding()
    backend.enable_truncation(_CUT, direction=tokenizer.truncation_side)
    ours = [encoding.ids for encoding in backend.encode_batch_fast(list(_TEXTS))]
    if ours != called["input_ids"]:
        raise ModelError(f"{file}: {type(tokenizer).__name__} gives other ids than its tokenizer.json does by itself")
    types = called.get("token_type_ids", [])
    if any(any(row) for row in types) and "token_type_ids" in inspect.signature(backbone.forward).parameters:
        raise ModelError(f"{file}: gives token_type_ids other than 0 ({types[0]}), which mirrorkit does not feed")


def refuse_padding_sensitive(
    tokenizer: Any, backbone: Any, chain: nn.Module, max_length: int, folder: Path | str
) -> None:
    """Raise ModelError where a text's vector changes with what else is in its batch.

    `chain` makes a vector of token vectors; `max_length` counts tokens.
    """
    config = backbone.config
    longest = _VERY_LONG if any(getattr(config, name, None) for name in _BLOCKED) else _LONG
    text = " ".join(_TEXTS) * (longest // 8)
    ids = torch.tensor(tokenizer(text, truncation=True, max_length=min(longest, max_length))["input_ids"])
    if len(ids) < 2:
        return
    ids = ids.to(next(backbone.parameters()).device)
    short = torch.cat([ids[: max(1, len(ids) // 5)], ids[-1:]])
    moved = partial(_moved_by_padding, backbone, chain, int(tokenizer.pad_token_id), ids, short)
    off = moved(left=False)
    kind = config.model_type
    if not off <= _ALLOWED:
        raise ModelError(
            f"{folder}: the vectors of {kind} change with padding ({off:.2g} between alone and in a batch), so that no "
            "batch could be reproduced"
        )
    if tokenizer.padding_side == "left":
        off = moved(left=True)
        if not off <= _ALLOWED:
            raise ModelError(
                f"{Path(folder) / 'tokenizer_config.json'}: padding_side 'left' makes the vectors of {kind} change "
                f"with padding ({off:.2g} between alone and in a batch); set it to 'right'"
            )


def _moved_by_padding(
    backbone: Any, chain: nn.Module, pad_id: int, long: Tensor, short: Tensor, *, left: bool
) -> float:
    """Return how far the vector of `short` lies in a batch with `long` from where it lies alone, lengths at 1."""
    count, width = len(short), len(long)
    ids = torch.full((2, width), pad_id, device=long.device)
    mask = torch.zeros(2, width, dtype=torch.int64, device=long.device)
    place = slice(width - count, width) if left else slice(0, count)
    ids[0, place], mask[0, place] = short, 1
    ids[1], mask[1] = long, 1
    with torch.inference_mode():
        alone = backbone(input_ids=short[None], attention_mask=mask.new_ones(1, count))
        together = backbone(input_ids=ids, attention_mask=mask)
        real = mask.new_ones(1, count)
        vectors = [chain(hidden, real) for hidden in (alone.last_hidden_state, together.last_hidden_state[:1, place])]
    unit = [vector / vector.norm().clamp(min=1e-12) for vector in vectors]
    return float((unit[0] - unit[1]).abs().max())
