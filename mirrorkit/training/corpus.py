"""The strings to train on: cleaned, counted, without repeats, sampled in bounded memory."""

from __future__ import annotations

import hashlib
import heapq
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.paths import is_there
from mirrorkit.text.files import Source, source_of
from mirrorkit.text.memory import memory_records
from mirrorkit.text.readers import TextSource
from mirrorkit.text.reading import Reading
from mirrorkit.text.strings import replace_surrogates
from mirrorkit.text.understood import understood
from mirrorkit.text.units import Record, Unit, as_unit, divided

log = logging.getLogger(__name__)


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
    unit: Unit = Unit.LINE
    skipped: tuple[str, ...] = ()  # files of a folder that were not read, each with the reason
    in_order: bool = True  # neighbours in the file are neighbours here
    understood: str = ""  # what the file was taken for and what was found in it, in a line for people
    negatives: list[str] | None = None  # of each known pair, a text that does not mean the same

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Iterable[int]) -> Corpus:
        """Return the corpus with these rows alone."""
        kept = list(rows)
        partners, negatives = (
            None if column is None else [column[i] for i in kept] for column in (self.partners, self.negatives)
        )
        return replace(self, texts=[self.texts[i] for i in kept], partners=partners, negatives=negatives)


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
) -> Corpus:
    """Read files (`-` is standard input), the .txt and .md files of folders, or what is in memory already.

    `unit` says what a string is: line, sentence, paragraph or document (a whole file of plain text, a whole field of
    csv, json and parquet); None is document for a folder and line for all else, which leaves fields whole as well.
    White space is folded, blank rows are skipped and counted, repeated rows dropped unless `keep_repeats`. `limit`
    keeps that many rows, drawn evenly from the whole file in memory that grows with `limit` alone. `text_column` is a
    column's name or 1-based number, two of them with a comma for `pairs`, and a third where each pair has a negative.

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
    cleaned = _clean(rows if piece is Unit.LINE else divided(rows, piece), counts)
    kept, repeats = _sample(cleaned, limit, keep_repeats, seed) if limit else _distinct(cleaned, keep_repeats)
    distinct = len(set(kept))
    if distinct < 2:
        smaller = "; of one document, `unit=paragraph` makes many" if piece is Unit.DOCUMENT and distinct else ""
        raise CorpusError(
            f"{source.name}: {distinct or 'no'} usable string; training needs at least 2 distinct ones{smaller}"
        )
    found = Corpus(
        texts=[row[0] for row in kept],
        partners=[row[1] for row in kept] if pairs else None,
        negatives=[row[2] for row in kept] if width > 2 else None,
        name=source.name,
        sha256=source.sha256,
        size=source.size,
        rows=counts.rows,
        blank=counts.blank,
        repeats=repeats,
        unit=piece,
        skipped=tuple(source.skipped),
        in_order=limit is None,
        understood=understood(source, counts.rows, counts.blank, repeats, sample=len(kept) if limit else None),
    )
    log.info("%s", found.understood)
    return found


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
    for row in rows:
        counts.rows += 1
        folded = tuple(" ".join(replace_surrogates(text).split()) for text in row)
        if all(folded):
            yield folded
        else:
            counts.blank += 1


def _distinct(rows: Iterable[Record], keep_repeats: bool) -> tuple[list[Record], int]:
    if keep_repeats:
        return list(rows), 0
    distinct: dict[Record, None] = {}
    count = 0
    for row in rows:
        count += 1
        distinct[row] = None
    return list(distinct), count - len(distinct)


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
