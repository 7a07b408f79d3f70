"""The search of a server: passages of files and folders, encoded in turn with the texts of requests."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mirrorkit.errors import MirrorkitError
from mirrorkit.finding.index import Hit, Index
from mirrorkit.finding.passages import Passages, read_passages
from mirrorkit.formats.usage import Usage
from mirrorkit.runtime.output import Array
from mirrorkit.serving.job import Job
from mirrorkit.serving.pool import Pool
from mirrorkit.serving.served import Models, Served, open_served
from mirrorkit.serving.settings import Settings
from mirrorkit.text.ragged import Floats
from mirrorkit.text.reading import Reading
from mirrorkit.text.strings import chunks

_PART = 512  # passages that wait for vectors at a time: enough for batches of one length
_CLIENT = "the index"  # whose turn it is when passages are encoded


@dataclass(frozen=True)
class Side:
    """One model and the passages that it has encoded; queries to them are its as well, whatever is served by now."""

    served: Served
    indexes: Sequence[Index]  # one for each file or folder

    def find(self, vector: Floats, count: int) -> list[Hit]:
        """Return the `count` passages most like a vector [dim], best first; of equals the one that stands first."""
        found = [hit for index in self.indexes for hit in index.find(vector, count)]
        return sorted(found, key=lambda hit: -hit.score)[:count]


class Searching:
    """What is searched, and how far it is encoded.

    `sides` are those of the base, where there is one to compare with, and of the model that is served; none until
    `build` is through. Raises CorpusError for a file or folder that cannot be searched.
    """

    def __init__(self, paths: Sequence[str], models: Sequence[Served]) -> None:
        self.paths, self.models = tuple(paths), tuple(models)
        self._passages: list[Passages] = [read_passages(path, Reading(), None) for path in paths]
        self.passages = sum(len(one.every) for one in self._passages)
        self.done = self.total = 0  # passages that are encoded, of those that have to be, of one file and model
        self.sides: tuple[Side, ...] = ()
        self.failed: str | None = None  # why there will be none

    def build(self, pool: Pool) -> None:
        """Encode what the user's cache does not have; where that fails, whatever it raises, `failed` says so."""
        try:
            self.sides = tuple(
                Side(one, [self._index(one, part, pool) for part in self._passages]) for one in self.models
            )
        except Exception as err:
            self.failed = str(err) if isinstance(err, MirrorkitError) else type(err).__name__
            raise

    def _index(self, served: Served, passages: Passages, pool: Pool) -> Index:
        self.done = self.total = 0
        return Index(_InTurn(served, pool), passages, self)

    def phase(self, name: str) -> None:
        """Take no notice: there is one phase."""

    def advance(self, done: int, total: int | None, figures: str = "") -> None:  # noqa: ARG002  (as of a Progress)
        """Keep how far it is, for who asks."""
        self.done, self.total = done, total or 0


def open_search(settings: Settings, models: Models) -> Searching:
    """Read what is to be searched and open the base, where that is asked for; nothing is encoded yet."""
    base = [open_served(settings.before, "auto", settings)] if settings.before is not None else []
    return Searching(settings.search, [*base, models.default])


class _InTurn:
    """A model that is served, as what encodes passages: they wait for their turns as the texts of any client do."""

    def __init__(self, served: Served, pool: Pool) -> None:
        self._served, self._pool = served, pool
        self.usage: Usage = served.encoding.opened.usage
        self.dim, self.fingerprint = served.encoding.dim, served.fingerprint

    def encode_iter(self, texts: Iterable[str], *, chunk: int, prompt: str) -> Iterator[Array]:
        """Yield the vectors of some texts after another."""
        call = self._served.call(prompt=prompt)
        for part in chunks(texts, min(chunk, _PART)):
            finished = threading.Event()
            job = Job(self._served, call, part, finished.set, client=_CLIENT)
            self._pool.submit(job)
            finished.wait()
            if job.error is not None:
                raise MirrorkitError(str(job.error))
            yield job.vectors()
