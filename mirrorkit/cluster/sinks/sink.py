"""What a store must do to be loaded: say what it holds, begin, take one shard after another whole, and count."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mirrorkit.cluster.finished import Finished
from mirrorkit.cluster.job import EMBEDDING
from mirrorkit.cluster.places import redacted
from mirrorkit.cluster.records import MadeBy, ShardRecord, as_json, from_json
from mirrorkit.errors import ConfigError, CorpusError, MirrorkitError, OutputError
from mirrorkit.foreign import reason


class Sink(ABC):
    """A store, and the table, collection or file in it that is loaded."""

    shown: str  # its address without passwords
    takes: tuple[str, ...]  # types of vectors
    whole = False  # whether it is written at the end, so that a part of it cannot be added
    secrets: tuple[str, ...] = ()

    @abstractmethod
    def found(self) -> MadeBy | None:
        """Return what made the vectors that are there; None where nothing is. Writes nothing.

        Raises OutputError where something else has the name, or the store cannot be reached.
        """

    @abstractmethod
    def counts(self) -> Mapping[str, int]:
        """Return the rows of each shard that are there, by its key."""

    @abstractmethod
    def begin(self, what: Finished, *, replace: bool) -> None:
        """Make a new table with what made the vectors on record; with `replace` for the one of ours that is there."""

    @abstractmethod
    def add(self, what: Finished, record: ShardRecord, *, again: bool) -> None:
        """Load a shard; with `again` some rows of it are there, which are taken back first."""

    def check(self, what: Finished) -> None:
        """Raise ConfigError for what this store cannot take."""
        if what.made_by.output_type not in self.takes:
            raise ConfigError(
                f"{self.shown}: takes vectors of {', '.join(self.takes)}, the shards have {what.made_by.output_type}"
            )

    def finish(self, what: Finished) -> None:  # noqa: B027  (most have written all by then)
        """Write what is not there yet."""

    def close(self) -> None:  # noqa: B027
        """Let go of the store."""

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn whatever the library throws into one line without secrets; panics of Rust are BaseExceptions."""
        try:
            yield
        except (MirrorkitError, KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as err:
            raise OutputError(f"{self.shown}: cannot be loaded ({redacted(reason(err), self.secrets)})") from None

    def mark(self, what: Finished) -> str:
        """Return what is kept with the vectors to say what made them."""
        return as_json(what.made_by).decode()

    def read_mark(self, raw: object) -> MadeBy:
        """Return what made the vectors of a store. Raises OutputError where the mark is not ours."""
        try:
            made_by: MadeBy = from_json(MadeBy, str(raw or "").encode(), self.shown)
        except CorpusError:
            raise OutputError(
                f"{self.shown}: holds something that mirrorkit did not write; give another name"
            ) from None
        return made_by


def check_name(name: str, shown: str, what: str) -> str:
    """Return the name of a table or collection. Raises ConfigError for what most stores would not take."""
    if not name or not all(part.isidentifier() for part in name.replace("-", "_").split(".")):
        raise ConfigError(f"{shown}: {what} {name!r} must be of letters, digits and _")
    return name


def rows_at_once(what: Finished, numbers: int) -> int:
    """Return how many rows have about so many numbers, at least one."""
    return max(1, min(4096, numbers // what.width))


def vectors_of(batch: Any, width: int) -> Any:
    """Return the vectors of a batch as rows of one array."""
    return batch.column(EMBEDDING).flatten().to_numpy().reshape(-1, width)
