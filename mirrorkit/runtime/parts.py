"""A parquet file made of parts, so that a job that was stopped can be taken up again.

The parts lie in a hidden folder beside the result until they are joined. Each holds its texts, so that whether the
input is still the same is seen from the rows themselves.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from mirrorkit.errors import OutputError
from mirrorkit.extras import require
from mirrorkit.runtime.session import Floats
from mirrorkit.runtime.sinks import draft
from mirrorkit.runtime.tokenizer import replace_surrogates

log = logging.getLogger(__name__)

_JOB = "job.json"
_LOCK = "lock"
_ANEW = "start anew with --overwrite in place of --resume"


class Parts:
    """The parts of `out` so far; made with `open_parts`."""

    def __init__(self, out: Path, dim: int) -> None:
        self.out = out
        self.folder = _folder_of(out)
        self._arrow = require("pyarrow", extra="parquet")
        self._parquet = require("pyarrow.parquet", extra="parquet")
        embedding = self._arrow.list_(self._arrow.float32(), dim)
        self._schema = self._arrow.schema([("text", self._arrow.string()), ("embedding", embedding)])
        self._dim = dim
        self._next = 0

    def skip(self, texts: Iterator[str]) -> int:
        """Pass over the texts that the parts hold already; returns how many. Raises OutputError where they differ."""
        done = 0
        while (file := self._file(self._next)).is_file():
            try:
                kept = self._parquet.read_table(file, columns=["text"])["text"].to_pylist()
            except (OSError, ValueError, KeyError) as err:
                raise OutputError(f"{file}: damaged; {_ANEW}") from err
            given = [replace_surrogates(text) for text in islice(texts, len(kept))]
            if given != kept:
                row = next((i for i, (old, new) in enumerate(zip(kept, given, strict=False)) if old != new), len(given))
                raise OutputError(
                    f"{self.out}: row {done + row + 1} of the input is not what it was when this job began; {_ANEW}"
                )
            done += len(kept)
            self._next += 1
        return done

    def write(self, texts: Sequence[str], vectors: Floats) -> None:
        """Add a part, which is there wholly or not at all."""
        flat = self._arrow.array(vectors.reshape(-1))
        columns = [
            self._arrow.array([replace_surrogates(text) for text in texts], self._arrow.string()),
            self._arrow.FixedSizeListArray.from_arrays(flat, self._dim),
        ]
        with draft(self._file(self._next), overwrite=True) as file:
            self._parquet.write_table(self._arrow.Table.from_arrays(columns, schema=self._schema), file)
        self._next += 1

    def join(self, *, overwrite: bool) -> None:
        """Write `out`, one row group a part, and remove the parts."""
        with (
            draft(self.out, overwrite=overwrite) as file,
            self._parquet.ParquetWriter(file, self._schema) as writer,
        ):
            for number in range(self._next):
                writer.write_table(self._parquet.read_table(self._file(number), schema=self._schema))
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}.parquet"


@contextmanager
def open_parts(out: Path, dim: int, job: dict[str, Any], *, resume: bool, overwrite: bool) -> Iterator[Parts]:
    """Yield the parts of `out`: with `resume` those of a job that was stopped, else none.

    `job` is what must be the same for parts to go together. Raises OutputError for parts of another job, while
    another process writes them, and where `overwrite` would be needed to throw the parts of a stopped job away.
    """
    parts = Parts(out, dim)
    try:
        parts.folder.mkdir(exist_ok=True)
        with (parts.folder / _LOCK).open("w") as lock:
            _hold(lock, out)
            if resume:
                _check_job(parts.folder / _JOB, job, out)
            else:
                _empty(parts.folder, out, overwrite=overwrite)
            (parts.folder / _JOB).write_text(json.dumps(job), encoding="utf-8")
            try:
                yield parts
            except BaseException:
                _leave(parts.folder, out)
                raise
    except OSError as err:
        raise OutputError(f"{out}: cannot be written ({err.strerror or err})") from err


def _leave(folder: Path, out: Path) -> None:
    if any(folder.glob("part-*.parquet")):
        log.warning("%s: what is done so far is kept; the same command with --resume goes on from there", out)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _folder_of(out: Path) -> Path:
    return out.with_name(f".{out.name}.parts")


def _hold(lock: Any, out: Path) -> None:
    with suppress(ModuleNotFoundError):  # Windows refuses by itself to replace what another process has open
        import fcntl

        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise OutputError(f"{out}: another job is writing it just now") from err


def _check_job(file: Path, job: dict[str, Any], out: Path) -> None:
    if not file.is_file():
        log.warning("%s: there is no job to resume, starting at the first row", out)
        return
    try:
        begun = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as err:
        raise OutputError(f"{file}: damaged; {_ANEW}") from err
    if begun != job:
        raise OutputError(f"{out}: was begun with another bundle or variant; {_ANEW}")


def _empty(folder: Path, out: Path, *, overwrite: bool) -> None:
    done = sorted(folder.glob("part-*.parquet"))
    if done and not overwrite:
        raise OutputError(
            f"{out}: a former job was stopped half-way; go on with --resume, or start anew with --overwrite"
        )
    for file in (folder / _JOB, *done, *folder.glob(".part-*.partial")):
        file.unlink(missing_ok=True)
