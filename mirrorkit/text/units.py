"""What one string of a corpus is: a line, a sentence, a paragraph or a whole document."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum

from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.text.rows import LONGEST_DOCUMENT
from mirrorkit.text.sentences import sentences

Record = tuple[str, ...]  # the asked-for columns of one row

_PARAGRAPH_END = re.compile(r"\n[ \t\r\f\v]*\n")


class Unit(str, Enum):
    """What is one string."""

    LINE = "line"
    SENTENCE = "sentence"
    PARAGRAPH = "paragraph"  # lines up to a blank one
    DOCUMENT = "document"  # a whole file of plain text, or a whole field of the other kinds

    def __str__(self) -> str:
        return self.value


def as_unit(value: object) -> Unit:
    """Return the unit of that name; raises ConfigError for an unknown one."""
    try:
        return Unit(value)
    except ValueError as err:
        raise ConfigError(f"unit {value!r}: must be one of {', '.join(Unit)}") from err


def divided(records: Iterable[Record], unit: Unit) -> Iterator[Record]:
    """Yield the records of one string each that `records`, which hold fields or paragraphs, fall into."""
    for (text,) in records:
        if unit in (Unit.LINE, Unit.DOCUMENT):
            yield (text,)
            continue
        if unit is Unit.SENTENCE and not text:  # a file of millions of blank lines has as many empty paragraphs
            continue
        for paragraph in _PARAGRAPH_END.split(text):
            if unit is Unit.PARAGRAPH:
                yield (paragraph,)
            else:
                yield from ((sentence,) for sentence in sentences(paragraph))


def plain_units(name: str, lines: Iterable[str], unit: Unit) -> Iterator[Record]:
    """Yield the lines of plain text as lines, as paragraphs, or as one document.

    Sentences come as paragraphs, for `divided` to split. Raises CorpusError for a document that is too long.
    """
    if unit is Unit.LINE:
        yield from ((line,) for line in lines)
        return
    held: list[str] = []
    size = 0
    for line in lines:
        if unit is not Unit.DOCUMENT and not line.strip():
            yield ("\n".join(held),)
            held, size = [], 0
            continue
        held.append(line)
        size += len(line) + 1
        if size > LONGEST_DOCUMENT:
            raise CorpusError(
                f"{name}: a {unit if unit is Unit.DOCUMENT else Unit.PARAGRAPH} of more than "
                f"{LONGEST_DOCUMENT >> 20} MB; give `unit=line` or cut the file"
            )
    yield ("\n".join(held),)
