"""What is searched: the lines, paragraphs or documents of a file or folder, each with the place where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mirrorkit.errors import ConfigError, CorpusError
from mirrorkit.paths import is_there, local_path, size_of
from mirrorkit.text.folders import Folder
from mirrorkit.text.readers import TextSource
from mirrorkit.text.reading import Reading
from mirrorkit.text.understood import understood
from mirrorkit.text.units import Unit, divided

_UNITS = (Unit.LINE, Unit.PARAGRAPH, Unit.DOCUMENT)


class Passage(NamedTuple):
    """A text and where its first line stands."""

    text: str
    file: str
    number: int  # from 1
    by_line: bool  # whether that is the number of a line, or else of a row


@dataclass(frozen=True)
class Passages:
    """All of them, blank ones left out."""

    every: list[Passage]
    source: Path  # file or folder
    parts: str  # what they are of it: two sets of the same source and parts are the same passages, or were once
    understood: str  # in a line for people


def read_passages(path: str | Path, reading: Reading, unit: str | None) -> Passages:
    """Read what is to be searched.

    `unit` None is paragraph for a folder and a Markdown file, else line. Raises CorpusError where there is nothing to
    search, ConfigError for a unit that has no place in a file.
    """
    if str(path) == "-":
        raise ConfigError("standard input cannot be searched, as nothing could be looked up in it; give a file")
    local = local_path(path)
    is_folder = is_there(local) and local.is_dir()
    if unit is not None and unit not in _UNITS:
        raise ConfigError(f"unit {str(unit)!r}: must be one of {', '.join(_UNITS)}")
    piece = Unit(unit or (Unit.PARAGRAPH if is_folder or local.suffix.lower() == ".md" else Unit.LINE))
    if is_folder and reading.columns:
        raise ConfigError(f"{path}: a folder of plain text has no columns for `text_column`")
    source: Folder | TextSource
    if is_folder:
        source = Folder(str(local), piece, reading=reading)
        files = source.sources()
    else:
        try:
            size_of(local)  # a pipe cannot be read again, nor looked into
        except OSError as err:
            raise CorpusError(f"{path}: cannot be read ({err.strerror or err})") from err
        source = TextSource(str(local), reading, unit=piece)
        files = iter([source])
    rows = blank = 0
    every: list[Passage] = []
    for file in files:
        for passage in _placed(file):
            rows += 1
            if passage.text.strip():
                every.append(passage)
            else:
                blank += 1
    if not every:
        raise CorpusError(f"{path}: nothing to search in it, all of it is blank")
    column = reading.columns[0] if reading.columns else ""
    return Passages(every, local, f"{piece} {column}", understood(source, rows, blank))


def _placed(file: TextSource) -> Iterator[Passage]:
    """Yield what each row holds, with the number of its first line where the file has lines, else of the row."""
    number = 1
    for record in file.records():
        for (text,) in divided([record], file.unit):
            yield Passage(text, file.path, number, file.by_line or file.in_blocks)
        (whole,) = record
        # The blank line that ends a block is no part of it; an empty block is such a line alone.
        number += whole.count("\n") + 1 + bool(whole) if file.in_blocks else 1
