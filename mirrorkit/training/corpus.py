"""The strings to train on: cleaned, counted, without repeats, sampled in bounded memory."""

from __future__ import annotations

import hashlib
import heapq
import logging
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.paths import is_there
from mirrorkit.progress import Progress, counted
from mirrorkit.text.files import Source, source_of
from mirrorkit.text.memory import memory_records
from mirrorkit.text.ragged import Ints
from mirrorkit.text.readers import TextSource
from mirrorkit.text.reading import Reading
from mirrorkit.text.stored import IN_MEMORY, Store, StoredTexts
from mirrorkit.text.strings import replace_surrogates
from mirrorkit.text.understood import understood
from mirrorkit.text.units import Record, Unit, as_unit, divided

log = logging.getLogger(__name__)

_PIECE = 1 << 18  # characters of a text whose words are in a list at once
_SPACE = re.compile(r"\s")  # the same characters as those that `str.split` parts words by
_HELD = 64  # bytes that a row in memory takes beside its strings: its places in a list and among those seen


@dataclass(frozen=True)
class Corpus:
    """Strings, or pairs of strings that mean the same, and what is known of where they came from."""

    texts: Sequence[str]  # a list, or on disk where a list would take more than `IN_MEMORY`
    partners: Sequence[str] | None  # the known positive of each text; None: its own altered copy is the positive
    name: str
    sha256: str  # of the file's bytes, or of the strings where there was no file
    size: int  # of the file, in bytes
    rows: int  # read, before anything was left out
    blank: int
    repeats: int
    unit: Unit = Unit.LINE
    skipped: tuple[str, ...] = ()  # files of a folder that were not read, each with the reason
    in_order: bool = True  # neighbours in the file are neighbours here
    understood: str = ""  # what the file was taken for and what was found in it, in a line for people
    negatives: Sequence[str] | None = None  # of each known pair, a text that does not mean the same

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Ints) -> Corpus:
        """Return the corpus with these rows alone."""
        partners, negatives = (
            None if column is None else _taken(column, rows) for column in (self.partners, self.negatives)
        )
        return replace(self, texts=_taken(self.texts, rows), partners=partners, negatives=negatives)

    def in_memory(self) -> Corpus:
        """Return the corpus with its strings in lists."""
        partners, negatives = (None if column is None else list(column) for column in (self.partners, self.negatives))
        return replace(self, texts=list(self.texts), partners=partners, negatives=negatives)


def _taken(column: Sequence[str], rows: Ints) -> Sequence[str]:
    return column.take(rows) if isinstance(column, StoredTexts) else [column[i] for i in rows.tolist()]


@dataclass
class _Counts:
    rows: int = 0
    blank: int = 0


Given = str | Path | Iterable[Any]  # a file, folder or pattern, several of them, or texts in memory


def load_corpus(
    corpus: Given,
    *,
    pairs: bool = False,
    unit: str | None = None,
    text_column: str | None = None,
    limit: int | None = None,
    keep_repeats: bool = False,
    seed: int = 42,
    reading: Reading | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Read files (`-` is standard input), the .txt and .md files of folders, or what is in memory already.

    `unit` says what a string is: line, sentence, paragraph or document (a whole file of plain text, a whole field of
    csv, json and parquet); None is document for a folder and line for all else, which leaves fields whole as well.
    White space is folded, blank rows are skipped and counted, repeated rows dropped unless `keep_repeats`. Strings that
    would take more than `IN_MEMORY` bytes of memory lie in a file of the folder for temporary files. `limit` keeps that
    many rows, drawn evenly from the whole corpus in memory that grows with `limit` alone. `text_column` is a column's
    name or 1-based number, two of them with a comma for `pairs`, and a third where each pair has a negative.

    Raises CorpusError, naming file and line, for what cannot be read and for fewer than 2 distinct strings.
    """
    if limit is not None and limit < 2:
        raise ConfigError(f"limit {limit}: must be at least 2")
    columns = tuple(c.strip() for c in text_column.split(",")) if text_column else None
    width = _width(corpus, columns) if pairs else 1
    if columns and len(columns) != width:
        wanted = "2 columns, or 3 where each pair has a negative" if pairs else "1 column"
        raise ConfigError(f"text_column {text_column!r}: must name {wanted}")
    if pairs and unit not in (None, Unit.LINE):
        raise ConfigError(f"unit {unit!r}: a pair is a line; give `unit=line`")
    reading = replace(reading or Reading(), columns=columns)
    counts = _Counts()
    source: Source
    files = _files(corpus)
    if files is not None:
        source, piece = source_of(files, reading=reading, width=width, unit=unit)
        rows = source.records()
    else:
        assert not isinstance(corpus, (str, Path))
        piece = as_unit(unit or Unit.LINE)
        source = TextSource("strings in memory", reading, width)
        rows = _from_memory(corpus, source)
    divided_rows = rows if piece is Unit.LINE else divided(rows, piece)
    cleaned = _clean(counted(divided_rows, progress, "rows", _size) if progress else divided_rows, counts)
    if limit:
        kept, repeats = _sample(cleaned, limit, keep_repeats, seed)
        found, distinct = _columns(kept, width), len(set(kept))
    else:
        found, repeats = _distinct(cleaned, width, keep_repeats)
        distinct = _at_most_two(zip(*found, strict=True))
    if distinct < 2:
        smaller = "; of one document, `unit=paragraph` makes many" if piece is Unit.DOCUMENT and distinct else ""
        raise CorpusError(
            f"{source.name}: {distinct or 'no'} usable string; training needs at least 2 distinct ones{smaller}"
        )
    result = Corpus(
        texts=found[0],
        partners=found[1] if pairs else None,
        negatives=found[2] if width > 2 else None,
        name=source.name,
        sha256=source.sha256,
        size=source.size,
        rows=counts.rows,
        blank=counts.blank,
        repeats=repeats,
        unit=piece,
        skipped=tuple(source.skipped),
        in_order=limit is None,
        understood=understood(source, counts.rows, counts.blank, repeats, sample=len(found[0]) if limit else None),
    )
    log.info("%s", result.understood)
    return result


def _width(corpus: Given, columns: tuple[str, ...] | None) -> int:
    """Return how many strings a row of known pairs has: 3 with a negative."""
    first = corpus[0] if isinstance(corpus, (list, tuple)) and corpus and not columns else None
    told = len(columns) if columns else len(first) if isinstance(first, (list, tuple)) else 2
    return 3 if told == 3 else 2


def _files(corpus: Given) -> list[str | Path] | None:
    """Return the paths that were given; None for texts in memory.

    Raises ConfigError for strings that are all names of files: they would be trained on as texts.
    """
    if isinstance(corpus, (str, Path)):
        return [corpus]
    if not isinstance(corpus, (list, tuple)) or not corpus:
        return None
    if all(isinstance(one, Path) for one in corpus):
        return list(corpus)
    if all(isinstance(one, str) and is_there(one) for one in corpus):
        raise ConfigError(
            f"corpus {corpus[0]!r}: must be a text, and all {len(corpus)} strings are names of files; to read the "
            "files give paths: [Path(name), …]"
        )
    return None


def _from_memory(corpus: Iterable[Any], source: TextSource) -> Iterator[Record]:
    source.layout.append("from memory")
    for row in memory_records(corpus, source.reading.columns, source.width):
        source.feed("\0".join(row).encode("utf-8", "surrogatepass") + b"\n")
        yield row


def _clean(rows: Iterable[Record], counts: _Counts) -> Iterator[Record]:
    for counts.rows, row in enumerate(rows, 1):
        # No white space but the blank is printable, and a lone surrogate is not: most texts need no second look.
        if len(row) == 1 and (text := row[0]) and text.isprintable() and "  " not in text and text == text.strip(" "):
            yield row
            continue
        folded = tuple(_folded(replace_surrogates(text)) for text in row)
        if all(folded):
            yield folded
        else:
            counts.blank += 1


def _size(row: Record) -> int:
    return _HELD + len(row[0])


def _folded(text: str) -> str:
    """Return a text with a blank for each run of white space, and none around it.

    A long one is folded piece by piece: the words of one document in a list take ten times its memory.
    """
    parts: list[str] = []
    start = 0
    while len(text) - start > _PIECE and (end := _SPACE.search(text, start + _PIECE)):
        parts.append(" ".join(text[start : end.start()].split()))
        start = end.end()
    parts.append(" ".join(text[start:].split()))
    return " ".join(filter(None, parts)) if len(parts) > 1 else parts[0]


def _distinct(rows: Iterable[Record], width: int, keep_repeats: bool) -> tuple[list[Sequence[str]], int]:
    """Return the columns of the distinct rows, or of all of them, and how many were left out.

    Once they are too many for memory they go to disk, where a row is known by its hash.
    """
    held: list[Any] = []  # strings where a row is one, else rows
    seen: set[Any] = set()
    size = count = 0
    rest = iter(rows)
    for row in rest:
        count += 1
        one = row[0] if width == 1 else row
        if not keep_repeats:
            if one in seen:
                continue
            seen.add(one)
        held.append(one)
        size += sum(map(sys.getsizeof, row)) + (0 if width == 1 else sys.getsizeof(row)) + _HELD
        if size > IN_MEMORY:
            break
    else:
        return ([held] if width == 1 else _columns(held, width)), count - len(held)
    already = count - len(held)
    seen.clear()
    store = Store(width)
    store.add(_emptied(held, width))
    store.add(rest)
    columns, repeats = store.columns(repeats=keep_repeats)
    return list(columns), already + repeats


def _emptied(held: list[Any], width: int) -> Iterator[Record]:
    """Yield the rows and forget them, so that they never lie in two places."""
    held.reverse()
    while held:
        yield (held.pop(),) if width == 1 else held.pop()


def _columns(rows: Sequence[Record], width: int) -> list[Sequence[str]]:
    return [[row[i] for row in rows] for i in range(width)]


def _at_most_two(rows: Iterable[Record]) -> int:
    """Return how many of the rows differ, 2 for two and more."""
    seen: set[Record] = set()
    for row in rows:
        seen.add(row)
        if len(seen) == 2:
            break
    return len(seen)


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
