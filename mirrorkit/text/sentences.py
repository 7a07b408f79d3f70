"""Split running text into sentences.

By `sentencex` (Wikimedia; MIT): rules for some 300 languages, abbreviations, decimals, quotations, the full stops of
every script, 30 MB a second, one wheel of 1.2 MB that needs nothing else. Rules of our own would have to repeat its
lists; pysbd is a thousand times slower and, like blingfire (42 MB), has had no release since 2021.
"""

from __future__ import annotations

from collections.abc import Iterator

from mirrorkit.extras import require

_BLOCK = 8_192  # characters at once: sentencex takes quadratic time over text full of the marks below
_SMALL = 1_024  # where one character in eight is such a mark, which is no running text
_MARKS = "“‘«‹「『。！？"
_ENDS = ("\n", ". ", "? ", "! ", "。", "！", "？", "। ")  # where such text may be cut


def sentences(text: str, language: str = "en") -> list[str]:
    """Return the sentences of `text` in their order, white space folded, none empty.

    `language` is an ISO code and decides about abbreviations and ordinals alone; a script's own full stops end a
    sentence in any language. Thai has none: a text without them is one sentence.
    """
    segment = require("sentencex", extra="train").segment
    found = (" ".join(part.split()) for block in _blocks(text) for part in segment(language, block))
    return [sentence for sentence in found if sentence]


def _blocks(text: str) -> Iterator[str]:
    """Yield the text in pieces that sentencex splits in time that is linear in the length of the text."""
    for block in _cut(text, _BLOCK):
        if not block.isascii() and sum(map(block.count, _MARKS)) > _SMALL:
            yield from _cut(block, _SMALL)
        else:
            yield block


def _cut(text: str, size: int) -> Iterator[str]:
    """Yield the text in pieces of so many characters, cut where a sentence ends, or between words, or anywhere."""
    start = 0
    while len(text) - start > size:
        stop = start + size
        ends = max(text.rfind(end, start, stop) + len(end) for end in _ENDS)
        cut = ends if ends > start + 1 else text.rfind(" ", start, stop) + 1
        stop = cut if cut > start else stop
        yield text[start:stop]
        start = stop
    yield text[start:]
