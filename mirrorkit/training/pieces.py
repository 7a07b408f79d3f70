"""Pieces of a document: two crops that do not overlap, two of its sentences, or a few words to ask for it with."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from mirrorkit.text.scripts import DENSITY, is_ideographic, is_unspaced
from mirrorkit.text.sentences import sentences

_PROBE = 2_000  # characters of a document that tell how it is written
_NEARBY = 40  # characters: a run of more without a space may be cut inside
_SHORTEST_SENTENCE = 20  # characters: shorter ones ("Yes.", "See Fig. 3.") say nothing of their document
_MOST_SENTENCES = 8_000  # characters of a document that are split into sentences
_PHRASE = 4  # words
_UNSPACED_PHRASE = 8  # characters, where no blanks part words: about as much
_JOINER = "\u200d"


def crop_range(text: str, shortest: int, longest: int) -> tuple[int, int]:
    """Return the range of a crop's characters in this text: a third of it where the writing is Chinese or Japanese."""
    probe = text[:_PROBE]
    if is_ideographic(probe):
        return max(1, shortest // DENSITY), max(1, longest // DENSITY)
    return shortest, longest


def has_two_crops(text: str, shortest: int, longest: int) -> bool:
    """Tell whether the text is long enough for two crops."""
    if len(text) <= 2 * max(1, shortest // DENSITY):
        return False
    return len(text) > 2 * shortest or len(text) > 2 * crop_range(text, shortest, longest)[0]


def two_crops(text: str, shortest: int, longest: int, draws: Sequence[float]) -> tuple[str, str] | None:
    """Return two pieces of `text`, in random order, that do not overlap; None where there is no room for them.

    Each has `shortest` to `longest` characters and begins and ends between words; where a script sets no spaces, it
    is cut between any two characters that a reader would tell apart. `draws` are five numbers in [0, 1): the lengths,
    the places and the order. White space is folded beforehand.
    """
    if not has_two_crops(text, shortest, longest):
        return None
    low, high = crop_range(text, shortest, longest)
    room = len(text) - 1  # one character stays between them
    first = min(low + int(draws[0] * (high - low + 1)), room - low)
    second = min(low + int(draws[1] * (high - low + 1)), room - first)
    slack = room - first - second
    near, far = sorted(int(draw * (slack + 1)) for draw in draws[2:4])
    found = _cut(text, low, high, (near, near + first, far + first + 1, far + first + 1 + second))
    if found is None:  # in the little slack of this draw no word ended where it had to; from end to end one may
        found = _cut(text, low, high, (0, first, len(text) - second, len(text)))
    if found is None:
        return None
    return found if draws[4] < 0.5 else (found[1], found[0])


def _cut(text: str, low: int, high: int, wanted: tuple[int, int, int, int]) -> tuple[str, str] | None:
    """Cut both pieces near the wanted places, from left to right, keeping to the lengths."""
    start = _border(text, 0, wanted[0], wanted[0], begins=True)
    if start is None:
        return None
    stop = _border(text, start + low, min(start + high, len(text) - low - 1), wanted[1], begins=False)
    if stop is None:
        return None
    start2 = _border(text, stop, len(text) - low, wanted[2], begins=True)
    if start2 is None:
        return None
    stop2 = _border(text, start2 + low, min(start2 + high, len(text)), wanted[3], begins=False)
    return None if stop2 is None else (text[start:stop], text[start2:stop2])


def _border(text: str, low: int, high: int, wanted: int, *, begins: bool) -> int | None:
    """Return the place in [low, high] nearest to `wanted` where a piece may begin, or end; None if there is none."""
    if low > high:
        return None
    wanted = min(max(wanted, low), high)
    if (begins and wanted == 0) or (not begins and wanted == len(text)):
        return wanted
    shift = 1 if begins else 0  # a piece begins after a space and ends before one
    before = text.rfind(" ", max(0, low - shift), wanted - shift + 1)
    after = text.find(" ", max(0, wanted - shift), high - shift + 1)
    places = [place + shift for place in (before, after) if place >= 0]
    if begins and low == 0:
        places.append(0)
    if not begins and high == len(text):
        places.append(high)
    near = [place for place in places if abs(place - wanted) <= _NEARBY]
    if near:
        return min(near, key=lambda place: abs(place - wanted))
    if text.find(" ", max(0, wanted - _NEARBY), wanted + _NEARBY) < 0:  # a long run: no word stands here to be broken
        return _between_characters(text, low, high, wanted)
    return min(places, key=lambda place: abs(place - wanted), default=None)


def _between_characters(text: str, low: int, high: int, wanted: int) -> int | None:
    """Return the first place from `wanted` on, or else before it, that does not part a character from its marks."""
    places = [*range(wanted, min(high, wanted + _NEARBY) + 1), *range(wanted - 1, max(low, wanted - _NEARBY) - 1, -1)]
    return next((place for place in places if _may_cut(text, place)), None)


def _may_cut(text: str, place: int) -> bool:
    if not 0 < place < len(text):
        return True
    return not (unicodedata.category(text[place]) in ("Mn", "Mc", "Me", "Cf", "Sk") or text[place - 1] == _JOINER)


def has_two_sentences(text: str) -> bool:
    """Tell whether the text has two different sentences that say something."""
    return two_sentences(text, (0.0, 0.0)) is not None


def two_sentences(text: str, draws: Sequence[float]) -> tuple[str, str] | None:
    """Return two different sentences of `text`, drawn by two numbers in [0, 1); None where it has not two."""
    shortest = _SHORTEST_SENTENCE // (DENSITY if is_ideographic(text[:_PROBE]) else 1)
    found = list(dict.fromkeys(s for s in sentences(text[:_MOST_SENTENCES]) if len(s) >= shortest))
    if len(found) < 2:
        return None
    one = int(draws[0] * len(found))
    other = int(draws[1] * (len(found) - 1))
    return found[one], found[other + (other >= one)]


def beginning(text: str, longest: int) -> str:
    """Return what `text` begins with, up to `longest` characters (a third in Chinese or Japanese), in whole words."""
    longest = crop_range(text, longest, longest)[1]
    if len(text) <= longest:
        return text
    stop = _border(text, longest // 2, longest, longest, begins=False)
    return text[: longest if stop is None else stop]


def phrase(text: str, draw: float) -> str:
    """Return four words of `text` that follow one another, from a place drawn by a number in [0, 1).

    Where no blanks part the words, eight characters; of a text that is shorter, all of it.

    >>> phrase("the quick brown fox jumps over the lazy dog", 0.5)
    'brown fox jumps over'
    """
    if is_unspaced(text):
        places = [place for place in range(len(text)) if _may_cut(text, place)]
        first = int(draw * max(1, len(places) - _UNSPACED_PHRASE + 1))
        stop = first + _UNSPACED_PHRASE
        return text[places[first] : places[stop] if stop < len(places) else len(text)]
    words = text.split()
    first = int(draw * max(1, len(words) - _PHRASE + 1))
    return " ".join(words[first : first + _PHRASE])
