"""One request that is being computed: its texts, what has become of each, and who waits for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from mirrorkit.errors import MirrorkitError
from mirrorkit.runtime.encoding import Call
from mirrorkit.runtime.output import Array
from mirrorkit.serving.refused import RefusedError, Why
from mirrorkit.serving.served import Served, Tokens
from mirrorkit.text.ragged import Floats

SHORT = 8  # texts of a request that may share its batches with others of its like
SHORT_CHARS = 8192


class Lane(NamedTuple):
    """What texts must have in common to share a batch."""

    served: Served
    unpooled: int  # tokens at the start that are not pooled, which a batch has alike
    short: bool  # short requests keep to themselves: a single text would wait for a batch filled up from a long one


class Job:
    """A request's texts, or token ids, on their way to vectors.

    Whoever holds the lock of the queue changes it, but for the vectors: each row is written by the thread that runs it.
    """

    def __init__(
        self,
        served: Served,
        call: Call,
        texts: Sequence[str],
        done: Callable[[], None],
        *,
        client: str = "",
        truncate: bool = True,
        max_tokens: int = 1 << 62,
        ids: Sequence[Tokens] | None = None,
    ) -> None:
        self.served, self.call, self.client = served, call, client
        self.texts, self.truncate = texts, truncate
        self.size = len(texts) if ids is None else len(ids)
        self.tokens: list[Tokens | None] = list(ids) if ids is not None else [None] * self.size
        few = self.size <= SHORT and sum(map(len, texts)) <= SHORT_CHARS
        self.lane = Lane(served, call.unpooled, few)
        self.next_text = 0 if ids is None else self.size  # the first that is not tokenised, nor being so
        self.tokenising = False
        self.ready: dict[int, tuple[int, int]] = {}  # row -> its place in the stock: length, serial number
        self.left = self.size  # rows that have no vector yet
        self.total_tokens = 0
        self.error: RefusedError | None = None
        self.over = False  # answered, failed or given up
        self._max_tokens, self._done = max_tokens, done
        self._vectors: Floats | None = None

    def take(self, row: int, tokens: Tokens) -> None:
        """Keep the tokens of a text; raises RefusedError for a text or a request that is too long."""
        self.total_tokens += len(tokens)
        if self.total_tokens > self._max_tokens:
            raise RefusedError(
                Why.INVALID,
                f"the texts have more than {self._max_tokens:,} tokens together; send fewer at a time",
                "input",
            )
        self.tokens[row] = tokens

    def check_length(self, row: int, text: str, tokens: Tokens) -> None:
        """Raise RefusedError for a text that was cut where the request does not want that."""
        if not self.truncate and self.served.is_cut(text, tokens):
            which = f"input[{row}] has" if self.size > 1 else "the input has"
            raise RefusedError(
                Why.TOO_LONG,
                f"This model's maximum context length is {self.served.max_length} tokens, and {which} more; "
                'shorten it, or send "truncate": true to have it cut',
                "input",
            )

    def put(self, rows: Sequence[int], vectors: Floats) -> None:
        """Write the graph's vectors of some rows."""
        if self._vectors is None:
            raise AssertionError("put before prepare")
        self._vectors[rows] = vectors

    def prepare(self) -> None:
        """Make room for the vectors, when the first are on their way."""
        if self._vectors is None:
            self._vectors = np.empty((self.size, self.served.encoding.width), dtype=np.float32)

    def vectors(self) -> Array:
        """Return vectors [n, dim], of a job that is done, as the request wants them."""
        assert self._vectors is not None
        return self.served.encoding.finished(self._vectors, self.call)

    def fail(self, error: Exception) -> None:
        """Keep why there are no vectors."""
        self.over = True
        self.error = error if isinstance(error, RefusedError) else _broken(error)

    def tell(self) -> None:
        """Tell whoever waits that it is over."""
        self._done()


def _broken(error: Exception) -> RefusedError:
    """Return what a client is told of a fault here: a line of ours, and nothing of anybody else's making."""
    told = str(error) if isinstance(error, MirrorkitError) else type(error).__name__
    return RefusedError(Why.BROKEN, f"The vectors could not be computed ({told}).")
