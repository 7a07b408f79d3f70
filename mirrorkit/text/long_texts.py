"""Tokenise the beginning of a very long text alone, where that provably gives the ids of the whole, cut.

What is put before the tokenizer must end between a letter or digit and a space; BERT's pre-tokenizer, for which every
punctuation mark is a word of its own, may also stop before some of those. No step of the tokenizers accepted here looks
across such a place: normalisation never joins what follows to what precedes it; each pre-tokenizer ends a word there;
and the models see one word at a time. So the ids of the beginning are the first ids of the whole, and when there are as
many as are kept, the rest of the text could change none of them.
"""

from __future__ import annotations

import json
import re
from typing import Any

_MARKS = ",;!?、。，！？；"  # that no normalisation joins to a letter, and that change the case of none
BEFORE_SPACES = re.compile(r"[^\W_](?= )")  # a letter or digit
BEFORE_MARKS = re.compile(rf"[^\W_](?=[ \t\n{_MARKS}])")
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
    marks = pre_tokenizer.get("type") == "BertPreTokenizer" and not any(set(token) & set(_MARKS) for token in added)
    return BEFORE_MARKS if marks else BEFORE_SPACES


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
