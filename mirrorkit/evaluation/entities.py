"""Entity linking: is the name nearest to a mention one of the right entity's names in a dictionary?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mirrorkit.correlation import Array
from mirrorkit.errors import CorpusError
from mirrorkit.evaluation.pairs import TextEncoder, encode_strings
from mirrorkit.evaluation.ranking import Matrix, Ranks, Rows, rank
from mirrorkit.evaluation.tables import Table, read_table
from mirrorkit.paths import local_path
from mirrorkit.progress import Progress
from mirrorkit.text.dialect import BARS, TAB

_HEADERS = ({"name", "names", "mention", "query", "text"}, {"id", "ids", "cui", "cuis", "label"})

_CONCEPTS = "*.concept"  # BioSyn's files of mentions
_BIOSYN = (3, 4, 5)  # in them: where the name and the ids stand, and of how many columns


@dataclass(frozen=True)
class Linking:
    """A dictionary and what to look up in it."""

    name: str  # of the file of mentions
    names: dict[str, set[str]]  # distinct name -> ids of the entities that bear it
    mentions: list[tuple[str, set[str]]]  # mention, its right ids


@dataclass(frozen=True)
class LinkingScore:
    """Times 100, over all mentions, repeated ones and those outside the dictionary included."""

    accuracy_at_1: float
    accuracy_at_5: float
    mentions: int
    names: int
    outside: int  # mentions none of whose ids is in the dictionary: they cannot be found


def read_linking(dictionary: str | Path, mentions: str | Path) -> Linking:
    """Read a dictionary and mentions, both of rows `name<TAB>id`; several ids stand with `|` between them.

    Also read are commas in a .csv, `id||name`, the order of BioSyn's and SapBERT's dictionaries, and BioSyn's mentions,
    `document||place||kind||name||id`, of a file or of all .concept files of a folder. A name on several rows bears all
    their ids. Raises CorpusError naming file and line for a row that does not fit.
    """
    names: dict[str, set[str]] = {}
    for name, ids in _read(dictionary, "dictionary"):
        names.setdefault(name, set()).update(ids)
    return Linking(local_path(mentions).stem, names, _read(mentions, "file of mentions"))


def _read(file: str | Path, what: str) -> list[tuple[str, set[str]]]:
    path = local_path(file)
    files = sorted(path.glob(_CONCEPTS)) if path.is_dir() else [path]
    read = [row for one in files for row in _rows(read_table(one, (BARS, TAB), what))]
    if not read:
        raise CorpusError(f"{file}: an empty {what}" if files else f"{file}: no {_CONCEPTS} file in this folder")
    return read


def _rows(table: Table) -> Iterator[tuple[str, set[str]]]:
    rows = table.rows
    if rows and len(rows[0].cells) == 2 and _is_header(rows[0].cells):
        rows = rows[1:]
    name_at, ids_at, width = (1, 0, 2) if table.delimiter == BARS else (0, 1, 2)
    if rows and table.delimiter == BARS and len(rows[0].cells) == _BIOSYN[2]:
        name_at, ids_at, width = _BIOSYN
    for row in rows:
        table.check_width(row, width)
        ids = {one for part in table.text(row, ids_at, "id").split("|") if (one := part.strip())}
        if not ids:
            raise table.fault(row, "the id is blank")
        yield table.text(row, name_at, "name"), ids


def _is_header(cells: list[str]) -> bool:
    return all(cell.strip().lower() in known for cell, known in zip(cells, _HEADERS, strict=True))


def score_linking(encoder: TextEncoder, linking: Linking, progress: Progress | None = None) -> LinkingScore:
    """Rank the distinct names of the dictionary by cosine; a name is right that bears one of the mention's ids."""
    right = _right(linking)
    ranks = _ranks(encoder, linking, right, progress)
    return LinkingScore(
        accuracy_at_1=ranks.accuracy(1),
        accuracy_at_5=ranks.accuracy(5),
        mentions=len(linking.mentions),
        names=len(linking.names),
        outside=sum(not len(places) for places in right),
    )


def linking_scores(encoder: TextEncoder, linking: Linking, progress: Progress | None = None) -> Array:
    """Return for every mention the chance that a right name comes first, [mentions]."""
    return _ranks(encoder, linking, _right(linking), progress).hits[1]


def _right(linking: Linking) -> list[Rows]:
    """Return the places of each mention's right names."""
    bearers: dict[str, list[int]] = {}
    for place, name in enumerate(linking.names):
        for one in linking.names[name]:
            bearers.setdefault(one, []).append(place)
    return [
        np.array(sorted({place for one in ids for place in bearers.get(one, ())}), dtype=np.intp)
        for _, ids in linking.mentions
    ]


def _ranks(encoder: TextEncoder, linking: Linking, right: list[Rows], progress: Progress | None) -> Ranks:
    texts, names = [mention for mention, _ in linking.mentions], list(linking.names)
    vectors = encode_strings(encoder, [*names, *texts], progress)
    mentioned, named = vectors.rows(texts), vectors.rows(names)

    def cosine(part: slice) -> Matrix:
        return mentioned[part] @ named.T

    return rank(cosine, right, len(names), at=(1, 5))
