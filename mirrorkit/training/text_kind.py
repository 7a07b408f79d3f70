"""Whether a corpus is of words or of sentences, in any script."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from mirrorkit.errors import ConfigError
from mirrorkit.text.scripts import is_ended, is_unspaced, words_in

_SAMPLE = 10_000  # strings that are looked at
_MOST = 3.0  # words that the middle string of a corpus of words and short phrases has at the most
_UNSURE = 4.5  # words up to which this cannot be told where they are judged by characters alone


@dataclass(frozen=True)
class TextKind:
    words: bool  # words and short phrases, else sentences and longer
    why: str  # for people


def kind_of(texts: Sequence[str]) -> TextKind:
    """Return what most strings of a corpus are.

    Words are counted where blanks part them, and judged by the number of characters in scripts that set none. Raises
    ConfigError where that leaves it open.
    """
    sample = texts[:: max(1, len(texts) // _SAMPLE)]
    middle = statistics.median(map(words_in, sample))
    ended = sum(map(is_ended, sample)) / len(sample)
    judged = 2 * sum(map(is_unspaced, sample)) > len(sample)
    about = f"the middle string has {'about ' * judged}{middle:.3g} word{'s' * (middle != 1)}"
    if ended >= 0.5 and middle > _MOST / 2:
        return TextKind(words=False, why=f"sentences: {about}, and {ended:.0%} end as sentences do")
    if judged and _MOST < middle <= _UNSURE:
        raise ConfigError(
            f"recipe auto: cannot tell words from sentences ({about}, in a script without blanks between words); give "
            "`recipe=auto-words` or `recipe=auto-sentences`"
        )
    if middle <= _MOST:
        return TextKind(words=True, why=f"words: {about}")
    return TextKind(words=False, why=f"sentences: {about}")
