"""Tokenise the beginning of a very long text alone, where that provably gives the ids of the whole, cut.

What is put before the tokenizer must end between a letter or digit and a space; BERT's pre-tokenizer, for which every
punctuation mark is a word of its own, may also stop before some of those. No step of the tokenizers accepted here looks
across such a place: normalisation never joins what follows to what precedes it; each pre-tokenizer ends a word there;
and the models see one word at a time. So the ids of the beginning are the first ids of the whole, and when there are as
many as are kept, the rest of the text could change none of them. Where no normaliser does more than BERT's own, every
punctuation mark will do on either side, and between two of 101 Chinese characters in a row, which are a word each or
one that is too long, a text may end as well.

Of a word that WordPiece gives up as too long it makes one token, whatever else stands in that word: of such a one the
end is left out. So a text of one endless word is short too. Tokenised whole, a megabyte takes seconds and half a
gigabyte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

_MARKS = ",;!?、。，！？；"  # that no normalisation joins to a letter, and that change the case of none
BEFORE_SPACES = re.compile(r"[^\W_](?= )")  # a letter or digit
BEFORE_MARKS = re.compile(rf"[^\W_](?=[ \t\n{_MARKS}])")
# Of these no normaliser of `_PLAIN` makes or takes anything, and BERT's pre-tokenizer takes all for punctuation. The
# underscore is left out: an added token that is to be a word of its own is none before it.
_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^`{|}~“”‘’«»–—、。，！？；：「」『』（）"
_PLAIN = {"BertNormalizer", "Lowercase", "NFC", "NFD", "Strip", "StripAccents"}
_TOO_LONG = 100  # letters of the longest word that WordPiece looks at, as everybody sets it
_HAN = f"[\u4e00-\u9fff]{{{_TOO_LONG + 1}}}"
# Letters that have been such in every Unicode since 5.1, stay at least one letter each in every normal form and are no
# words of their own; and marks above, below and beside them.
_LETTERS = (
    "A-Za-z0-9\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0410-\u044f\u05d0-\u05ea\u0621-\u063a\u0641-\u064a"
    "\u0e01-\u0e2e\u3041-\u3096\u30a1-\u30fa\uac00-\ud7a3"
)
_MARKED = "\u0300-\u034e\u064b-\u0652\u0e30-\u0e3a\u0e40-\u0e45\u0e47-\u0e4e"
_ENDLESS = re.compile(f"((?:[{_LETTERS}][{_MARKED}]*){{{_TOO_LONG + 1}}})[{_LETTERS}{_MARKED}]+")
_CHARACTERS = 16  # for each token that is kept, in the first attempt; words are shorter
SHORTEST = 16_384  # characters; below that a text is tokenised whole

_LOCAL = {
    "BertNormalizer",
    "ByteLevel",
    "Lowercase",
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "Nmt",
    "Precompiled",
    "Prepend",
    "Strip",
    "StripAccents",
}
_ENDING_WORDS = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}
_WITHIN_WORDS = {"Digits", "Punctuation", "UnicodeScripts"}


def places_of(backend: Any) -> re.Pattern[str] | None:
    """Return where a beginning may end; None for a tokenizer whose steps are not known to be as said above."""
    added = [token.content for token in backend.get_added_tokens_decoder().values()]
    if any(re.search(r"\s", token) for token in added):
        return None
    normalizer, pre_tokenizer = _state(backend.normalizer), _state(backend.pre_tokenizer)
    if not (normalizer is None or _is_local(normalizer)) or pre_tokenizer is None or not _ends_words(pre_tokenizer):
        return None
    if pre_tokenizer.get("type") != "BertPreTokenizer":
        return BEFORE_SPACES
    inside = set("".join(added))
    if _is_plain(normalizer):
        marks = "".join(mark for mark in _PUNCTUATION if mark not in inside)
        return _between_words(marks, han=_gives_up(backend, added))
    return BEFORE_SPACES if inside & set(_MARKS) else BEFORE_MARKS


def endless_words(backend: Any) -> re.Pattern[str] | None:
    """Return what finds a word that is one token however it goes on, its group being as much as is needed of it.

    None for a tokenizer of which that is not known. An added token that begins or ends with a letter could be found in
    the rest of such a word.
    """
    added = [token.content for token in backend.get_added_tokens_decoder().values()]
    normalizer, pre_tokenizer = _state(backend.normalizer), _state(backend.pre_tokenizer)
    bert = pre_tokenizer is not None and pre_tokenizer.get("type") == "BertPreTokenizer"
    return _ENDLESS if bert and _is_plain(normalizer) and _gives_up(backend, added) else None


def shortened_words(text: str, endless: re.Pattern[str] | None) -> str:
    """Return a text without the rest of each word of which the rest does not matter."""
    return endless.sub(r"\1", text) if endless else text


@cache
def _between_words(marks: str, *, han: bool) -> re.Pattern[str]:
    mark = re.escape(marks)
    return re.compile(rf"(?:[^\W_]|[{mark}])(?=[ \t\n{mark}])" + (f"|{_HAN}" if han else ""))


def _gives_up(backend: Any, added: Sequence[str]) -> bool:
    """Tell whether the model makes one token of a word that is too long, and no added token can begin or end in one."""
    model = backend.model
    if type(model).__name__ != "WordPiece" or model.max_input_chars_per_word > _TOO_LONG:
        return False
    return not any(not token or token[0].isalnum() or token[-1].isalnum() or len(token) > _TOO_LONG for token in added)


def _is_plain(normalizer: dict[str, Any] | None) -> bool:
    """Tell whether a normaliser neither makes blanks or marks nor takes any, and looks at letters one by one."""
    if normalizer is None:
        return True
    if normalizer.get("type") == "Sequence":
        return all(_is_plain(part) for part in normalizer["normalizers"])
    return normalizer.get("type") in _PLAIN


def beginning(text: str, characters: int, places: re.Pattern[str]) -> str | None:
    """Return the shortest beginning of at least so many characters that ends in such a place; None: there is none."""
    found = places.search(text, max(characters - 1, 0))
    return text[: found.end()] if found and found.end() < len(text) else None


def first_attempt(tokens: int) -> int:
    """Return how many characters probably hold as many tokens."""
    return max(_CHARACTERS * tokens, 1024)


def _state(step: Any) -> dict[str, Any] | None:
    if step is None:
        return None
    value = json.loads(step.__getstate__())
    return value if isinstance(value, dict) else {}


def _is_local(step: dict[str, Any]) -> bool:
    kind = step.get("type")
    if kind == "Sequence":
        return all(_is_local(part) for part in step["normalizers"])
    if kind == "Replace":
        pattern = step.get("pattern", {})
        return pattern.get("Regex") == " {2,}" or len(pattern.get("String", "  ")) == 1
    return kind in _LOCAL


def _ends_words(step: dict[str, Any]) -> bool:
    """Return whether a pre-tokenizer ends a word before every space that follows a letter or digit."""
    kind = step.get("type")
    if kind == "Sequence":
        parts = step["pretokenizers"]
        known = all(_ends_words(part) or part.get("type") in _WITHIN_WORDS for part in parts)
        return known and any(_ends_words(part) for part in parts)
    if kind == "Metaspace":
        return step.get("split", True) is True
    if kind == "ByteLevel":
        return step.get("use_regex", True) is True
    return kind in _ENDING_WORDS
