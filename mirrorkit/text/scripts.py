"""Scripts that set no blanks between words: which they are, and how many words a text of any script has."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

# Han and kana, of which one character says about as much as three letters of an alphabet.
IDEOGRAPHS = "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff"
DENSITY = 3


@dataclass(frozen=True)
class _Script:
    name: str
    characters: re.Pattern[str]
    per_word: float  # characters of a word in running text, marks above and below not counted


_UNSPACED = (
    _Script("Han", re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"), 1.7),
    _Script("kana", re.compile("[\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9d]"), 2.5),
    _Script("Thai", re.compile("[\u0e01-\u0e4f]"), 3.6),
    _Script("Lao", re.compile("[\u0e81-\u0ece]"), 3.6),
    _Script("Khmer", re.compile("[\u1780-\u17d3]"), 3.2),
    _Script("Burmese", re.compile("[\u1000-\u1049]"), 3.0),
)
_ANY_UNSPACED = re.compile(f"[{IDEOGRAPHS}\u0e01-\u0e4f\u0e81-\u0ece\u1780-\u17d3\u1000-\u1049\u0f40-\u0fbc]")
_IDEOGRAPH = re.compile(f"[{IDEOGRAPHS}]")
# Tibetan parts syllables by a dot, Vietnamese by a blank.
_TIBETAN = re.compile("[\u0f40-\u0fbc]+")
_VIETNAMESE = re.compile("[\u0103\u0111\u01a1\u01b0\u0102\u0110\u01a0\u01af\u1ea0-\u1ef9]")
_SYLLABLES = 1.7  # of a word in either
# Not the shad of Tibetan, which ends names too.
_END = re.compile(r"[.!?…。！？।॥؟۔။។᠃][\"'”’»)\]」』]*\s*$")


def words_in(text: str) -> float:
    """Return how many words a text has: counted where blanks part them, else judged by its characters."""
    if text.isascii():
        return float(len(text.split()))
    words = 0.0
    rest = text
    for script in _UNSPACED:
        found = script.characters.findall(rest)
        if found:
            words += sum(unicodedata.category(one) != "Mn" for one in found) / script.per_word
            rest = script.characters.sub(" ", rest)
    words += len(_TIBETAN.findall(rest)) / _SYLLABLES
    rest = _TIBETAN.sub(" ", rest)
    spaced = sum(any(map(str.isalnum, part)) for part in rest.split())
    return words + (spaced / _SYLLABLES if _VIETNAMESE.search(unicodedata.normalize("NFC", rest)) else spaced)


def is_unspaced(text: str) -> bool:
    """Tell whether most letters of a text are of scripts without blanks between words."""
    if text.isascii():
        return False
    return 2 * len(_ANY_UNSPACED.findall(text)) > sum(not one.isspace() for one in text)


def is_ideographic(text: str) -> bool:
    """Tell whether most of a text is Han and kana."""
    return not text.isascii() and 2 * len(_IDEOGRAPH.findall(text)) > len(text)


def is_ended(text: str) -> bool:
    """Tell whether a text ends as a sentence does, in any script."""
    return _END.search(text) is not None
