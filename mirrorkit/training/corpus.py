"""The strings to train on: cleaned, counted, without repeats, sampled in bounded memory."""

from __future__ import annotations

import hashlib
import heapq
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.paths import local_path
from mirrorkit.readers import Record, Source

log = logging.getLogger(__name__)

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can spell them, but they are no characters


@dataclass(frozen=True)
class Corpus:
    """Strings, or pairs of strings that mean the same, and what is known of where they came from."""

    texts: list[str]
    partners: list[str] | None  # the known positive of each text; None: its own altered copy is the positive
    name: str
    sha256: str  # of the file's bytes, or of the strings where there was no file
    size: int  # of the file, in bytes
    rows: int  # read, before anything was left out
    blank: int
    repeats: int

    def __len__(self) -> int:
        return len(self.texts)


@dataclass
class _Counts:
    rows: int = 0
    blank: int = 0


def load_corpus(
    corpus: str | Path | Sequence[str],
    *,
    pairs: bool = False,
    text_column: str | None = None,
    limit: int | None = None,
    keep_repeats: bool = False,
    seed: int = 42,
) -> Corpus:
    """Read a file (`-` is standard input) or take strings that are already in memory.

    White space is folded, blank rows are skipped and counted, repeated rows dropped unless `keep_repeats`. `limit`
    keeps that many rows, drawn evenly from the whole file in memory that grows with `limit` alone. `text_column` is a
    column's name or 1-based number, two of them with a comma for `pairs`.

    Raises CorpusError, naming file and line, for what cannot be read and for fewer than 2 distinct strings.
    """
    if limit is not None and limit < 2:
        raise ConfigError(f"limit {limit}: must be at least 2")
    width = 2 if pairs else 1
    columns = [c.strip() for c in text_column.split(",")] if text_column else None
    if columns and len(columns) != width:
        raise ConfigError(f"text_column {text_column!r}: must name {width} column{'s' * pairs}")
    counts = _Counts()
    if isinstance(corpus, (str, Path)):
        source = Source(str(local_path(corpus)) if corpus != "-" else "-", columns, width)
        rows = source.records()
    else:
        source = Source("strings", None, width)
        rows = _from_memory(corpus, source)
    cleaned = _clean(rows, counts)
    kept, repeats = _sample(cleaned, limit, keep_repeats, seed) if limit else _distinct(cleaned, keep_repeats)
    distinct = len(set(kept))
    if distinct < 2:
        raise CorpusError(f"{source.name}: {distinct or 'no'} usable string; training needs at least 2 distinct ones")
    name = source.name if isinstance(corpus, (str, Path)) else "strings in memory"
    texts = [row[0] for row in kept]
    partners = [row[1] for row in kept] if pairs else None
    return Corpus(texts, partners, name, source.sha256, source.size, counts.rows, counts.blank, repeats)


def _from_memory(texts: Sequence[str], source: Source) -> Iterator[Record]:
    if source.width == 2:
        raise ConfigError("pairs are read from a file of two columns or of a||b lines")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"corpus[{index}] is {type(text).__name__}, not str")
        source.feed(text.encode("utf-8", "surrogatepass") + b"\n")
        yield (text,)


def _clean(rows: Iterable[Record], counts: _Counts) -> Iterator[Record]:
    for row in rows:
        counts.rows += 1
        folded = tuple(" ".join(_LONE_SURROGATE.sub("\ufffd", text).split()) for text in row)
        if all(folded):
            yield folded
        else:
            counts.blank += 1


def _distinct(rows: Iterable[Record], keep_repeats: bool) -> tuple[list[Record], int]:
    everything = list(rows)
    if keep_repeats:
        return everything, 0
    distinct = list(dict.fromkeys(everything))
    return distinct, len(everything) - len(distinct)


def _sample(rows: Iterable[Record], limit: int, keep_repeats: bool, seed: int) -> tuple[list[Record], int]:
    """Keep the `limit` rows with the smallest seeded hashes: an even sample, and equal rows meet in one place.

    Unlike a reservoir of random draws this drops repeats without remembering every row that went by. Only the
    repeats of rows that are in the sample at the time are counted.
    """
    salt = seed.to_bytes(8, "little", signed=True)
    heap: list[tuple[int, int, Record]] = []  # (-hash, position, row): the largest hash is on top, first to go
    members: set[int] = set()
    repeats = 0
    for position, row in enumerate(rows):
        tag = f"{position}\0" if keep_repeats else ""
        text = tag + "\0".join(row)
        key = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, key=salt).digest(), "little")
        if key in members:
            repeats += 1
        elif len(heap) < limit:
            heapq.heappush(heap, (-key, position, row))
            members.add(key)
        elif key < -heap[0][0]:
            members.discard(-heapq.heapreplace(heap, (-key, position, row))[0])
            members.add(key)
    return [row for _, _, row in sorted(heap, key=lambda item: item[1])], repeats
