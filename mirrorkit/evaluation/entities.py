"""Entity linking: is the name nearest to a mention one of the right entity's names in a dictionary?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mirrorkit.errors import CorpusError
from mirrorkit.evaluation.pairs import OnProgress, TextEncoder, encode_strings
from mirrorkit.evaluation.ranking import Matrix, rank
from mirrorkit.evaluation.tables import BARS, TAB, read_table
from mirrorkit.paths import local_path

_HEADERS = ({"name", "names", "mention", "query", "text"}, {"id", "ids", "cui", "cuis", "label"})


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

    def as_dict(self) -> dict[str, float | int]:
        return asdict(self)


def evaluate_entities(
    encoder: TextEncoder, dictionary: str | Path, mentions: str | Path, on_progress: OnProgress | None = None
) -> LinkingScore:
    """Score `encoder` on a dictionary and a file of mentions; see `read_linking` and `score_linking`."""
    return score_linking(encoder, read_linking(dictionary, mentions), on_progress)


def read_linking(dictionary: str | Path, mentions: str | Path) -> Linking:
    """Read a dictionary and mentions, both of rows `name<TAB>id`; several ids stand with `|` between them.

    Also read are commas in a .csv, and `id||name`, the order of BioSyn's and SapBERT's files. A name on several rows
    bears all their ids. Raises CorpusError naming file and line for a row that does not fit.
    """
    names: dict[str, set[str]] = {}
    for name, ids in _read(dictionary, "dictionary"):
        names.setdefault(name, set()).update(ids)
    return Linking(local_path(mentions).stem, names, _read(mentions, "file of mentions"))


def _read(file: str | Path, what: str) -> list[tuple[str, set[str]]]:
    path = local_path(file)
    if not path.is_file():
        raise CorpusError(f"{file}: no such {what}")
    table = read_table(path, (BARS, TAB))
    rows = table.rows
    if rows and len(rows[0].cells) == 2 and _is_header(rows[0].cells):
        rows = rows[1:]
    name_at, ids_at = (1, 0) if table.delimiter == BARS else (0, 1)
    read = []
    for row in rows:
        table.check_width(row, 2)
        ids = {one for part in table.text(row, ids_at, "id").split("|") if (one := part.strip())}
        if not ids:
            raise table.fault(row, "the id is blank")
        read.append((table.text(row, name_at, "name"), ids))
    if not read:
        raise CorpusError(f"{path}: an empty {what}")
    return read


def _is_header(cells: list[str]) -> bool:
    return all(cell.strip().lower() in known for cell, known in zip(cells, _HEADERS, strict=True))


def score_linking(encoder: TextEncoder, linking: Linking, on_progress: OnProgress | None = None) -> LinkingScore:
    """Rank the distinct names of the dictionary by cosine; a name is right that bears one of the mention's ids."""
    names = list(linking.names)
    texts = [mention for mention, _ in linking.mentions]
    vectors = encode_strings(encoder, [*names, *texts], on_progress)
    mentioned, named = vectors.rows(texts), vectors.rows(names)
    bearers: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        for one in linking.names[name]:
            bearers.setdefault(one, []).append(place)
    right = [
        np.array(sorted({place for one in ids for place in bearers.get(one, ())}), dtype=np.intp)
        for _, ids in linking.mentions
    ]

    def cosine(part: slice) -> Matrix:
        return mentioned[part] @ named.T

    ranks = rank(cosine, right, len(names), at=(1, 5))
    return LinkingScore(
        accuracy_at_1=ranks.accuracy(1),
        accuracy_at_5=ranks.accuracy(5),
        mentions=len(texts),
        names=len(names),
        outside=sum(not len(places) for places in right),
    )
