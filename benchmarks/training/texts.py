"""The strings that the studies of training are made of."""

from __future__ import annotations

import random
import re
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import record as files
from benchmarks.training.runs import DEFAULT_CORPUS
from mirrorkit.assets.documents import document_sentences
from mirrorkit.errors import ConfigError
from mirrorkit.training.corpus import load_corpus

_BETWEEN = re.compile(r"(?<=[.?!]) +(?=[A-Z])")
PLAIN = files.SHARED / "data" / "corpora" / "plain_en.txt"


@dataclass(frozen=True)
class Strings:
    """Distinct strings and how they came about."""

    texts: list[str]
    name: str
    paired: int = 0  # how many of them are two distinct strings joined, for want of more

    def about(self) -> dict[str, Any]:
        """Return what a record says of them."""
        words = statistics.fmean(len(text.split()) for text in self.texts)
        return {"name": self.name, "strings": len(self.texts), "paired": self.paired, "mean_words": round(words, 1)}


def gather(asked: Path | None, *, large: bool) -> Strings:
    """Return the distinct strings at hand: of the file asked for, else those beside the checkout, else the demo's."""
    if asked is not None:
        return Strings(list(load_corpus(asked).texts), asked.name)
    there = [file for file in ((DEFAULT_CORPUS, PLAIN) if large else (DEFAULT_CORPUS,)) if file.is_file()]
    if not there:
        print(f"{DEFAULT_CORPUS} is not there: measuring on the demo corpus", file=sys.stderr)
        return Strings(list(dict.fromkeys(document_sentences())), "demo corpus")
    lines = {file: load_corpus(file).texts for file in there}
    if PLAIN in lines:
        lines[PLAIN] = [text for line in lines[PLAIN] for text in sentences(line)]
    texts = dict.fromkeys(text for found in lines.values() for text in found)
    return Strings(list(texts), " and ".join(file.name for file in there))


def sentences(line: str) -> list[str]:
    """Return the sentences of a line that have at least 4 words, or the line itself where none has."""
    return [part for part in _BETWEEN.split(line) if len(part.split()) >= 4] or [line]


def grow(strings: Strings, count: int, seed: int) -> Strings:
    """Return `count` of the strings in seeded order; where there are fewer, the rest are pairs of the shorter half."""
    rng = random.Random(seed)
    texts = list(strings.texts)
    distinct = len(texts)
    shorter = sorted(texts, key=lambda text: (len(text), text))[: (distinct + 1) // 2]
    if count > distinct + len(shorter) * (len(shorter) - 1) // 2:
        raise ConfigError(f"{strings.name}: {distinct} distinct strings are too few to make {count} of")
    known = set(texts)
    while len(texts) < count:
        first, second = rng.sample(shorter, 2)
        joined = f"{first} {second}"
        if joined not in known:
            known.add(joined)
            texts.append(joined)
    paired = len(texts) - distinct
    if paired:
        print(f"{strings.name}: {distinct} distinct strings, and {paired} made by joining two of them", file=sys.stderr)
    rng.shuffle(texts)
    return Strings(texts[:count], strings.name, max(0, paired))


def lengthen(texts: Sequence[str], words: int, count: int, seed: int) -> list[str]:
    """Return `count` strings of at least so many words, made by joining strings drawn in seeded order."""
    if len(texts) < count:
        raise ConfigError(f"{len(texts)} distinct strings are too few to make {count} long ones of")
    rng = random.Random(seed)
    made: dict[str, None] = {}
    while len(made) < count:
        parts: list[str] = []
        while sum(len(part.split()) for part in parts) < words:
            parts.append(rng.choice(texts))
        made[" ".join(parts)] = None
    return list(made)


def write(texts: Sequence[str], file: Path) -> Path:
    """Write one string a line."""
    file.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return file
