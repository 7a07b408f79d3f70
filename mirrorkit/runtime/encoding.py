"""From texts to vectors: tokenise, sort into batches, run them, cut the vectors and bring them to unit length."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mirrorkit.errors import BundleError, ConfigError, CorpusError
from mirrorkit.progress import Progress
from mirrorkit.runtime.opening import Opened
from mirrorkit.runtime.output import SCALARS, Array, check_output_type, converted
from mirrorkit.runtime.pooling import unit
from mirrorkit.runtime.runner import LocalRunner, Runner
from mirrorkit.runtime.static import BagRunner
from mirrorkit.text.ragged import Floats, Ints, RaggedIds, homogeneous_chunks, pad_batch
from mirrorkit.text.windows import Windows

if TYPE_CHECKING:
    from mirrorkit.formats.adapter import Adapter

log = logging.getLogger(__name__)

_WHOLE = 1 << 40  # tokens; more than any text has
PASS_COST = 16  # tokens of padding that cost as much as another pass through the graph


@dataclass(frozen=True)
class Call:
    """What the options of a call come to."""

    before: str  # what is put before each text
    unpooled: int  # tokens of that which are not pooled
    own_length: bool  # whether to bring vectors to unit length as the model does, which the graph left undone
    truncate_dim: int | None
    unit_length: bool  # whether to bring what is left to unit length
    batch_tokens: int
    output_type: str = "float32"


class Encoding:
    """An opened folder and what runs its graph. Threads may share it.

    Raises BundleError where the graph gives vectors of another length than the folder says.
    """

    def __init__(self, opened: Opened, runner: LocalRunner, long: str = "cut") -> None:
        self.opened, self.runner, self.long = opened, runner, long
        self.long_texts = 0  # so far, of more tokens than the model takes
        self._lock = threading.Lock()
        self.width = self._given()  # length of a vector as the graph gives it
        self._ranges = None if opened.ranges is None else np.array(opened.ranges, dtype=np.float32)  # [2, dim]
        self.dim = min(self.width, opened.truncate_dim or self.width)  # length of a vector
        self.adapter: Adapter | None = None

    def adapt(self, adapter: Adapter) -> None:
        """Let `adapter` have every vector from now on."""
        self.adapter, self.dim = adapter, adapter.record.old.dim

    def call(
        self,
        prompt: str | None = None,
        prompt_name: str | None = None,
        normalize: bool | None = None,
        truncate_dim: int | None = None,
        batch_tokens: int | None = None,
        output_type: str = "float32",
    ) -> Call:
        """Return what the options of `Encoder.encode` come to; raises ConfigError for those that cannot be."""
        opened, usage = self.opened, self.opened.usage
        if batch_tokens is None:
            batch_tokens = self.runner.batch_tokens
        if batch_tokens < 1:
            raise ConfigError(f"batch_tokens {batch_tokens}: must be at least 1")
        if truncate_dim is not None and truncate_dim < 1:
            raise ConfigError(f"truncate_dim {truncate_dim}: must be at least 1")
        if usage.normalized and normalize is False:
            raise ConfigError(
                "normalize=False: the graph of this bundle normalises its vectors, so their original lengths are lost"
            )
        if self.adapter and (truncate_dim is not None or normalize is not None or output_type in SCALARS):
            raise ConfigError(
                "`adapter`: its vectors are as the old encoder has them; `truncate_dim`, `normalize` and the output "
                "types int8 and uint8 are not for them"
            )
        before = usage.prompt(prompt, prompt_name)
        skipped = 0 if usage.include_prompt else opened.tokenizer.prompt_length(before)
        kept = opened.truncate_dim if truncate_dim is None else truncate_dim
        shortened = kept is not None and kept < self.width
        own = opened.unit_length and normalize is not False
        unit_length = normalize is True and (shortened or not (own or usage.normalized))
        self._check_output(output_type, as_it_is=own == opened.unit_length and not unit_length)
        return Call(before, skipped, own, kept, unit_length, batch_tokens, output_type)

    def _check_output(self, output_type: str, *, as_it_is: bool) -> None:
        """Raise ConfigError for an output that cannot be made of these vectors."""
        check_output_type(output_type)
        if output_type not in SCALARS:
            return
        if self.opened.ranges is None:
            raise ConfigError(
                f"output_type {output_type!r}: {self.opened.file.parent} has no ranges to cut vectors into bytes by; "
                "mirrorkit export writes them into mirrorkit.json"
            )
        if not as_it_is:
            raise ConfigError(
                f"output_type {output_type!r}: its ranges hold only for vectors of the model's own length; "
                "leave `normalize` out"
            )

    def encode(self, texts: Sequence[str], call: Call, *, first: int = 0, progress: Progress | None = None) -> Array:
        """Return vectors [n, dim], in the order of `texts`, as the call wants them; an error counts from `first` on."""
        if len(texts) == 1 and self.long != "windows":
            vectors = self._encode_one(texts[0], first, call)
            if progress:
                progress.advance(1, 1)
        else:
            vectors = self._encode_many(texts, first, call, progress)
        return self.finished(vectors, call)

    def finished(self, vectors: Floats, call: Call) -> Array:
        """Return vectors [n, dim] as the call wants them, of those [n, width] that the graph gives."""
        if call.own_length:
            vectors = unit(vectors)
        if call.truncate_dim is not None and call.truncate_dim < vectors.shape[1]:
            vectors = np.ascontiguousarray(vectors[:, : call.truncate_dim])
        if call.unit_length:
            vectors = unit(vectors)
        if self.adapter:
            vectors = self.adapter(vectors)
        if call.output_type == "float32":
            return vectors
        ranges = None if self._ranges is None else self._ranges[:, : vectors.shape[1]]
        return converted(vectors, call.output_type, ranges)

    def _encode_one(self, text: str, first: int, call: Call) -> Floats:
        """Return the vector float32 [1, dim] of one text.

        What puts many texts into batches would cost as much here as tokenising: a pass pushes all of it out of the
        processor's caches, so that it comes from memory each time.
        """
        found, cut = self.opened.tokenizer.told_ids_of(call.before + text)
        self._tell_long([0] if cut else [], 1, first)
        ids = np.array([found or [self.opened.pad_id]], dtype=np.int64)
        mask = np.ones_like(ids) if found else np.zeros_like(ids)
        if call.unpooled:
            mask[:, : call.unpooled] *= 2
        return self._finite(self.runner.batch(ids, mask), np.array([first]))

    def _encode_many(self, texts: Sequence[str], first: int, call: Call, progress: Progress | None) -> Floats:
        if self.long == "windows":
            windows = self._windows(texts, call)
            repeated = np.flatnonzero(np.bincount(windows.owners, minlength=len(texts)) > 1)
            self._tell_long(repeated.tolist(), len(texts), first)
            return windows.joined(self._vectors(windows.ids, windows.owners + first, len(texts), call, progress))
        told = self.opened.tokenizer.told_ids(texts, call.before)
        self._tell_long(told.cut, len(texts), first)
        return self._vectors(told.ids, np.arange(first, first + len(texts)), len(texts), call, progress)

    def _windows(self, texts: Sequence[str], call: Call) -> Windows:
        """Return the windows of texts; a table of token vectors, which has no length, reads each text whole."""
        whole = _WHOLE if isinstance(self.runner, BagRunner) else None
        return self.opened.tokenizer.windows(texts, call.before, whole)

    def _vectors(self, ids: RaggedIds, numbers: Ints, total: int, call: Call, progress: Progress | None) -> Floats:
        """Return the vector of each row of ids; `numbers` are those of the texts they are of, for errors."""
        vectors = np.empty((len(ids), self.width), dtype=np.float32)
        done = 0
        summed = isinstance(self.runner, BagRunner)  # needs no batches
        for rows, values in self._sum_all(ids, numbers, call) if summed else self._run_all(ids, numbers, call):
            vectors[rows] = values
            done += len(rows)
            if progress:
                progress.advance(done * total // len(ids), total)
        return vectors

    def _tell_long(self, places: Sequence[int], total: int, first: int) -> None:
        """Count the texts that are too long, or raise CorpusError for the first of them where they are refused."""
        if not places:
            return
        if self.long == "error":
            raise CorpusError(
                f"texts[{first + places[0]}] is longer than the {self.opened.max_length} tokens that the model takes; "
                "shorten it, or choose `long=cut` or `long=windows`"
            )
        with self._lock:
            self.long_texts += len(places)
        how = "read in windows" if self.long == "windows" else "cut"
        log.info("%d of %d texts have more than %d tokens: %s", len(places), total, self.opened.max_length, how)

    def _sum_all(self, ids: RaggedIds, numbers: Ints, call: Call) -> Iterator[tuple[Ints, Floats]]:
        assert isinstance(self.runner, BagRunner)
        for rows, vectors in self.runner.blocks(ids, call.unpooled):
            yield rows, self._finite(vectors, numbers[rows])

    def _run_all(self, ids: RaggedIds, numbers: Ints, call: Call) -> Iterator[tuple[Ints, Floats]]:
        """Yield the rows of each batch with their vectors.

        Threads that work on batches of their own need not wait for one another after every layer, as those that
        share a batch must.
        """
        batches = list(batches_of(ids.lengths, call.batch_tokens, self.runner.max_rows))
        callers = min(self.runner.callers, len(batches))
        if callers < 2:
            for rows in batches:
                yield rows, self._run(self.runner, ids, rows, numbers, call.unpooled)
            return
        from concurrent.futures import ThreadPoolExecutor

        runner = self.runner.for_callers()
        pool = ThreadPoolExecutor(callers)
        try:
            done = pool.map(lambda rows: self._run(runner, ids, rows, numbers, call.unpooled), batches)
            yield from zip(batches, done, strict=True)
        finally:
            pool.shutdown(cancel_futures=True)

    def _run(self, runner: Runner, ids: RaggedIds, rows: Ints, numbers: Ints, unpooled: int) -> Floats:
        arrays = pad_batch(ids, rows, self.opened.pad_id, unpooled=unpooled)
        return self._finite(runner.batch(*arrays), numbers[rows])

    def _finite(self, vectors: Floats, numbers: Ints) -> Floats:
        if not np.isfinite(vectors).all():
            bad = numbers[~np.isfinite(vectors).all(axis=1)].min()
            raise BundleError(f"{self.opened.file}: the vector of texts[{bad}] holds NaN or infinity")
        return vectors

    def _given(self) -> int:
        """Return the length of a vector that the graph gives; one that does not tell is tried out."""
        told = self.runner.dim
        if told is None:
            one_token = np.zeros((1, 1), dtype=np.int64)
            told = int(self.runner.batch(one_token, one_token + 1).shape[-1])
        if self.opened.dim not in (None, told):
            raise BundleError(f"{self.opened.file}: gives {told} dimensions, mirrorkit.json says {self.opened.dim}")
        return told


def batches_of(lengths: Ints, budget: int, max_rows: int | None = None) -> Iterator[Ints]:
    """Yield rows, longest first, in batches of about one length and at most `budget` tokens (one text at the least)."""
    for rows in homogeneous_chunks(lengths, PASS_COST):
        count = max(1, budget // max(1, int(lengths[rows].max())))
        count = min(count, max_rows or count)
        for start in range(0, len(rows), count):
            yield rows[start : start + count]
