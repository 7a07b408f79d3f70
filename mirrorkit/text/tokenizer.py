"""Text to token ids, as the model saw them in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mirrorkit.errors import BundleError, ConfigError
from mirrorkit.foreign import foreign, without_panic_messages
from mirrorkit.text.long_texts import SHORTEST, beginning, endless_words, first_attempt, places_of, shortened_words
from mirrorkit.text.ragged import RaggedIds
from mirrorkit.text.strings import chunks, replace_surrogates
from mirrorkit.text.windows import Windows, windows_of

_TRIAL = ("", "A text, of 2 words: étude 漢字 \U0001f600.")
BLOCK = 8192  # texts tokenised at a time: a tokenizer's own results take some kilobytes a text


def lower_cased(backend: Any) -> None:
    """Let a tokenizer of the tokenizers package lower-case its text first, unless one of its normalizers does that."""
    from tokenizers import normalizers

    own: Any = backend.normalizer
    sequence = isinstance(own, normalizers.Sequence)
    parts = [own[i] for i in range(len(own))] if sequence else [own] if own is not None else []
    if not any(isinstance(part, normalizers.Lowercase) for part in parts):
        backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *parts])


class Piece(NamedTuple):
    """A token, and where in the text it comes from: characters from, up to but without."""

    id: int
    text: str
    special: bool  # added by the tokenizer; it comes from nowhere in the text
    start: int
    stop: int


@dataclass(frozen=True)
class Tokenized:
    """Token ids of texts, and which of the texts were cut."""

    ids: RaggedIds
    cut: list[int]


class Tokenizer:
    """A tokenizer.json, cut at `max_length` tokens (special ones included), without padding.

    `content` is what the file holds where it cannot be read by its path.

    Set up once and not changed after, so that threads can share it.
    """

    def __init__(
        self,
        file: Path,
        max_length: int,
        *,
        content: bytes | None = None,
        lower_case: bool = False,
        truncation_side: str = "right",
    ) -> None:
        import tokenizers

        if content is None and not file.is_file():
            raise BundleError(f"{file.parent}: {file.name} is missing")
        with foreign(BundleError, f"{file}: cannot be used as a tokenizer"), without_panic_messages():
            backend: Any = (
                tokenizers.Tokenizer.from_file(str(file))
                if content is None
                else tokenizers.Tokenizer.from_buffer(content)
            )
            self._padding_id = (backend.padding or {}).get("pad_id")
            self.own_limit = (backend.truncation or {}).get("max_length")  # tokens, where the file names a limit
            backend.no_padding()
            backend.encode_batch_fast(_TRIAL)  # some that load cannot encode
        if lower_case:
            lower_cased(backend)
        self._backend = backend
        self._file = file
        self._side = truncation_side
        self._whole_backend: Any = None
        self.cut_at(max_length)

    @classmethod
    def copy_of(cls, backend: Any, max_length: int, *, truncation_side: str = "right") -> Tokenizer:
        """Return a copy of a `tokenizers.Tokenizer`, which whoever else holds it may go on changing."""
        made = cls.__new__(cls)
        made._backend = type(backend).from_str(backend.to_str())
        made._backend.no_padding()
        made._padding_id, made.own_limit, made._file = None, None, Path("tokenizer.json")
        made._side = truncation_side
        made._whole_backend = None
        made.cut_at(max_length)
        return made

    def copied(self, max_length: int) -> Tokenizer:
        """Return a copy of this tokenizer that cuts at another length, on the same side."""
        return self.copy_of(self._backend, max_length, truncation_side=self._side)

    def cut_at(self, max_length: int) -> None:
        """Set the number of tokens that longer text is cut to; not for a tokenizer that is in use."""
        self._kept = max_length
        with foreign(BundleError, f"{self._file}: cannot cut at {max_length} tokens"), without_panic_messages():
            self._backend.enable_truncation(max_length, direction=self._side)
            self._backend.encode_batch_fast(_TRIAL)
            self._places = places_of(self._backend) if self._side == "right" else None
            self._endless = endless_words(self._backend) if self._places else None
        self._long = max(SHORTEST, 4 * first_attempt(max_length)) if self._places else None  # characters

    def pad_id(self, token: object = None) -> int | None:
        """Return the padding token's id: what the file says of padding, else the id of `token` or of a usual one."""
        if self._padding_id is not None:
            return int(self._padding_id)
        if isinstance(token, dict):  # how older releases of transformers write a token
            token = token.get("content")
        named = (name for name in (token, "[PAD]", "<pad>") if isinstance(name, str))
        ids = (self._backend.token_to_id(name) for name in named)
        return next((int(i) for i in ids if i is not None), None)

    def knows(self, number: int) -> bool:
        """Return whether there is a token of that id."""
        return self._backend.id_to_token(number) is not None

    def ids(self, texts: Sequence[str], prompt: str = "") -> RaggedIds:
        """Return the token ids of each text behind `prompt`, special tokens included.

        A lone surrogate counts as U+FFFD.
        """
        return self.told_ids(texts, prompt).ids

    def told_ids(self, texts: Sequence[str], prompt: str = "") -> Tokenized:
        """Return the same, and which texts were cut."""
        cut: list[int] = []
        done = 0

        def rows(block: Sequence[str]) -> list[list[int]]:
            nonlocal done
            found = self._encode([prompt + text for text in block] if prompt else block)
            ids = [encoding.ids for encoding in found]
            full = [i for i, row in enumerate(ids) if len(row) >= self._kept]
            cut.extend(done + i for i in full if found[i].overflowing or self._was_shortened(prompt, block[i]))
            done += len(block)
            return ids

        return Tokenized(RaggedIds.from_blocks(rows(block) for block in chunks(texts, BLOCK)), cut)

    def windows(self, texts: Sequence[str], prompt: str = "", length: int | None = None) -> Windows:
        """Return each text behind `prompt` in windows of `length` tokens (as many as are kept), the prompt in each.

        A text of that many tokens or fewer is one window, with the ids that it has in `ids`. Raises ConfigError for a
        prompt that leaves no room.
        """
        whole, kept = self._uncut(), length or self._kept
        special = whole.encode(prompt + "a").special_tokens_mask
        lead, tail = (mask.index(0) if 0 in mask else 0 for mask in (special, special[::-1]))
        lead = max(lead, self.prompt_length(prompt))
        if lead + tail >= kept:
            raise ConfigError(f"prompt {prompt!r}: leaves no room for a text among {kept} tokens")
        rows: list[list[int]] = []
        for block in chunks(texts, BLOCK):
            found = self._run(whole, [prompt + text for text in block] if prompt else block)
            rows += [encoding.ids for encoding in found]
        return windows_of(rows, lead, tail, kept)

    def _uncut(self) -> Any:
        """Return a copy that cuts nothing."""
        if self._whole_backend is None:
            backend = type(self._backend).from_str(self._backend.to_str())
            backend.no_truncation()
            self._whole_backend = backend
        return self._whole_backend

    def _was_shortened(self, prompt: str, text: str) -> bool:
        """Return whether only the beginning of a text was tokenised, so that nobody saw what overflows."""
        return self._long is not None and len(prompt) + len(text) > self._long

    def ids_of(self, text: str) -> list[int]:
        """Return the token ids of one text, as `ids` does."""
        return self.told_ids_of(text)[0]

    def told_ids_of(self, text: str) -> tuple[list[int], bool]:
        """Return the token ids of one text, and whether it was cut."""
        found = self._encode([text])[0]
        ids: list[int] = found.ids
        return ids, len(ids) >= self._kept and bool(found.overflowing or self._was_shortened("", text))

    def pieces(self, texts: Sequence[str], *, special: bool = True) -> list[list[Piece]]:
        """Return the tokens of each text with where they come from, special ones included unless told not to be."""
        whole = [replace_surrogates(text) for text in texts]
        with foreign(BundleError, f"{self._file}: a text cannot be tokenised"):
            found = self._backend.encode_batch(whole, add_special_tokens=special)
        return [
            [
                Piece(number, token if added else text[start:stop], bool(added), start, stop)
                for number, token, added, (start, stop) in zip(
                    one.ids, one.tokens, one.special_tokens_mask, one.offsets, strict=True
                )
            ]
            for one, text in zip(found, whole, strict=True)
        ]

    def prompt_length(self, prompt: str) -> int:
        """Return how many tokens a prompt takes at the start of a text: a special token at its end is not its own."""
        tokens = self.ids_of(prompt) if prompt else []
        special = {number for number, token in self._backend.get_added_tokens_decoder().items() if token.special}
        return len(tokens) - (tokens[-1] in special) if tokens else 0

    def _shortened(self, text: str) -> str:
        """Return a beginning of a long text that gives the same ids, or the whole where none is known to."""
        assert self._places is not None
        characters = first_attempt(self._kept)
        while (begun := beginning(text, characters, self._places)) is not None:
            part = shortened_words(begun, self._endless)
            if len(self._whole([part])[0].ids) >= self._kept:
                return part
            characters = 4 * len(begun)
        return shortened_words(text, self._endless)

    def _encode(self, block: Sequence[str]) -> Any:
        if self._long is not None and max(map(len, block), default=0) > self._long:
            block = [self._shortened(text) if len(text) > self._long else text for text in block]
        return self._whole(block)

    def _whole(self, block: Sequence[str]) -> Any:
        return self._run(self._backend, block)

    def _run(self, backend: Any, block: Sequence[str]) -> Any:
        with foreign(BundleError, f"{self._file}: a text cannot be tokenised"):
            try:
                return backend.encode_batch_fast(block)
            except TypeError:  # a lone surrogate has no UTF-8; looking for one in every text would cost all the others
                return backend.encode_batch_fast([replace_surrogates(text) for text in block])
