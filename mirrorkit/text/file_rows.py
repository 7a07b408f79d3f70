"""Lines, values and rows of files whose columns the caller knows, unpacked and decoded as `readers` does it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mirrorkit.errors import CorpusError
from mirrorkit.text.opened import PARQUET, Opened, opened
from mirrorkit.text.readers import TextSource
from mirrorkit.text.rows import LONGEST_DOCUMENT, json_elements, json_values, lines_of, table_rows


@contextmanager
def _opened_file(file: Path) -> Iterator[Opened]:
    """Open a file by its whole path, which messages name; raises CorpusError where it cannot be read."""
    source = TextSource(str(file), label=str(file))
    try:
        with source.open() as raw:
            yield opened(raw, str(file), None, lambda: source.size)
    except OSError as err:
        raise CorpusError(f"{file}: cannot be read ({err.strerror or err})") from err


def file_lines(file: Path) -> Iterator[str]:
    """Yield the lines of a file, long ones too, unpacked and decoded; raises CorpusError where it cannot be read."""
    with _opened_file(file) as found:
        if found.table:
            raise CorpusError(f"{file}: is {found.table}, which is not read here")
        yield from lines_of(str(file), found.stream, LONGEST_DOCUMENT)


def file_values(file: Path) -> Iterator[tuple[int, Any]]:
    """Yield (line, value) of JSON lines or of one array, an empty text for a blank line; raises CorpusError."""
    with _opened_file(file) as found:
        if found.head.decode("utf-8-sig", "ignore").lstrip().startswith("["):
            yield from json_elements(str(file), found.stream)
        else:
            yield from json_values(str(file), lines_of(str(file), found.stream, LONGEST_DOCUMENT))


def read_parquet(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a parquet file by the names of their columns."""
    names: list[str] = []

    def pick(there: Sequence[str], _: object) -> list[int]:
        names[:] = there
        return list(range(len(there)))

    return (dict(zip(names, row, strict=True)) for row in table_rows(file, PARQUET, pick))
