"""The passages of a file or folder with their vectors by one encoder: which are most like a vector, and where."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from mirrorkit.finding.kept import Encodes, kept_vectors
from mirrorkit.finding.nearest import Nearest
from mirrorkit.finding.passages import Passages
from mirrorkit.progress import Progress
from mirrorkit.text.ragged import Floats


@dataclass(frozen=True)
class Hit:
    """What was found: a text, where it stands, and how alike it is to the query.

    `line` is that of its first line in `file`, from 1; of a file whose rows are not its lines (csv, parquet) it is None
    and `row` counts them.

    >>> from mirrorkit import TextSearch
    >>> hit = TextSearch("bundle", "corpus.txt").find("a dog runs on the beach")[0]
    >>> hit.place == f"{hit.file}:{hit.line}"
    True
    """

    score: float  # by the model's own function; a distance is below zero
    text: str
    file: str
    line: int | None
    row: int | None

    @property
    def place(self) -> str:
        """Where it stands, as editors take it: `file:line`."""
        return f"{self.file}:{self.line}" if self.line is not None else f"{self.file}, row {self.row}"

    def as_dict(self) -> dict[str, object]:
        """Return it as plain data."""
        return asdict(self)


class Index:
    """Passages, encoded as far as the user's cache does not have them. Threads may share it."""

    def __init__(self, encoder: Encodes, passages: Passages, progress: Progress, *, exact: bool = False) -> None:
        self._passages = passages.every
        texts = [passage.text for passage in passages.every]
        kept = kept_vectors(encoder, texts, passages.source, passages.parts, progress)
        self.encoded = kept.encoded  # texts that had to be encoded now
        self._nearest = Nearest(kept.vectors, encoder.usage.similarity, kept.folder, exact=exact)
        self.exact = self._nearest.exact  # whether every vector is looked at

    def __len__(self) -> int:
        return len(self._passages)

    def find(self, vector: Floats, count: int) -> list[Hit]:
        """Return the `count` passages most like a vector [dim], best first; of equals the one that stands first."""
        places, scores = self._nearest.find(vector, count)
        return [self._hit(int(place), float(score)) for place, score in zip(places, scores, strict=True)]

    def _hit(self, place: int, score: float) -> Hit:
        passage = self._passages[place]
        line, row = (passage.number, None) if passage.by_line else (None, passage.number)
        return Hit(score, passage.text, passage.file, line, row)
