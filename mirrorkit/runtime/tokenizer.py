"""Text to token ids, as the model saw them in training."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mirrorkit.batching import RaggedIds
from mirrorkit.errors import BundleError

BLOCK = 8192  # texts tokenised at a time: a tokenizer's own results take some kilobytes a text
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can spell them, but they are no characters


def replace_surrogates(text: str) -> str:
    """Return `text` with U+FFFD for each lone surrogate, as training reads it."""
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)


class Tokenizer:
    """A tokenizer.json, cut at `max_length` tokens (special ones included), without padding.

    Set up once and not changed after, so that threads can share it.
    """

    def __init__(self, file: Path, max_length: int, *, lower_case: bool = False) -> None:
        import tokenizers

        if not file.is_file():
            raise BundleError(f"{file.parent}: {file.name} is missing")
        try:
            backend: Any = tokenizers.Tokenizer.from_file(str(file))
            self._padding_id = (backend.padding or {}).get("pad_id")
            self.own_limit = (backend.truncation or {}).get("max_length")  # tokens, where the file names a limit
            backend.no_padding()
        except Exception as err:  # the Rust side raises plain Exception
            raise BundleError(f"{file}: cannot be used as a tokenizer ({err})") from err
        if lower_case:
            existing = [backend.normalizer] if backend.normalizer is not None else []
            backend.normalizer = tokenizers.normalizers.Sequence([tokenizers.normalizers.Lowercase(), *existing])
        self._backend = backend
        self._file = file
        self.cut_at(max_length)

    def cut_at(self, max_length: int) -> None:
        """Set the number of tokens that longer text is cut to; not for a tokenizer that is in use."""
        try:
            self._backend.enable_truncation(max_length)
        except Exception as err:  # as above
            raise BundleError(f"{self._file}: cannot cut at {max_length} tokens ({err})") from err

    def pad_id(self, token: object = None) -> int | None:
        """Return the padding token's id: what the file says of padding, else the id of `token` or of a usual one."""
        if self._padding_id is not None:
            return int(self._padding_id)
        if isinstance(token, dict):  # how older releases of transformers write a token
            token = token.get("content")
        named = (name for name in (token, "[PAD]", "<pad>") if isinstance(name, str))
        ids = (self._backend.token_to_id(name) for name in named)
        return next((int(i) for i in ids if i is not None), None)

    def ids(self, texts: Sequence[str]) -> RaggedIds:
        """Return the token ids of each text, special tokens included. A lone surrogate counts as U+FFFD."""
        blocks = (texts[start : start + BLOCK] for start in range(0, len(texts), BLOCK))
        return RaggedIds.from_blocks([encoding.ids for encoding in self._encode(block)] for block in blocks)

    def ids_of(self, text: str) -> list[int]:
        """Return the token ids of one text, as `ids` does."""
        found: list[int] = self._encode([text])[0].ids
        return found

    def _encode(self, block: Sequence[str]) -> Any:
        try:
            return self._backend.encode_batch_fast(block)
        except TypeError:  # a lone surrogate has no UTF-8; looking for one in every text would cost all the others
            return self._backend.encode_batch_fast([replace_surrogates(text) for text in block])
