"""The texts of the race: sentences of the STS sets, and texts of one kind or length made of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers import quality
from mirrorkit.errors import ConfigError
from mirrorkit.evaluation.pairs import GradedPairs
from mirrorkit.formats.bundle import read_bundle
from mirrorkit.runtime.opening import tokenizer_of


def mixed_texts(sets: Sequence[GradedPairs], count: int) -> list[str]:
    """Return sentences drawn evenly from the sets."""
    sentences = quality.distinct(sets)
    step = max(1, len(sentences) // count)
    return sentences[::step][:count]


def shaped_texts(kinds: str, bundle: Path, texts: Sequence[str], count: int) -> dict[str, list[str]]:
    """Return `count` texts of each kind: short ones of many lengths, STS sentences, or of so many tokens each."""
    names = [] if kinds == "none" else kinds.split(",")
    found: dict[str, list[str]] = {}
    for name in names:
        if name == "short":
            found[name] = sorted(texts, key=len)[: max(count, len(texts) // 3)][:: max(1, len(texts) // 3 // count)][
                :count
            ]
        elif name == "sts":
            found[name] = list(texts[:: max(1, len(texts) // count)][:count])
        elif name.isdecimal() and int(name) > 2:
            found[name] = _of_length(int(name), bundle, texts, count)
        else:
            raise ConfigError(f"shapes {name!r}: must be short, sts or a number of tokens")
    return found


def _of_length(tokens: int, bundle: Path, texts: Sequence[str], count: int) -> list[str]:
    """Return texts of about so many tokens, special ones included, made of sentences one after another."""
    tokenizer, whole = tokenizer_of(read_bundle(bundle), 1 << 20), " ".join(texts).split()
    share = len(whole) / tokenizer.ids([" ".join(whole)]).lengths[0]
    words = max(1, int((tokens - 2) * share))
    starts = [i * len(whole) // count for i in range(count)]
    return [" ".join((whole * 2)[start : start + words]) for start in starts]


def whole_numbers(text: str) -> list[int]:
    """Return the numbers between commas; raises ConfigError."""
    if not all(part.isdecimal() and int(part) for part in text.split(",")):
        raise ConfigError(f"batches {text!r}: must be whole numbers of at least 1, with commas between them")
    return [int(part) for part in text.split(",")]
